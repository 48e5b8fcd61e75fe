-- +goose Up

-- Where relays of this database were refused a sink, and for whom: it belonged to another installation, or to a copy of
-- this database that had taken over. The sink's mark says so as long as Redis keeps it. Should Redis come back empty, the
-- relay that was refused must not be the one that takes the sink for a new one.
create table tactus.refusals (
    place      text primary key,
    owner      text not null,
    refused_at timestamptz not null default clock_timestamp()
);
