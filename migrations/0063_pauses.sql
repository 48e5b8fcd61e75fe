-- +goose Up

-- What keeps a schedule from firing. A pause lasts while it is disabled: since when, until when, by whom, why, and as part
-- of which operation on many schedules. Due times up to skip_until are skipped.
-- It can fire no more since completed_at. All of it is null where there is none.
alter table tactus.schedules
    add column paused_at    timestamptz,
    add column paused_until timestamptz,
    add column paused_by    text,
    add column pause_reason text,
    add column pause_group  text,
    add column skip_until   timestamptz,
    add column skipped_by   text,
    add column skip_reason  text,
    add column completed_at timestamptz;

-- The pauses that end by themselves, in the order in which they do, and those that were made together.
create index schedules_paused_until on tactus.schedules (paused_until) where paused_until is not null and deleted_at is null;
create index schedules_pause_group on tactus.schedules (pause_group) where pause_group is not null and deleted_at is null;
