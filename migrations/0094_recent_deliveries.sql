-- +goose Up

-- What came of the newest deliveries of a rule, the newest first, for whoever looks whether telling works.
alter table tactus.notification_progress add column recent json[] not null default '{}';
