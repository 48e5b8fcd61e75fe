-- +goose Up

-- Runs of due times of the past that somebody asked for. due_times are those to run, in the order in which they do; the leading
-- beat is done with the first place of them. Of these it fired some; the others had run by then (ran) or were skipped by hand. ran,
-- skipped and excluded count what was left out from the beginning, too. What has ended keeps no due times.
create table tactus.backfills (
    id               uuid primary key,
    schedule_id      uuid not null,
    schedule_version bigint not null,
    from_at          timestamptz not null,
    to_at            timestamptz not null,
    overlap          text not null check (overlap in ('allow', 'queue')),
    newest_first     boolean not null,
    max_active       integer not null,
    again            boolean not null,
    due_times        timestamptz[] not null,
    total            integer not null,
    place            integer not null default 0,
    fired            integer not null default 0,
    ran              integer not null,
    skipped          integer not null,
    excluded         integer not null,
    actor            text not null,
    reason           text,
    created_at       timestamptz not null,
    ended_at         timestamptz,
    outcome          text check (outcome in ('completed', 'cancelled', 'failed')),
    ended_by         text,
    end_reason       text,
    check ((ended_at is null) = (outcome is null))
);
create index backfills_of on tactus.backfills (schedule_id, id);
create index backfills_open on tactus.backfills (id) where ended_at is null;
create index backfills_ended on tactus.backfills (ended_at) where ended_at is not null;
revoke usage on type tactus.backfills from public;

-- The slot of a run of kind backfill is the id of its backfill: the key that makes a due time fire once makes a backfill run each of
-- its due times once. The index tells which of these runs have ended, and since when those that have not are there.
create index runs_backfilled on tactus.runs (slot, (finished_at is null), fired_at) where kind = 'backfill';

-- The ranges of due times that were missed, skipped or excluded, among any number of other runs of the schedule: few rows, and of
-- columns that never change. What fires costs nothing here.
create index runs_ranges on tactus.runs (schedule_id, due_at) where until is not null;
