-- +goose Up

-- Rules that say who is told what of which schedules. The id is made of the name; one that is deleted keeps its row, so that
-- a version is never used twice. states are those of runs that the rule has to hear of: while no rule has any, nothing is
-- written for it. The rule whose name is empty is the setting by which the states of all runs go to the stream of runs.
create table tactus.notification_rules (
    id         uuid primary key,
    name       text not null unique,
    version    bigint not null,
    enabled    boolean not null,
    states     text[] not null,
    definition json not null, -- as domain.NotificationRule reads it
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz
);

-- The schedules that have not recovered, by rule.
create table tactus.notification_failing (
    rule_id     uuid not null references tactus.notification_rules (id),
    schedule_id uuid not null,
    since       timestamptz not null,
    primary key (rule_id, schedule_id)
);
create index notification_failing_schedules on tactus.notification_failing (schedule_id);

revoke usage on type tactus.notification_rules, tactus.notification_failing from public;

-- Changes of rules, which no sink carries and which are kept, and what has happened to runs and schedules.
create table tactus.outbox_rule partition of tactus.outbox for values in ('rule');
create table tactus.outbox_happening partition of tactus.outbox for values in ('happening') partition by range (position);
revoke usage on type tactus.outbox_rule, tactus.outbox_happening from public;

-- +goose StatementBegin
-- The partition of the positions that are being drawn; outbox.Maintain makes all others.
do $$
declare
    begins bigint := (select last_value / 5000000 * 5000000 from tactus.outbox_position);
begin
    execute format('create table tactus.%I partition of tactus.outbox_happening for values from (%s) to (%s)',
        'outbox_happening_' || begins, begins, begins + 5000000);
    execute format('revoke usage on type tactus.%I from public', 'outbox_happening_' || begins);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The version of what has happened to a run: it rises with what is known of it, also when it is handed over once more.
create function tactus.happening_version(r tactus.runs) returns bigint language sql stable parallel safe as $$
    select 10 * r.redelivered + coalesce(array_position(array['skipped', 'excluded', 'missed', 'expired', 'unknown', 'revoked', 'failed',
        'succeeded'], r.status), 9)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The data of the event that says what has happened to a run.
create function tactus.happening(r tactus.runs, schedule text, tags text[], task text) returns json language sql stable parallel safe as $$
    select json_strip_nulls(json_build_object('run_id', r.id, 'schedule_id', r.schedule_id, 'schedule_name', schedule, 'tags', tags,
        'task_name', task, 'kind', r.kind, 'status', r.status, 'due_at', tactus.iso(r.due_at), 'until', tactus.iso(r.until),
        'started_at', tactus.iso(r.started_at), 'finished_at', tactus.iso(r.finished_at), 'worker', r.worker, 'error', r.error,
        'reason', r.reason))
$$;
-- +goose StatementEnd

revoke all on function tactus.happening_version(tactus.runs), tactus.happening(tactus.runs, text, text[], text) from public;
