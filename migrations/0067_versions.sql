-- +goose Up

-- The events of one schedule, for its history and for going back to a former version.
create index outbox_schedule_versions on tactus.outbox_schedule (aggregate_id, version);
