-- +goose Up

-- The order in which runs are listed, and those in it that have something to tell: they failed, were revoked, expired, skipped or
-- missed, or nothing is known of them. due_at and id never change, and error and reason only when a run ends, is retried or is let
-- go, which writes other indexes anyway: a run that is handed over and starts still writes none.
create index runs_newest on tactus.runs (due_at, id);
create index runs_troubled on tactus.runs (due_at, id) where error is not null or reason is not null;

-- Whatever ended so has a word about it, by which it is in that index.
update tactus.runs set error = case status when 'failed' then 'nothing is known of its exception' else 'TaskRevokedError: ' || status end
where status in ('failed', 'revoked', 'expired') and error is null and reason is null;
