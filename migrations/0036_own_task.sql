-- +goose Up

-- What a manual run carries to its sink, where that differs from its schedule's task; null where it does not. Who hands
-- the run over again reads it here, because the event that has it as well may be pruned.
alter table tactus.runs add column task json;
