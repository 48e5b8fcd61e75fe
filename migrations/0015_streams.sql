-- +goose Up

-- The few schedules that may go to a stream: what names a queue asks whether one of them has that name.
create index schedules_streams on tactus.schedules (id) where deleted_at is null and strpos(task::text, '"stream":') > 0;
