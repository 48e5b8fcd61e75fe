-- +goose Up

-- seen: positions of rows that were there when the epoch began, though late lists their xid as running: they came from another
-- server, which had given that number to another transaction.
-- stopped: why no relay can serve the sink, until it is forgotten.
alter table tactus.relay_sinks
    add column seen int8range[] not null default '{}',
    add column stopped text;
