-- +goose Up

-- A run that is handed over, or starts, keeps its place in every index: its new version stays in the page of the old one, if there
-- is room, and no index is written (HOT). So no index that covers runs may have their status among its columns or in its condition, and
-- pages of runs are filled by half, which the second version of each row would take anyway. Open runs have no reason; those that
-- wait, are skipped or were missed have one, and come behind all others. The column finished_at alone is the condition, so that
-- a program of the version before finds open runs by this index as well.
create index runs_unfinished on tactus.runs ((reason is null), fired_at) where finished_at is null;
drop index tactus.runs_open;

-- +goose StatementBegin
do $$
declare
    partition regclass;
begin
    for partition in select inhrelid from pg_inherits where inhparent = 'tactus.runs'::regclass loop
        execute format('alter table %s set (fillfactor = 50)', partition);
    end loop;
end $$;
-- +goose StatementEnd
