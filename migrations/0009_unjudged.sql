-- +goose Up

-- What tactus.put_schedule has written and no program has looked at yet. The functions know the grammar of cron, but not the names
-- of zones, nor when anything is due: the API and the relay look within a second, and record why a schedule is invalid.
create table tactus.unjudged (
    schedule_id uuid primary key,
    version     bigint not null
);

create index schedules_invalid on tactus.schedules (id) where invalid_reason is not null and deleted_at is null;

-- +goose StatementBegin
-- Notes a schedule that was written just now, and returns its id. One that was left as it was is known.
create function tactus.note_unjudged(schedule uuid) returns uuid language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
begin
    insert into tactus.unjudged (schedule_id, version)
    select s.id, s.version from tactus.schedules s where s.id = schedule and s.updated_at > now() - interval '1 minute'
    on conflict (schedule_id) do update set version = excluded.version;
    return schedule;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.put_schedule(body json) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return tactus.note_unjudged(tactus.put_body(body));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.put_schedule(body jsonb) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return tactus.note_unjudged(tactus.put_body(body::text::json));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.put_schedule(body text) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    parsed json;
begin
    begin
        parsed := body::json;
    exception when data_exception then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'this is not JSON: ' || sqlerrm)]);
    end;
    return tactus.note_unjudged(tactus.put_body(parsed));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The same as domain.ReservedKey. TACTUS_KEY_PREFIX may stand before our own keys.
create or replace function tactus.reserved_key(name text) returns boolean language sql immutable parallel safe as $$
    select name ~ '(^|[^A-Za-z0-9_])tactus:' or ltrim(name, '{') ~ '^(_kombu[.]|celery-task(set)?-meta-|celeryev|redbeat:|unacked(_index|_mutex|_restore)?$|celery[.]pidbox$)' or name ~ '[.]pidbox$'
$$;
-- +goose StatementEnd

revoke all on function tactus.note_unjudged(uuid) from public;
