-- +goose Up

-- An upstream's statement that writes many rows writes their schedules by a few statements of ours, not row by row: what
-- is alike in many rows (the trigger, the task, the policies) is checked and completed once. Rows that need more thought (a
-- bad definition, a name that is taken, headers) take the way of single rows, which stays as it was. A failure is still
-- noted, and never the upstream's.

-- +goose StatementBegin
-- Locks the rows that schedules of a source refer to, so that they stay as they are read.
create function tactus.adopt_lock_related(source text, kind text, keys text[]) returns void language plpgsql volatile as $$
declare
    schema text := (parse_ident(source))[1];
    id_type text;
    name text;
begin
    if kind <> 'django_celery_beat' then
        return;
    end if;
    select format_type(atttypid, null) into id_type from pg_attribute where attrelid = source::regclass and attname = 'id';
    foreach name in array '{crontab,interval,clocked}'::text[] loop
        execute format('select count(*) from (select from %I.%I where id in (select %I from %s where id = any ($1::%s[])) order by id for share) locked',
            schema, 'django_celery_beat_' || name || 'schedule', name || '_id', source, id_type) using keys;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A select of the rows $2 of a source: key, schedule and definition, as tactus.adoptee has them; $1 is the source, $3 the zone. The
-- keys are unnested because the planner then knows how many there are.
create function tactus.adoptees_sql(source text, kind text) returns text language plpgsql stable as $$
declare
    schema text := (parse_ident(source))[1];
    id_type text;
    origin text := 'to_jsonb(r)';
    joins text := '';
    name text;
begin
    select format_type(atttypid, null) into id_type from pg_attribute where attrelid = source::regclass and attname = 'id';
    if kind = 'celery_beat_schedules' then
        return format('select r.id::text as key, tactus.adopted_id($1, r.id::text) as id, tactus.definition_of_celery_beat_schedule(to_jsonb(r), $3) as d
            from unnest($2::%s[]) as k (id) join %s r on r.id = k.id', id_type, source);
    end if;
    foreach name in array '{crontab,interval,clocked,solar}'::text[] loop
        origin := origin || format(' || case when %I.id is null then ''{}'' else jsonb_build_object(%L, to_jsonb(%I)) end', name, name, name);
        joins := joins || format(' left join %I.%I %I on %I.id = r.%I', schema, 'django_celery_beat_' || name || 'schedule', name, name, name || '_id');
    end loop;
    return format('select r.id::text as key, tactus.adopted_id($1, r.id::text) as id, tactus.definition_of_periodictask(%s, $3) as d
        from unnest($2::%s[]) as k (id) join %s r on r.id = k.id%s', origin, id_type, source, joins);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Does for many rows what tactus.adopt_key does for one, but leaves out, and returns the keys of, those that need it. The
-- schedules are locked in the order of their ids before anything is decided. locked says that the rows are the transaction's own.
create function tactus.adopt_many(from_source text, keys text[], locked boolean) returns text[] language plpgsql volatile as $many$
declare
    adoption tactus.adoptions;
    id_type text;
    left_out text[];
begin
    select * into adoption from tactus.adoptions a where a.source = from_source;
    if adoption.source is null then
        return '{}';
    end if;
    select format_type(atttypid, null) into id_type from pg_attribute where attrelid = from_source::regclass and attname = 'id';
    if not locked then
        execute format('select count(*) from (select from %s r where r.id in (select unnest($1::%s[])) order by r.id for share) locked', from_source, id_type) using keys;
    end if;
    perform tactus.adopt_lock_related(from_source, adoption.kind, keys);
    perform count(*) from (select from tactus.schedules s where s.id in (select tactus.adopted_id(from_source, key) from unnest(keys) as key) order by s.id for update) schedules;

    -- Rows that are gone.
    execute format($sql$
        with moment as materialized (select clock_timestamp() as now),
        gone as (
            select tactus.adopted_id($1, key) as id from unnest($2) as key left join %s r on r.id = key::%s where r.id is null
        ),
        changed as (
            update tactus.schedules s set version = s.version + 1, deleted_at = now, updated_at = now
            from gone, moment where s.id = gone.id and s.deleted_at is null and s.managed_by = $1
            returning s as schedule
        )
        insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
        select 'schedule', (schedule).id, (schedule).version, 'schedule.deleted', tactus.schedule_data(schedule), (schedule).updated_at from changed
    $sql$, from_source, id_type) using from_source, keys;

    -- Rows that are there. What each has of its own is taken from what they have in common, which is completed once.
    execute $sql$
        with moment as materialized (select clock_timestamp() as now),
        adoptee as materialized ($sql$ || tactus.adoptees_sql(from_source, adoption.kind) || $sql$),
        parted as materialized (
            select key, id, d, trim(d->>'name') as name,
                d - '{name,args,kwargs,headers,description,category,tags,interval_anchor}'::text[] as common
            from adoptee
        ),
        checked as materialized (
            select common, tactus.definition_faults(common || '{"name": "n"}') = '{}' as good from (select distinct common from parted) c
        ),
        completed as materialized (
            select common, whole, tactus.trigger_text(whole) as trigger, tactus.policy_text(whole) as policy
            from checked, moment, lateral (select tactus.complete_definition(common || '{"name": "n"}', tactus.adopted_id('', ''), null, now) as whole) w where good
        ),
        wanted as materialized (
            select p.key, p.id, p.name, c.trigger, c.policy, s.version, s.enabled as was_enabled, s.invalid_reason as was_invalid,
                s.trigger as was_trigger, s.anchor as was_anchor, so_far.was,
                c.whole || jsonb_build_object('name', p.name)
                    || case when p.d->'args' not in ('[]', 'null') then jsonb_build_object('args', p.d->'args') else '{}' end
                    || case when p.d->'kwargs' not in ('{}', 'null') then jsonb_build_object('kwargs', p.d->'kwargs') else '{}' end
                    || case when p.d->'tags' not in ('[]', 'null') then jsonb_build_object('tags', p.d->'tags') else '{}' end
                    || case when p.d->>'description' <> '' then jsonb_build_object('description', p.d->'description') else '{}' end
                    || case when p.d->>'category' <> '' then jsonb_build_object('category', p.d->'category') else '{}' end
                    || case when c.whole ? 'interval_seconds' then jsonb_build_object('interval_anchor', case
                        when so_far.was->'interval_seconds' = c.whole->'interval_seconds' then so_far.was->'interval_anchor'
                        else coalesce(to_jsonb(rtrim(rtrim(rtrim(tactus.iso(tactus.instant(p.d->>'interval_anchor')), 'Z'), '0'), '.') || 'Z'), c.whole->'interval_anchor') end)
                    else '{}' end as d,
                c.whole is not null and jsonb_typeof(p.d->'name') = 'string' and p.name <> '' and length(p.name) <= 200 and p.name !~ '[\x01-\x1f\x7f]'
                    and p.name !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
                    and octet_length(p.d::text) <= 262144 and coalesce(p.d->'headers', '{}') in ('{}', 'null')
                    and coalesce(jsonb_typeof(p.d->'args'), 'null') in ('array', 'null') and coalesce(jsonb_typeof(p.d->'kwargs'), 'null') in ('object', 'null')
                    and coalesce(jsonb_typeof(p.d->'description'), 'string') = 'string' and coalesce(p.d->>'description', '') !~ '[\x01-\x08\x0b-\x1f\x7f]'
                    and coalesce(length(p.d->>'description'), 0) <= 2000
                    and coalesce(jsonb_typeof(p.d->'category'), 'string') = 'string' and coalesce(p.d->>'category', '') !~ '[\x01-\x08\x0b-\x1f\x7f]'
                    and coalesce(length(p.d->>'category'), 0) <= 200
                    and case when coalesce(p.d->'tags', '[]') in ('[]', 'null') then true when jsonb_typeof(p.d->'tags') <> 'array' then false
                        else jsonb_array_length(p.d->'tags') <= 50 and not jsonb_path_exists(p.d->'tags', '$[*] ? (@.type() != "string")')
                            and not exists (select from jsonb_array_elements_text(p.d->'tags') as tag where tag = '' or length(tag) > 200 or tag ~ '[\x01-\x1f]') end
                    and (p.d->>'interval_anchor' is null or tactus.instant(p.d->>'interval_anchor') between '1970-01-01Z' and '2200-12-31Z')
                    and (s.id is null or s.deleted_at is null and s.managed_by = $1 and not so_far.was ? 'auto_generated_name')
                    and count(*) over (partition by p.name) = 1
                    and not exists (select from tactus.schedules o where o.name = p.name and o.deleted_at is null and o.id <> p.id) as plain
            from parted p left join completed c on c.common = p.common left join tactus.schedules s on s.id = p.id
                left join lateral (select s.definition::jsonb as was offset 0) so_far on true
        ),
        changed as materialized (
            select w.*, (d->>'enabled')::boolean as enabled, coalesce(d->>'run_at', d->>'interval_anchor')::timestamptz as anchor,
                coalesce(d->>'category', '') as category, array(select jsonb_array_elements_text(coalesce(d->'tags', '[]'))) as tags,
                tactus.task_document(d) as task
            from wanted w where plain and (version is null or was <> d or was_invalid is not null)
        ),
        moved as materialized (
            select c.*, (was_trigger, was_anchor) is distinct from (trigger, anchor) 
                    or (was->'starts_at', was->'ends_at') is distinct from (d->'starts_at', d->'ends_at') as moves,
                case when was_invalid is null and was - 'enabled' = d - 'enabled' then case when enabled then 'schedule.enabled' else 'schedule.disabled' end
                    else 'schedule.updated' end as kind
            from changed c where version is not null
        ),
        inserted as (
            insert into tactus.schedules (id, name, version, enabled, managed_by, trigger, anchor, policy, effective_from, trigger_set_at,
                created_at, updated_at, category, tags, definition, task)
            select id, name, 1, enabled, $1, trigger, anchor, policy, now, now, now, now, category, tags, d::text::json, task
            from changed, moment where version is null
            returning schedules as schedule
        ),
        updated as (
            update tactus.schedules s set name = m.name, version = s.version + 1, enabled = m.enabled, invalid_reason = null, trigger = m.trigger,
                anchor = m.anchor, policy = m.policy, category = m.category, tags = m.tags, definition = m.d::text::json, task = m.task,
                effective_from = case when m.moves or m.enabled and not s.enabled then now else s.effective_from end,
                trigger_set_at = case when m.moves then now else s.trigger_set_at end, updated_at = now
            from moved m, moment where s.id = m.id
            returning s as schedule, m.kind
        ),
        events as (
            insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
            select 'schedule', (schedule).id, (schedule).version, kind, tactus.schedule_data(schedule), (schedule).updated_at
            from (select schedule, 'schedule.created' as kind from inserted union all select schedule, kind from updated) told
        )
        select array(select key from wanted where plain is not true order by array_position($2, key))
    $sql$ into left_out using from_source, keys, adoption.timezone;
    return left_out;
end
$many$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adopts rows for a trigger, some at a time: what fails is tried row by row, and what fails then is noted.
create function tactus.adopt_keys(source text, keys text[], locked boolean) returns void language plpgsql volatile as $$
declare
    at_once constant int := 5000;
    few constant int := 20; -- a statement for many costs as much as so many rows
    portion text[];
    key text;
begin
    for part in 0 .. cardinality(keys) / at_once loop
        portion := keys[part * at_once + 1 : (part + 1) * at_once];
        if cardinality(portion) > few then
            begin
                portion := tactus.adopt_many(source, portion, locked);
            exception when others then
                null; -- one by one, then
            end;
        end if;
        foreach key in array portion loop
            begin
                perform tactus.adopt_key(source, key);
            exception when others then
                perform tactus.adopt_failed(source, key, sqlstate || ': ' || sqlerrm);
            end;
        end loop;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Whether two versions of a row mean the same: what a beat or an ORM notes of a row is no change of its schedule.
create function tactus.adopted_alike(one jsonb, other jsonb) returns boolean language sql immutable parallel safe as $$
    select one - noted = other - noted
    from (select '{last_run_at,date_changed,created_at,updated_at}'::text[]
        || case when coalesce((other->>'one_off')::boolean, false) then '{}'::text[] else '{total_run_count}' end as noted) n
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger of a statement that has written to a table of schedules, once for all its rows. Its argument is the source.
create function tactus.adopt_statement() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    keys text[];
begin
    case tg_op
        when 'INSERT' then
            keys := array(select id::text from after_rows);
        when 'DELETE' then
            keys := array(select id::text from before_rows);
        else
            begin
                keys := array(select coalesce(a.id, b.id)::text from before_rows b full join after_rows a on a.id = b.id
                    where a.id is null or b.id is null or not tactus.adopted_alike(to_jsonb(b), to_jsonb(a)));
            exception when data_exception then -- one holds what jsonb cannot: it is noted when its turn comes
                keys := array(select id::text from before_rows union select id::text from after_rows);
            end;
    end case;
    perform tactus.adopt_keys(tg_argv[0], keys, true);
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], k, sqlstate || ': ' || sqlerrm) from unnest(coalesce(keys, '{null}')) as k;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.adopt_related() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    keys text[];
begin
    execute format('select array(select id::text from %s where %I = %L order by id)', tg_argv[0], tg_argv[1], to_jsonb(new)->>'id') into keys;
    perform tactus.adopt_keys(tg_argv[0], keys, false);
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], k, sqlstate || ': ' || sqlerrm) from unnest(coalesce(keys, '{null}')) as k;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.adopt_batch(source text, after text, most int) returns text language plpgsql volatile as $$
declare
    keys text[];
    key text;
begin
    execute format('select array(select id::text from %s where %L is null or id > %L order by id limit %s)', source, after, after, most) into keys;
    foreach key in array tactus.adopt_many(source, keys, false) loop
        perform tactus.adopt_key(source, key);
    end loop;
    return case when cardinality(keys) = most then keys[most] end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Statements on a partitioned table may name a partition, so that only triggers for each row hear of all. Triggers of an older
-- schema are replaced.
create or replace function tactus.adopt_install(source text, kind text, timezone text) returns void language plpgsql volatile as $$
declare
    schema text := (parse_ident(source))[1];
    whole boolean := (select relkind = 'r' from pg_class where oid = source::regclass);
    name text;
begin
    insert into tactus.adoptions (source, kind, timezone) values (source, kind, timezone)
    on conflict on constraint adoptions_pkey do update set kind = excluded.kind, timezone = excluded.timezone;
    if exists (select from pg_trigger where tgrelid = source::regclass and tgname = case when whole then 'tactus_adopt_update' else 'tactus_adopt' end) then
        return;
    end if;
    if whole then
        execute format('drop trigger if exists tactus_adopt on %s', source);
        execute format('drop trigger if exists tactus_adopt_truncate on %s', source);
        execute format('create trigger tactus_adopt_insert after insert on %s referencing new table as after_rows
            for each statement execute function tactus.adopt_statement(%L)', source, source);
        execute format('create trigger tactus_adopt_update after update on %s referencing old table as before_rows new table as after_rows
            for each statement execute function tactus.adopt_statement(%L)', source, source);
        execute format('create trigger tactus_adopt_delete after delete on %s referencing old table as before_rows
            for each statement execute function tactus.adopt_statement(%L)', source, source);
    else
        execute format('create trigger tactus_adopt after insert or update or delete on %s for each row execute function tactus.adopt_row(%L)', source, source);
    end if;
    execute format('create trigger tactus_adopt_truncate after truncate on %s for each statement execute function tactus.adopt_truncate(%L)', source, source);
    if kind = 'django_celery_beat' then
        foreach name in array '{crontab,interval,clocked}'::text[] loop
            execute format('create or replace trigger tactus_adopt after update on %I.%I for each row execute function tactus.adopt_related(%L, %L)',
                schema, 'django_celery_beat_' || name || 'schedule', source, name || '_id');
        end loop;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.adopt_uninstall(from_source text) returns void language plpgsql volatile as $$
declare
    placed record;
begin
    for placed in select tgrelid::regclass as on_table, tgname from pg_trigger where not tgisinternal and tgname like 'tactus\_adopt%'
        and split_part(encode(tgargs, 'escape'), '\000', 1) = from_source
    loop
        execute format('drop trigger %I on %s', placed.tgname, placed.on_table);
    end loop;
    delete from tactus.adoptions a where a.source = from_source;
    delete from tactus.adopt_failures f where f.source = from_source;
end
$$;
-- +goose StatementEnd
