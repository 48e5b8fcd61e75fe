-- +goose Up

-- A cut that takes too long is made in parts: batches of the same two snapshots, by position. more: another part follows, behind
-- last_position. part_of is the first part. own is the transaction that cut a batch, and floor the newest position then: what
-- draws its number after own has a position above floor.
alter table tactus.relay_batches
    add column more boolean not null default false,
    add column part_of bigint,
    add column own xid8,
    add column floor bigint;

-- The epochs of sinks, and what the log knew when they began: log_batch and log_place are its newest row then, of which it knew at
-- known_until; after_batch and after_place are where the sink was. What a sink has between them was lost with the end of the log.
-- went_back: the server, or its timeline, was another one than before, or the sink was ahead.
create table tactus.relay_epochs (
    sink              text not null,
    epoch             text not null,
    number            bigint not null,
    reason            text not null,
    went_back         boolean not null,
    timeline          text not null,
    system_identifier text not null,
    opened_at         timestamptz not null default clock_timestamp(),
    after_batch       bigint not null,
    after_place       bigint not null,
    log_batch         bigint not null,
    log_place         bigint not null,
    known_until       timestamptz,
    primary key (sink, epoch)
);
