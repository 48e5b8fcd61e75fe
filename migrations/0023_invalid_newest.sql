-- +goose Up

-- Schedules that cannot be scheduled as they are: those with a reason, and those whose row somebody changed by hand to a time
-- beyond the years 1 to 9999. They are few, so that to list and to count them costs nothing.
create index schedules_invalid_newest on tactus.schedules (created_at desc, id desc) where deleted_at is null and (
    invalid_reason is not null
    or created_at < timestamptz '0001-01-01 00:00:00+00' or created_at > timestamptz '9999-12-31 23:59:59.999999+00'
    or updated_at < timestamptz '0001-01-01 00:00:00+00' or updated_at > timestamptz '9999-12-31 23:59:59.999999+00'
    or effective_from < timestamptz '0001-01-01 00:00:00+00' or effective_from > timestamptz '9999-12-31 23:59:59.999999+00'
    or trigger_set_at < timestamptz '0001-01-01 00:00:00+00' or trigger_set_at > timestamptz '9999-12-31 23:59:59.999999+00');
drop index tactus.schedules_invalid;
