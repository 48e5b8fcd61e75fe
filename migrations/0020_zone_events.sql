-- +goose Up

-- What a newer release of the time zone data has moved is in the log, as an event of the topic zone: no sink carries those, and no
-- schedule gets a version by them.
create table tactus.outbox_zone partition of tactus.outbox for values in ('zone');
