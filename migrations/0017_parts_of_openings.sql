-- +goose Up

-- What begins an epoch, or is handed over again, may be cut in parts, too. Parts are of kind 'next'; part_kind is what the first one
-- is, when that is not 'next', and from_position and since are its own.
alter table tactus.relay_batches add column part_kind text check (part_kind in ('first', 'epoch', 'again'));
