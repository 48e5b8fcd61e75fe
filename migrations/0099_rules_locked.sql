-- +goose Up

-- A rule keeps its row when it is deleted, so these keys guard nothing; but whoever has locked the row of one rule would
-- keep what all rules tell waiting, because it is written together.
alter table tactus.notification_failing drop constraint notification_failing_rule_id_fkey;
alter table tactus.notification_deliveries drop constraint notification_deliveries_rule_id_fkey;
alter table tactus.notification_progress drop constraint notification_progress_rule_id_fkey;
alter table tactus.notification_told drop constraint notification_told_rule_id_fkey;
