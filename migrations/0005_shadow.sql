-- +goose Up

-- What a beat in shadow mode has decided, in place of runs and their events. A due time has one row, whatever crashes: the
-- key is the one that tactus.runs has for scheduled runs. A missed range is one row: due_at is its first due time, until its last.
-- fires_at is when it was to fire, later than due_at by the jitter. The name, the task and its arguments are as they were;
-- arguments that are long are left out.
create table tactus.shadow_runs (
    schedule_id      uuid not null,
    due_at           timestamptz not null,
    until            timestamptz,
    fires_at         timestamptz not null,
    fate             text not null check (fate in ('fire', 'skipped', 'missed')),
    reason           text,
    schedule_version bigint not null,
    schedule_name    text not null,
    task_name        text not null,
    args             json,
    kwargs           json,
    decided_at       timestamptz not null default clock_timestamp(),
    primary key (schedule_id, due_at)
);

create index shadow_runs_age on tactus.shadow_runs (decided_at);

-- The tasks that other beats and applications sent meanwhile, as task-sent events tell it; where these are not sent, as the
-- workers' task-received do. Arguments are as Celery shows them to people.
create table tactus.shadow_sent (
    task_id     text primary key,
    task_name   text not null,
    args        text not null,
    kwargs      text not null,
    sender      text not null, -- empty while no task-sent was heard
    sent_at     timestamptz,
    received_at timestamptz,
    heard_at    timestamptz not null default clock_timestamp()
);

create index shadow_sent_age on tactus.shadow_sent (heard_at);

-- When somebody listened for those events. Of other times nothing is known.
create table tactus.shadow_watches (
    id      uuid primary key,
    since   timestamptz not null,
    until   timestamptz not null
);
