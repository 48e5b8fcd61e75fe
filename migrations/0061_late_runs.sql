-- +goose Up

-- The runs that were late, among any number of others: few rows, and of columns that never change.
create index runs_late on tactus.runs (due_at) where fired_at - due_at > interval '10 seconds' and kind = 'scheduled';
