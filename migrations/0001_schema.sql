-- +goose Up

-- The current state of every schedule: a projection of the events in tactus.outbox, written in the same statement as they are.
-- trigger, anchor and policy are what the beat reads; they repeat what definition says, in the canonical form it interns.
-- A deleted schedule keeps its row (a tombstone), so that a version is never used twice. An invalid one, which has a reason,
-- keeps what it was told and is not enabled. managed_by is the table of somebody else that a schedule was adopted from.
create table tactus.schedules (
    id             uuid primary key,
    name           text not null,
    version        bigint not null,
    enabled        boolean not null,
    invalid_reason text,
    managed_by     text,
    trigger        text not null,
    anchor         timestamptz,
    policy         text not null,
    effective_from timestamptz not null,
    trigger_set_at timestamptz not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    deleted_at     timestamptz,
    category       text not null,
    tags           text[] not null,
    definition     json not null,
    task           json not null
) with (fillfactor = 85);

create unique index schedules_name on tactus.schedules (name) where deleted_at is null;

-- The log. Append-only: rows are never updated, and only whole partitions are dropped.
-- position is drawn from a sequence without a cache, after the schedule's row lock: positions of one schedule rise with its versions.
-- xid is the writing transaction, by which readers tell what a snapshot had not yet seen (never the system column xmin, which freezes).
create sequence tactus.outbox_position cache 1;

create table tactus.outbox (
    position     bigint not null default nextval('tactus.outbox_position'),
    xid          xid8 not null default pg_current_xact_id(),
    topic        text not null,
    aggregate_id uuid not null,
    version      bigint not null,
    type         text not null,
    data         json not null,
    headers      json,
    occurred_at  timestamptz not null default clock_timestamp(),
    primary key (topic, position)
) partition by list (topic);

create index outbox_xid on tactus.outbox (xid);

create table tactus.outbox_schedule partition of tactus.outbox for values in ('schedule') partition by range (position);
create table tactus.outbox_run partition of tactus.outbox for values in ('run') partition by range (position);
-- The first partitions; outbox.Maintain makes all others.
create table tactus.outbox_schedule_0 partition of tactus.outbox_schedule for values from (0) to (1000000000);
create table tactus.outbox_run_0 partition of tactus.outbox_run for values from (0) to (5000000);

-- One row per run. slot makes a due time fire once: it is nil for a scheduled run, and the run's own id for a manual or backfill run.
-- A missed range is one row: due_at is its first due time, until its last.
-- A run is open while more may be heard of it: its status is one of four, and finished_at is null (runs on streams, of which
-- nothing is ever heard, are left sent and get a finished_at when they have been handed over for good).
-- heard_at is when its worker last gave a sign of life. An exclusive run, one of a schedule whose runs must not overlap, keeps
-- the next one back while it is open and not silent for too long. A run that is kept back is due and waiting; its run.due event
-- is written when it is let go, and not before.
-- redelivered is how often somebody asked to hand it over again: its run.due event of that version plus one is the one that counts.
create table tactus.runs (
    id               uuid not null,
    schedule_id      uuid not null,
    due_at           timestamptz not null,
    until            timestamptz,
    slot             uuid not null default '00000000-0000-0000-0000-000000000000',
    kind             text not null check (kind in ('scheduled', 'manual', 'backfill')),
    status           text not null check (status in ('due', 'sent', 'started', 'retrying', 'succeeded', 'failed', 'revoked',
                                                     'expired', 'skipped', 'missed', 'unknown')),
    schedule_version bigint not null,
    reason           text,
    fired_at         timestamptz not null default clock_timestamp(),
    expires_at       timestamptz,
    sent_at          timestamptz,
    started_at       timestamptz,
    finished_at      timestamptz,
    worker           text,
    result           json,
    error            text,
    traceback        text,
    heard_at         timestamptz,
    exclusive        boolean not null default false,
    waiting          boolean not null default false,
    redelivered      integer not null default 0,
    primary key (id, due_at)
) partition by range (due_at);

create unique index runs_due on tactus.runs (schedule_id, due_at, slot);
create index runs_open on tactus.runs (fired_at) where status in ('due', 'sent', 'started', 'retrying') and finished_at is null;
create index runs_exclusive on tactus.runs (schedule_id) where exclusive and finished_at is null;
create index runs_waiting on tactus.runs (schedule_id) where waiting;

create table tactus.runs_default partition of tactus.runs default;

-- +goose StatementBegin
do $$ begin
    for n in 0..2 loop
        declare
            month timestamp := date_trunc('month', now() at time zone 'UTC') + n * interval '1 month';
        begin
            execute format('create table tactus.%I partition of tactus.runs for values from (%L) to (%L)', to_char(month, '"runs_"YYYY_MM'),
                month at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
        end;
    end loop;
end $$;
-- +goose StatementEnd

-- How often a schedule with max_runs has fired since its trigger was last set. Only such schedules have a row.
create table tactus.schedule_counts (
    schedule_id    uuid primary key,
    trigger_set_at timestamptz not null,
    fired          bigint not null
);

-- Where the relay is. A sink's epoch is a life of the log as that sink knows it: on one server and timeline. It began with batch
-- opened, when the sink was at after_batch, after_place. What had been committed before (positions up to floor, less what is not
-- visible in late) belongs to that batch whatever its xid is: it may come from another server.
-- confirmed is the last message that a sink is known to have taken.
create table tactus.relay_sinks (
    sink              text primary key,
    topic             text not null,
    epoch             text not null,
    timeline          text not null,
    system_identifier text not null,
    opened            bigint not null default 1,
    after_batch       bigint not null default 0,
    after_place       bigint not null default 0,
    floor             bigint not null default 0,
    late              pg_snapshot not null default '1:1:',
    confirmed_batch   bigint not null default 0,
    confirmed_place   bigint not null default 0,
    registered_at     timestamptz not null default clock_timestamp()
);

-- A batch is the rows of the sink's topic that are visible in snapshot and were not in previous. Insert-only.
-- Other kinds than next also take what came before: rows from from_position on that occurred at or after since. The first one
-- of a sink, and of an epoch, and one that hands over again what a broker has lost.
create table tactus.relay_batches (
    sink           text not null,
    number         bigint not null,
    epoch          text not null,
    kind           text not null default 'next' check (kind in ('first', 'epoch', 'next', 'again')),
    previous       pg_snapshot not null,
    snapshot       pg_snapshot not null,
    row_count      bigint not null,
    first_position bigint,
    last_position  bigint,
    from_position  bigint,
    since          timestamptz,
    committed_at   timestamptz not null default clock_timestamp(),
    primary key (sink, number)
);

-- Where sinks are that keep no mark themselves (publishers of other brokers).
create table tactus.relay_forwards (
    sink  text primary key,
    epoch text not null,
    batch bigint not null,
    place bigint not null
);

create table tactus.leases (
    name       text primary key,
    holder     text not null,
    epoch      bigint not null,
    expires_at timestamptz not null,
    watermark  timestamptz,
    snapshot   pg_snapshot
);

-- What a request with an Idempotency-Key made, so that a retry gets the same answer.
create table tactus.idempotency (
    key          text primary key,
    request_hash bytea not null,
    made         uuid not null, -- the schedule or the run
    created_at   timestamptz not null default clock_timestamp()
);

create index idempotency_age on tactus.idempotency (created_at);

-- What could not be delivered, with the reason: set aside so that everything else goes on.
create table tactus.deadletters (
    id         bigint generated always as identity primary key,
    source     text not null,
    reference  text not null,
    reason     text not null,
    data       text not null,
    created_at timestamptz not null default clock_timestamp(),
    unique (source, reference)
);

-- +goose StatementBegin
-- The payload of a run.due event: who runs (schedule, run, due time) followed by the members of the schedule's task document.
create function tactus.run_due(schedule_id uuid, schedule_name text, task json, run_id uuid, due_at timestamptz, kind text)
returns json language sql stable parallel safe as $$
    select ('{"schedule_id":"' || schedule_id
        || '","run_id":"' || run_id
        || '","due_at":"' || to_char(due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        || '","kind":"' || kind
        || '","schedule_name":' || to_json(schedule_name)::text
        || ',' || substr(task::text, 2))::json
$$;
-- +goose StatementEnd
