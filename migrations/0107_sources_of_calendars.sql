-- +goose Up

-- The files that a calendar comes from, as whoever applies them names them: they may take away what they no longer have,
-- and nothing of others. One that is deleted leaves its source, so that the next of its name is nobody's unless it says so.
alter table tactus.calendars add column source text;
alter table tactus.calendars add constraint calendars_source_bounded check (octet_length(source) <= 1024) not valid;

-- +goose StatementBegin
create or replace function tactus.calendar_data(c tactus.calendars) returns json language sql stable parallel safe as $$
    select json_build_object('id', c.id, 'name', c.name, 'version', c.version, 'description', c.description,
        'source', c.source, 'days', c.days, 'created_at', tactus.iso(c.created_at), 'updated_at', tactus.iso(c.updated_at),
        'deleted_at', tactus.iso(c.deleted_at))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the calendar of that name, if it has the version (0: any) and no schedule uses it. Answers what became of it:
-- deleted, not_found, version_conflict, or calendar_in_use. The row is locked before the schedules are looked at, by a
-- statement of its own, so that one which is being written is either seen, or refused.
create or replace function tactus.delete_calendar(calendar text, expected bigint, out outcome text, out users text[])
language plpgsql volatile as $$
declare
    living tactus.calendars;
begin
    select * into living from tactus.calendars c where c.name = calendar and c.deleted_at is null for update;
    users := '{}';
    if living.id is null or expected <> 0 and living.version <> expected then
        outcome := case when living.id is null then 'not_found' else 'version_conflict' end;
        return;
    end if;
    users := array(select s.name from tactus.schedules s
        where s.deleted_at is null and strpos(s.policy, '"calendars":') > 0 and tactus.uses_calendar(s.policy, calendar) limit 3);
    if users <> '{}' then
        outcome := 'calendar_in_use';
        return;
    end if;
    with moment as materialized (select clock_timestamp() as now),
    changed as (
        update tactus.calendars c set version = c.version + 1, source = null, updated_at = now, deleted_at = now
        from moment where c.id = living.id
        returning c.*
    )
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, 'calendar.deleted', tactus.calendar_data(changed), updated_at from changed;
    outcome := 'deleted';
end
$$;
-- +goose StatementEnd
