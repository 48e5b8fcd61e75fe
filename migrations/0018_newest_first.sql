-- +goose Up

-- The order in which schedules are listed, with what lists are most often narrowed by: a page is found without its rows.
create index schedules_newest on tactus.schedules (created_at desc, id desc) include (enabled, name) where deleted_at is null;
