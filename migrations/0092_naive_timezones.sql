-- +goose Up

-- The time zone of the beat of an adopted table whose times have none: it takes what it reads, local times of that zone, for times
-- in UTC. UTC is that of a beat whose times have zones; null says that nobody has told.
alter table tactus.adoptions add column naive_timezone text;
