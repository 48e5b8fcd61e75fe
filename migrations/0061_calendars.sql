-- +goose Up

-- Named sets of days and ranges, by which schedules are kept from firing. The id is made of the name. One that is deleted
-- keeps its row, so that a version is never used twice. Their changes are in the log, as events of the topic of schedules,
-- so that whoever hears of schedules hears of them in the same order.
create table tactus.calendars (
    id          uuid primary key,
    name        text not null unique,
    version     bigint not null,
    description text not null,
    days        json not null, -- as domain/calendar reads them
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    deleted_at  timestamptz
);

revoke usage on type tactus.calendars from public;

-- The schedules that use calendars: few, or none.
create index schedules_calendars on tactus.schedules (id) where deleted_at is null and strpos(policy, '"calendars":') > 0;

-- +goose StatementBegin
-- Reports whether a policy names a calendar. Policies are texts of our own, and names of calendars need no escapes in them.
create function tactus.uses_calendar(policy text, calendar text) returns boolean language sql immutable parallel safe as $$
    select case when strpos(policy, '"' || calendar || '"') > 0
        then coalesce(jsonb_exists(policy::jsonb->'calendars'->'exclude', calendar), false)
            or coalesce(jsonb_exists(policy::jsonb->'calendars'->'only', calendar), false)
        else false end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Keeps a schedule from naming a calendar that there is none of, whoever writes it. The lock lets calendars change, and
-- makes their deletion wait: it sees then that the calendar is in use.
create function tactus.check_calendars() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    wanted text[] := array(select distinct name
        from jsonb_array_elements_text(coalesce(new.policy::jsonb->'calendars'->'exclude', '[]') || coalesce(new.policy::jsonb->'calendars'->'only', '[]')) as name);
    found text[];
begin
    found := array(select c.name from tactus.calendars c where c.name = any (wanted) and c.deleted_at is null order by c.id for key share);
    if cardinality(found) < cardinality(wanted) then
        raise exception using errcode = 'foreign_key_violation', constraint = 'schedules_calendars',
            message = 'tactus: calendar_unknown: there is no calendar ' || (select min(name) from unnest(wanted) as name where name <> all (found));
    end if;
    return null;
end
$$;
-- +goose StatementEnd

create trigger schedules_calendars_insert after insert on tactus.schedules for each row
    when (strpos(new.policy, '"calendars":') > 0 and new.deleted_at is null) execute function tactus.check_calendars();
create trigger schedules_calendars_update after update on tactus.schedules for each row
    when (strpos(new.policy, '"calendars":') > 0 and new.deleted_at is null and (old.policy <> new.policy or old.deleted_at is not null))
    execute function tactus.check_calendars();

-- +goose StatementBegin
-- The data of a calendar's event.
create function tactus.calendar_data(c tactus.calendars) returns json language sql stable parallel safe as $$
    select json_build_object('id', c.id, 'name', c.name, 'version', c.version, 'description', c.description, 'days', c.days,
        'created_at', tactus.iso(c.created_at), 'updated_at', tactus.iso(c.updated_at), 'deleted_at', tactus.iso(c.deleted_at))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the calendar of that name, if it has the version (0: any) and no schedule uses it. Answers what became of it:
-- deleted, not_found, version_conflict, or calendar_in_use. The row is locked before the schedules are looked at, by a
-- statement of its own, so that one which is being written is either seen, or refused.
create function tactus.delete_calendar(calendar text, expected bigint, out outcome text, out users text[])
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
        update tactus.calendars c set version = c.version + 1, updated_at = now, deleted_at = now from moment where c.id = living.id
        returning c.*
    )
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, 'calendar.deleted', tactus.calendar_data(changed), updated_at from changed;
    outcome := 'deleted';
end
$$;
-- +goose StatementEnd

revoke all on function tactus.uses_calendar(text, text), tactus.check_calendars(), tactus.calendar_data(tactus.calendars),
    tactus.delete_calendar(text, bigint) from public;
