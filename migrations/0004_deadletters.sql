-- +goose Up

-- A dead letter that was dropped is kept: by it the checker knows what need not be anywhere, and nobody sets it aside again.
-- One that was put back is deleted.
alter table tactus.deadletters add column dropped_at timestamptz;
