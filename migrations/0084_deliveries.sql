-- +goose Up

-- What nobody is shown: where a rule sends to, and what with. A former key signs beside the new one for a while.
create table tactus.notification_secrets (
    rule_id      uuid primary key references tactus.notification_rules (id),
    url          text not null,
    key          text not null,
    headers      json not null,
    former_key   text,
    former_until timestamptz
);

-- What is to be sent, one row for each notification. It gathers what happens until somebody begins to send it.
-- documents are the first of what has happened, count says how much it was.
create table tactus.notification_deliveries (
    id          uuid primary key default gen_random_uuid(),
    rule_id     uuid not null references tactus.notification_rules (id),
    kind        text not null,
    gathers     boolean not null default true,
    count       bigint not null,
    documents   text[] not null,
    created_at  timestamptz not null default clock_timestamp(),
    due_at      timestamptz not null,
    attempts    integer not null default 0,
    taken_until timestamptz,
    error       text
);
create unique index notification_deliveries_gathers on tactus.notification_deliveries (rule_id, kind) where gathers;
create index notification_deliveries_due on tactus.notification_deliveries (due_at);

-- How sending goes: when a rule last began to, until when it waits because its destination failed, and what came of it.
create table tactus.notification_progress (
    rule_id      uuid primary key references tactus.notification_rules (id),
    began_at     timestamptz,
    held_until   timestamptz,
    failures     integer not null default 0,
    delivered_at timestamptz,
    failed_at    timestamptz,
    error        text,
    tested_at    timestamptz,
    test_error   text
);

-- What a rule has told of that lasts, so that it is told once. subject is a run, or a schedule since an instant.
create table tactus.notification_told (
    rule_id uuid not null references tactus.notification_rules (id),
    what    text not null,
    subject text not null,
    told_at timestamptz not null default clock_timestamp(),
    primary key (rule_id, what, subject)
);
create index notification_told_age on tactus.notification_told (told_at);

revoke usage on type tactus.notification_secrets, tactus.notification_deliveries, tactus.notification_progress,
    tactus.notification_told from public;
