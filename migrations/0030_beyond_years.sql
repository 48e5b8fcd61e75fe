-- +goose Up

-- The rows that somebody changed by hand to times beyond the years 1 to 9999 are counted as invalid, and are few.
create index schedules_beyond on tactus.schedules (id) where invalid_reason is null and deleted_at is null and (
    created_at < timestamptz '0001-01-01 00:00:00+00' or created_at > timestamptz '9999-12-31 23:59:59.999999+00'
    or updated_at < timestamptz '0001-01-01 00:00:00+00' or updated_at > timestamptz '9999-12-31 23:59:59.999999+00'
    or effective_from < timestamptz '0001-01-01 00:00:00+00' or effective_from > timestamptz '9999-12-31 23:59:59.999999+00'
    or trigger_set_at < timestamptz '0001-01-01 00:00:00+00' or trigger_set_at > timestamptz '9999-12-31 23:59:59.999999+00');
