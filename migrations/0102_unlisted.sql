-- +goose Up

-- Dead letters that could not be put on the list, because somebody had locked the whole table of it. Whatever sets something
-- aside then does so here, in the same statement as ever, so nothing behind it waits. A relay moves them within a minute after the
-- lock is gone; what asks whether something was set aside reads both tables.
create table tactus.unlisted (
    source     text not null,
    reference  text not null,
    reason     text not null,
    data       text not null,
    created_at timestamptz not null default clock_timestamp(),
    primary key (source, reference)
);
revoke usage on type tactus.unlisted from public;
