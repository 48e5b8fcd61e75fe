-- +goose Up

-- Runs that somebody does not want to run any more. The relay hands none of them over, and tells the workers to revoke them, which
-- they forget when they start anew: told_at is when they were told last. Rows are kept for a day.
create table tactus.cancellations (
    run_id    uuid primary key,
    terminate boolean not null,
    asked_at  timestamptz not null default clock_timestamp(),
    told_at   timestamptz
);
revoke usage on type tactus.cancellations from public;

-- How often a worker has said that it will try a run again; null for never, which takes no room in the pages of runs.
alter table tactus.runs add column retried integer;
