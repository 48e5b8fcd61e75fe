-- +goose Up

-- Whoever may write these tables by hand could write a row that nobody can hold: an event of hundreds of megabytes stopped
-- Redis for all, or was refused and read again for ever; a schedule of more than a page's bytes ended every walk through the
-- list. What tactus writes is far below these bounds: a task has a quarter of a megabyte, a body one, a result 32 KiB.
-- What is there is not looked at: it may be older than the bounds.
alter table tactus.outbox add constraint outbox_bounded
    check (octet_length(data::text) <= 8388608 and coalesce(octet_length(headers::text), 0) <= 131072
        and octet_length(type) <= 200) not valid;
alter table tactus.schedules add constraint schedules_bounded check (deleted_at is not null
    or octet_length(definition::text) + octet_length(task::text) + octet_length(trigger) + octet_length(policy)
        + octet_length(name) + octet_length(category) + pg_column_size(tags) + coalesce(octet_length(managed_by), 0)
        + coalesce(octet_length(invalid_reason), 0) + coalesce(octet_length(paused_by), 0)
        + coalesce(octet_length(pause_reason), 0) + coalesce(octet_length(pause_group), 0)
        + coalesce(octet_length(skipped_by), 0) + coalesce(octet_length(skip_reason), 0) <= 4194304) not valid;
alter table tactus.runs add constraint runs_bounded check (coalesce(octet_length(result::text), 0)
    + coalesce(octet_length(error), 0) + coalesce(octet_length(traceback), 0) + coalesce(octet_length(reason), 0)
    + coalesce(octet_length(worker), 0) <= 1048576 and coalesce(octet_length(task::text), 0) <= 4194304) not valid;
