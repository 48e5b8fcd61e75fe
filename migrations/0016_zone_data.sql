-- +goose Up

-- By which release of the time zone data each process goes, while it runs.
create table tactus.zone_processes (
    process text primary key,
    version text not null,
    seen_at timestamptz not null
);

-- What the newest release so far had for each zone that a schedule is in: a newer one is compared with it, so that what it moves
-- can be told.
create table tactus.zone_data (
    timezone text primary key,
    version  text not null,
    data     bytea not null
);
