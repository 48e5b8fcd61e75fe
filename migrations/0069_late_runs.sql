-- +goose Up

-- The runs that were late, among any number of others: few rows, and of columns that never change.
create index runs_late on tactus.runs (due_at)
where case when isfinite(fired_at) and isfinite(due_at) then fired_at - due_at > interval '10 seconds' end and kind = 'scheduled';
