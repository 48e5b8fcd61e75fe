-- +goose Up

-- A cut that takes too long is made in parts: batches of the same two snapshots, by position. more: another part follows, behind
-- last_position. part_of is the first part. own is the transaction that cut a batch, and floor the newest position then: what
-- draws its number after own has a position above floor.
alter table tactus.relay_batches
    add column more boolean not null default false,
    add column part_of bigint,
    add column own xid8,
    add column floor bigint;
