-- +goose Up

-- Schedules that another service keeps in a table of its own. Triggers on that table write them, with their events, in the
-- same transaction as the service's own write, whatever made it: an ORM, bulk SQL, psql by hand. A trigger never fails that
-- transaction: what cannot be scheduled is kept as invalid, and what could not be written at all is noted in
-- tactus.adopt_failures and mended after the commit. Nothing here rings the bell.

-- source is the table of schedules, quoted and with its schema; timezone is that of rows that name none.
create table tactus.adoptions (
    source     text primary key,
    kind       text not null check (kind in ('celery_beat_schedules', 'django_celery_beat')),
    timezone   text not null,
    adopted_at timestamptz not null default clock_timestamp()
);

-- Rows whose trigger failed. Insert-only for the triggers, so that noting a failure cannot fail for another's sake.
create table tactus.adopt_failures (
    id         bigint generated always as identity primary key,
    source     text not null,
    key        text, -- null: the whole table
    reason     text not null,
    created_at timestamptz not null default clock_timestamp()
);

-- +goose StatementBegin
-- The schedule's id of a row: the row's own when that is a UUID, else one that is made of table and key, always the same.
create function tactus.adopted_id(source text, key text) returns uuid language sql immutable parallel safe as $$
    select case when key ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then key::uuid
        else overlay(overlay(md5(source || ':' || key) placing '8' from 13) placing 'a' from 17)::uuid end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON value that may be kept as text. Text that is no JSON stays text, which the check of the definition then refuses.
create function tactus.adopted_json(value jsonb) returns jsonb language plpgsql immutable parallel safe as $$
begin
    if jsonb_typeof(value) = 'string' then
        return nullif(trim(value #>> '{}'), '')::jsonb;
    end if;
    return value;
exception when data_exception then
    return value;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A time as RFC 3339. One without offset is of the zone.
create function tactus.adopted_time(text text, zone text) returns text language plpgsql stable parallel safe as $$
begin
    return tactus.iso(case when text ~ '(Z|[+-]\d\d(:\d\d)?)$' then text::timestamptz else text::timestamp at time zone zone end);
exception when others then
    return text;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition that a row of celery_beat_schedules says.
create function tactus.definition_of_celery_beat_schedule(r jsonb, zone text) returns jsonb language sql stable parallel safe as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'name', r->'name', 'task_name', r->'task_name', 'cron_expression', r->'cron_expression', 'enabled', coalesce(r->'enabled', 'true'),
        'description', r->'description', 'category', r->'category', 'execution_policy', r->'execution_policy',
        'timezone', coalesce(nullif(r->>'timezone', ''), zone),
        'tags', case when jsonb_typeof(tags) = 'string' then to_jsonb(regexp_split_to_array(tags #>> '{}', '\s*,\s*')) else tags end
    )) || jsonb_build_object('args', tactus.adopted_json(r->'args'), 'kwargs', tactus.adopted_json(r->'kwargs'))
    from tactus.adopted_json(r->'tags') as tags
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition that a periodictask of django-celery-beat says, with the rows of its crontab, interval or clocked schedule.
-- A one-off that has been sent is done. An interval goes on from its last run.
create function tactus.definition_of_periodictask(r jsonb, zone text) returns jsonb language sql stable parallel safe as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'name', r->'name', 'task_name', r->'task', 'description', r->'description',
        'enabled', coalesce((r->>'enabled')::boolean, true) and not (coalesce((r->>'one_off')::boolean, false) and coalesce((r->>'total_run_count')::bigint, 0) > 0),
        'queue', r->'queue', 'exchange', r->'exchange', 'routing_key', r->'routing_key', 'priority', r->'priority', 'expires_seconds', r->'expire_seconds',
        'max_runs', case when (r->>'one_off')::boolean and r->'clocked' is null then 1 end,
        'starts_at', tactus.adopted_time(r->>'start_time', zone), 'ends_at', tactus.adopted_time(r->>'expires', zone),
        'timezone', coalesce(nullif(crontab->>'timezone', ''), zone),
        'cron_expression', (select string_agg(replace(crontab->>field, ' ', ''), ' ' order by n)
            from unnest('{minute,hour,day_of_month,month_of_year,day_of_week}'::text[]) with ordinality as fields (field, n) where crontab is not null),
        'interval_seconds', (r->'interval'->>'every')::numeric * case r->'interval'->>'period' when 'days' then 86400 when 'hours' then 3600
            when 'minutes' then 60 when 'seconds' then 1 when 'microseconds' then 0.000001 end,
        'interval_anchor', case when r->'interval' is not null then tactus.adopted_time(coalesce(r->>'last_run_at', r->>'start_time'), zone) end,
        'run_at', tactus.adopted_time(r->'clocked'->>'clocked_time', zone)
    )) || jsonb_build_object('args', tactus.adopted_json(r->'args'), 'kwargs', tactus.adopted_json(r->'kwargs'), 'headers', tactus.adopted_json(r->'headers'))
    from (select r->'crontab' as crontab) as c
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a row of a table to adopt comes to: its own words (origin, null when there is no such row), the definition, and why that
-- cannot be scheduled. The rows are locked in share mode, so that what is read is the newest, and stays so to the end of the
-- transaction.
create function tactus.adoptee(kind text, source text, zone text, key text, out origin jsonb, out definition jsonb, out reason text)
language plpgsql volatile as $$
declare
    related record;
    schema text := (parse_ident(source))[1];
    faults jsonb[];
begin
    execute format('select to_jsonb(r) from %s r where id = %L for share', source, key) into origin;
    if origin is null then
        return;
    end if;
    if kind = 'celery_beat_schedules' then
        definition := tactus.definition_of_celery_beat_schedule(origin, zone);
    else
        for related in select name, origin->>(name || '_id') as id from unnest('{crontab,interval,clocked,solar}'::text[]) as name where origin->>(name || '_id') is not null
        loop
            execute format('select jsonb_build_object(%L, to_jsonb(r)) || $1 from %I.%I r where id = %L for share', related.name, schema,
                'django_celery_beat_' || related.name || 'schedule', related.id) into origin using origin;
        end loop;
        definition := tactus.definition_of_periodictask(origin, zone);
        if origin ? 'solar' then
            reason := 'trigger_unsupported at /solar: a solar schedule depends on a place: use a crontab';
        elsif (definition->>'interval_seconds')::numeric % 1 <> 0 then
            reason := 'trigger_unsupported at /interval: ' || (definition->>'interval_seconds') || ' seconds: whole seconds only';
        end if;
    end if;
    faults := tactus.definition_faults(definition);
    if faults <> '{}' then
        reason := coalesce(reason, (select string_agg((f->>'code') || coalesce(' at ' || nullif(f->>'location', ''), '') || ': ' || (f->>'message'), '; ')
            from unnest(faults) as f));
        definition := definition - array(select split_part(f->>'location', '/', 2) from unnest(faults) as f where f->>'location' not in ('', '/name'));
        if faults[1]->>'code' = 'payload_too_large' then
            definition := definition - array['args', 'kwargs', 'headers'];
        end if;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the schedule of one row what the row says; a row that is not there (any more) has none.
create function tactus.adopt_key(from_source text, key text) returns void language plpgsql volatile as $$
declare
    adoption tactus.adoptions;
    row_of record;
    living tactus.schedules;
    schedule uuid := tactus.adopted_id(from_source, key);
    so_far jsonb;
    wanted text;
begin
    select * into adoption from tactus.adoptions a where a.source = from_source;
    if adoption.source is null then
        return;
    end if;
    select * into row_of from tactus.adoptee(adoption.kind, adoption.source, adoption.timezone, key);
    select * into living from tactus.schedules s where s.id = schedule and s.deleted_at is null for update;
    if living.managed_by <> from_source then
        raise exception 'the schedule % is adopted from %', schedule, living.managed_by;
    end if;
    if row_of.origin is null then
        if living.managed_by is not null then
            perform tactus.remove_schedule(schedule);
        end if;
        return;
    end if;
    so_far := tactus.jsonb_of(living.definition);
    if so_far->'interval_seconds' = row_of.definition->'interval_seconds' then
        row_of.definition := row_of.definition || jsonb_build_object('interval_anchor', so_far->'interval_anchor');
    end if;
    wanted := left(trim(regexp_replace(row_of.definition->>'name', '[\x01-\x1f\x7f]', ' ', 'g')), 200);
    if wanted ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        wanted := 'schedule ' || wanted;
    end if;
    loop
        if exists (select from tactus.schedules s where s.name = wanted and s.deleted_at is null and s.id <> schedule) then
            wanted := left(wanted, 187) || '-' || right(schedule::text, 12);
        end if;
        row_of.definition := tactus.complete_definition(row_of.definition || jsonb_build_object('name', wanted), schedule, so_far, clock_timestamp());
        exit when tactus.write_schedule(schedule, row_of.definition, row_of.reason, from_source) is not null;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adopts up to so many rows after a key, and returns the last one's key; null when there are no more.
create function tactus.adopt_batch(source text, after text, most int) returns text language plpgsql volatile as $$
declare
    key text;
begin
    for key in execute format('select id::text from %s where %L is null or id > %L order by id limit %s', source, after, after, most) loop
        perform tactus.adopt_key(source, key);
        after := key;
        most := most - 1;
    end loop;
    return case when most = 0 then after end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the schedules whose rows are gone, and returns how many.
create function tactus.adopt_sweep(source text) returns bigint language plpgsql volatile as $$
declare
    gone bigint;
begin
    execute format('select count(*) filter (where tactus.remove_schedule(s.id)) from tactus.schedules s
        where s.managed_by = $1 and s.deleted_at is null and s.id not in (select tactus.adopted_id($1, r.id::text) from %s r)', source) into gone using source;
    return gone;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Tries again what failed, up to so many; returns how many are left.
create function tactus.adopt_mend(most int) returns bigint language plpgsql volatile as $$
declare
    failed tactus.adopt_failures;
begin
    for failed in select * from tactus.adopt_failures order by id limit most for update skip locked loop
        begin
            if failed.key is not null then
                perform tactus.adopt_key(failed.source, failed.key);
            elsif exists (select from tactus.adoptions a where a.source = failed.source) then
                perform tactus.adopt_sweep(failed.source);
            end if;
            delete from tactus.adopt_failures where id = failed.id;
        exception when others then
            update tactus.adopt_failures set reason = sqlstate || ': ' || sqlerrm where id = failed.id;
        end;
    end loop;
    return (select count(*) from tactus.adopt_failures);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Notes a failure; in the worst case only the log of the database knows of it.
create function tactus.adopt_failed(source text, key text, reason text) returns void language plpgsql volatile as $$
begin
    insert into tactus.adopt_failures (source, key, reason) values (source, key, reason);
exception when others then
    raise warning 'tactus: % of % was not adopted: %, and noting it failed: %', key, source, reason, sqlerrm;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger on a table of schedules. Its argument is the source. It runs as tactus, so that who writes to the table needs no
-- rights on tactus.
create function tactus.adopt_row() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    key text := case when tg_op <> 'DELETE' then to_jsonb(new)->>'id' else to_jsonb(old)->>'id' end;
begin
    if tg_op = 'UPDATE' and to_jsonb(old)->>'id' <> key then
        begin
            perform tactus.adopt_key(tg_argv[0], to_jsonb(old)->>'id');
        exception when others then
            perform tactus.adopt_failed(tg_argv[0], to_jsonb(old)->>'id', sqlstate || ': ' || sqlerrm);
        end;
    end if;
    begin
        perform tactus.adopt_key(tg_argv[0], key);
    exception when others then
        perform tactus.adopt_failed(tg_argv[0], key, sqlstate || ': ' || sqlerrm);
    end;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger on a table that schedules refer to, such as crontabs. Its arguments are the source and the referring column.
create function tactus.adopt_related() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    key text;
begin
    for key in execute format('select id::text from %s where %I = %L order by id', tg_argv[0], tg_argv[1], to_jsonb(new)->>'id') loop
        begin
            perform tactus.adopt_key(tg_argv[0], key);
        exception when others then
            perform tactus.adopt_failed(tg_argv[0], key, sqlstate || ': ' || sqlerrm);
        end;
    end loop;
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tactus.adopt_truncate() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    perform tactus.adopt_sweep(tg_argv[0]);
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Puts the triggers on the tables of a source, and notes that it is adopted. Making a trigger waits for the writers of the table:
-- the caller sets lock_timeout, and tries again.
create function tactus.adopt_install(source text, kind text, timezone text) returns void language plpgsql volatile as $$
declare
    schema text := (parse_ident(source))[1];
    name text;
begin
    insert into tactus.adoptions (source, kind, timezone) values (source, kind, timezone)
    on conflict on constraint adoptions_pkey do update set kind = excluded.kind, timezone = excluded.timezone;
    if exists (select from pg_trigger where tgrelid = source::regclass and tgname = 'tactus_adopt') then
        return;
    end if;
    execute format('create trigger tactus_adopt after insert or update or delete on %s for each row execute function tactus.adopt_row(%L)', source, source);
    execute format('create trigger tactus_adopt_truncate after truncate on %s for each statement execute function tactus.adopt_truncate(%L)', source, source);
    if kind = 'django_celery_beat' then
        foreach name in array '{crontab,interval,clocked}'::text[] loop
            execute format('create trigger tactus_adopt after update on %I.%I for each row execute function tactus.adopt_related(%L, %L)',
                schema, 'django_celery_beat_' || name || 'schedule', source, name || '_id');
        end loop;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Takes the triggers away; from then on the table is not followed.
create function tactus.adopt_uninstall(from_source text) returns void language plpgsql volatile as $$
declare
    placed record;
begin
    for placed in select tgrelid::regclass as on_table, tgname from pg_trigger where not tgisinternal and tgname in ('tactus_adopt', 'tactus_adopt_truncate')
        and split_part(encode(tgargs, 'escape'), '\000', 1) = from_source
    loop
        execute format('drop trigger %I on %s', placed.tgname, placed.on_table);
    end loop;
    delete from tactus.adoptions a where a.source = from_source;
    delete from tactus.adopt_failures f where f.source = from_source;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Lets go of up to so many schedules of a source that is not followed any more: they are deleted, or stay as tactus' own.
-- Returns how many there were.
create function tactus.adopt_release(from_source text, keep boolean, most int) returns bigint language plpgsql volatile as $$
declare
    released tactus.schedules;
    done bigint := 0;
begin
    for released in select * from tactus.schedules s where s.managed_by = from_source and s.deleted_at is null
        and not exists (select from tactus.adoptions a where a.source = from_source) limit most for update
    loop
        if keep then
            perform tactus.write_schedule(released.id, released.definition::jsonb, released.invalid_reason, null);
        else
            perform tactus.remove_schedule(released.id);
        end if;
        done := done + 1;
    end loop;
    return done;
end
$$;
-- +goose StatementEnd
