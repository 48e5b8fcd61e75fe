-- +goose Up

-- What lists are narrowed by. The many schedules without a category cost nothing here.
create index schedules_category on tactus.schedules (category, created_at desc, id desc) where deleted_at is null and category <> '';
create index schedules_tags on tactus.schedules using gin (tags) where deleted_at is null;
