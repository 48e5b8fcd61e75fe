-- +goose Up

-- The runs that may go to a task stream. By this index the relay finds out that a batch has none of them, and does not
-- read it for the streams. What only has the word somewhere is in it as well.
create index outbox_run_streams on tactus.outbox_run (xid) where strpos(data::text, '"stream"') > 0;
