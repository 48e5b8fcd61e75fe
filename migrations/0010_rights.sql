-- +goose Up

-- Nobody has rights that were not given. Functions of this schema are executed by their owner alone; what upstream services
-- call is granted at the end of this file. The triggers on adopted tables run with the owner's rights on what belongs to
-- somebody else, and whoever owns a table decides what code runs when it is read: casts of column types, policies, views in
-- its place, immutable functions in indexes, statistics and partition keys, which the planner evaluates. So nothing is read of
-- an adopted table before tactus.adopt_check has looked, and then only known columns of built-in types, never a row.

-- sweep_after is the key after which tactus.adopt_round goes on to compare rows with their schedules; urgent has it go on
-- without a pause.
alter table tactus.adoptions add column sweep_after text, add column urgent boolean not null default false;

create index adopt_failures_key on tactus.adopt_failures (source, key);

-- +goose StatementBegin
-- The columns that are read of the tables of a kind, with the types that they may have. The part is '' for the table of
-- schedules, else one that it refers to. noted says that a beat or an ORM writes the column: no change of the schedule.
create function tactus.adopted_columns(kind text) returns table (part text, name text, types oid[], noted boolean)
language sql immutable parallel safe as $$
    select part, c.name, types, c.name in ('last_run_at', 'total_run_count')
    from (values
        ('celery_beat_schedules', '', 'key', '{id}'::text[]),
        ('celery_beat_schedules', '', 'text', '{name,task_name,cron_expression,description,category,execution_policy,timezone}'),
        ('celery_beat_schedules', '', 'flag', '{enabled}'),
        ('celery_beat_schedules', '', 'time', '{last_run_at}'),
        ('celery_beat_schedules', '', 'json', '{args,kwargs}'),
        ('celery_beat_schedules', '', 'list', '{tags}'),
        ('django_celery_beat', '', 'key', '{id,crontab_id,interval_id,clocked_id,solar_id}'),
        ('django_celery_beat', '', 'text', '{name,task,description,queue,exchange,routing_key}'),
        ('django_celery_beat', '', 'flag', '{enabled,one_off}'),
        ('django_celery_beat', '', 'number', '{priority,expire_seconds,total_run_count}'),
        ('django_celery_beat', '', 'time', '{start_time,expires,last_run_at}'),
        ('django_celery_beat', '', 'json', '{args,kwargs,headers}'),
        ('django_celery_beat', 'crontab', 'key', '{id}'),
        ('django_celery_beat', 'crontab', 'text', '{minute,hour,day_of_month,month_of_year,day_of_week,timezone}'),
        ('django_celery_beat', 'interval', 'key', '{id}'),
        ('django_celery_beat', 'interval', 'number', '{every}'),
        ('django_celery_beat', 'interval', 'text', '{period}'),
        ('django_celery_beat', 'clocked', 'key', '{id}'),
        ('django_celery_beat', 'clocked', 'time', '{clocked_time}')
    ) as known (of_kind, part, sort, names)
    join (values -- by the oids that built-in types have for ever
        ('key', '{2950,21,23,20,25,1043}'::oid[]), -- uuid, smallint, integer, bigint, text, varchar
        ('text', '{25,1043,1042}'), -- text, varchar, char
        ('flag', '{16}'), -- boolean
        ('number', '{21,23,20,1700}'), -- smallint, integer, bigint, numeric
        ('time', '{1184,1114}'), -- timestamptz, timestamp
        ('json', '{114,3802,25,1043}'), -- json, jsonb, text, varchar
        ('list', '{114,3802,25,1043,1009,1015}') -- the same, text[], varchar[]
    ) as allowed (sort, types) using (sort)
    cross join lateral unnest(names) as c (name)
    where of_kind = kind
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The name of the table of a part of a source.
create function tactus.adopted_name(source text, part text) returns text language sql immutable parallel safe as $$
    select case part when '' then source else format('%I.%I', (parse_ident(source))[1], 'django_celery_beat_' || part || 'schedule') end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The table of a part of a source.
create function tactus.adopted_relation(source text, part text) returns regclass language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := to_regclass(tactus.adopted_name(source, part));
begin
    if relation is null then
        raise exception using errcode = 'undefined_table', message = format('there is no table %s any more: give it its name again, or run "tactus unadopt" with that'
            ' name and "tactus adopt" with its new one', tactus.adopted_name(source, part));
    end if;
    return relation;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether that role could do all that the executing one can anyway.
create function tactus.adopt_trusts(role oid) returns boolean language sql stable as $$
    select rolsuper or rolname = current_user from pg_catalog.pg_roles where oid = role
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises unless the known columns of a table are of built-in types, so that no cast of anybody's runs.
create function tactus.adopt_check_columns(relation regclass, kind text, of_part text) returns void language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    fault record;
begin
    select a.attname as name, format_type(a.atttypid, null) as type, (select string_agg(format_type(t, null), ', ') from unnest(c.types) as t) as want into fault
        from tactus.adopted_columns(kind) c join pg_attribute a on a.attrelid = relation and a.attname = c.name and not a.attisdropped
        where c.part = of_part and (a.atttypid <> all (c.types) or a.attgenerated not in ('', 's')) order by a.attnum limit 1;
    if found then
        raise exception using errcode = 'datatype_mismatch', message = format('column %s of %s has the type %s, of which tactus reads nothing: want one of %s',
            fault.name, relation, fault.type, fault.want);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises unless the table can be read without running anybody's code. The lock keeps it so until the transaction ends. What
-- its owner could do anyway is not looked for.
create function tactus.adopt_check_table(source text, kind text, part text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := tactus.adopted_relation(source, part);
    fault text;
begin
    execute format('lock table %s in access share mode', relation);
    if tactus.adopted_relation(source, part) <> relation then
        raise exception using errcode = 'object_in_use', message = format('%s is being replaced', relation);
    end if;
    perform tactus.adopt_check_columns(relation, kind, part);
    if row_security_active(relation) then
        raise exception using errcode = 'insufficient_privilege', message = format('%s has row-level security for %s, who must see all rows', relation, current_user);
    end if;
    if (select tactus.adopt_trusts(relowner) and relkind in ('r', 'p') from pg_class where oid = relation) then
        return;
    end if;
    with recursive family as (
        select relation::oid as id union select inhrelid from pg_inherits join family on inhparent = id
    ),
    parts as ( -- what the planner looks at
        select 'pg_class'::regclass as class, id from family
        union all select 'pg_class'::regclass, indexrelid from pg_index join family on indrelid = id
        union all select 'pg_constraint'::regclass, c.oid from pg_constraint c join family on conrelid = id
        union all select 'pg_statistic_ext'::regclass, s.oid from pg_statistic_ext s join family on stxrelid = id
    )
    select min(told) into fault from (
        select 'is not a table' as told from family join pg_class c on c.oid = id where c.relkind not in ('r', 'p')
        union all
        select 'has an index, a constraint, statistics or a partition key with ' || pg_describe_object(refclassid, refobjid, 0)
                || ', which reading it may run: tactus trusts what superusers and its own role own'
            from parts join pg_depend d on d.classid = class and d.objid = parts.id and d.objsubid = 0
                left join pg_proc f on refclassid = 'pg_proc'::regclass and f.oid = refobjid
                left join pg_operator o on refclassid = 'pg_operator'::regclass and o.oid = refobjid
                left join pg_type t on refclassid = 'pg_type'::regclass and t.oid = refobjid
            where not tactus.adopt_trusts(coalesce(proowner, oprowner, typowner))
    ) faults;
    if fault is not null then
        raise exception using errcode = 'insufficient_privilege', message = format('%s %s', relation, fault);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises unless all tables of a source can be read without running anybody's code.
create function tactus.adopt_check(source text, kind text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
begin
    perform tactus.adopt_check_table(source, kind, part) from (select distinct part from tactus.adopted_columns(kind) order by part) parts;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON document that jsonb cannot hold (the character U+0000) becomes a string of its text, which the check of the
-- definition then refuses.
create function tactus.adopted_document(value json) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return value::jsonb;
exception when data_exception then
    return to_jsonb(value::text);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The expression of a row's known columns, as jsonb, of a table that was checked.
create function tactus.adopted_row_sql(source text, kind text, of_part text, alias text) returns text language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := tactus.adopted_relation(source, of_part);
begin
    return (select 'jsonb_build_object(' || string_agg(format(case a.atttypid when 'json'::regtype then '%L, tactus.adopted_document(%I.%I)' else '%L, %I.%I' end,
            c.name, alias, c.name), ', ') || ')'
        from tactus.adopted_columns(kind) c join pg_attribute a on a.attrelid = relation and a.attname = c.name and not a.attisdropped
        where c.part = of_part);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The condition that two versions of a row, b and a, do not mean the same. json has no equality of its own.
create function tactus.adopted_differs_sql(source text, kind text) returns text language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := tactus.adopted_relation(source, '');
begin
    return (select format('(%s) is distinct from (%s)', string_agg(format(pattern, 'b', c.name), ', '), string_agg(format(pattern, 'a', c.name), ', '))
            || case when kind = 'django_celery_beat' then ' or a.one_off and a.total_run_count is distinct from b.total_run_count' else '' end
        from tactus.adopted_columns(kind) c join pg_attribute a on a.attrelid = relation and a.attname = c.name and not a.attisdropped,
            lateral (select case a.atttypid when 'json'::regtype then '%I.%I::text' else '%I.%I' end as pattern) p
        where c.part = '' and not c.noted);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A time as RFC 3339. One without offset is of the zone.
create or replace function tactus.adopted_time(text text, zone text) returns text language plpgsql stable parallel safe as $$
begin
    return tactus.iso(case when text ~ '(Z|[+-][0-9][0-9](:[0-9][0-9])?)$' then text::timestamptz else text::timestamp at time zone zone end);
exception when others then
    return text;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.definition_of_celery_beat_schedule(r jsonb, zone text) returns jsonb language sql stable parallel safe as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'name', r->'name', 'task_name', r->'task_name', 'cron_expression', r->'cron_expression', 'enabled', coalesce(r->'enabled', 'true'),
        'description', r->'description', 'category', r->'category', 'execution_policy', r->'execution_policy',
        'timezone', coalesce(nullif(r->>'timezone', ''), zone),
        'tags', case when jsonb_typeof(tags) = 'string' then to_jsonb(regexp_split_to_array(tags #>> '{}', '[[:space:]]*,[[:space:]]*')) else tags end
    )) || jsonb_build_object('args', tactus.adopted_json(r->'args'), 'kwargs', tactus.adopted_json(r->'kwargs'))
    from tactus.adopted_json(r->'tags') as tags
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a row of a table to adopt comes to: its own words (origin, null when there is no such row), the definition, and why that
-- cannot be scheduled. The rows are locked in share mode, so that what is read is the newest, and stays so to the end of the
-- transaction. The tables have been checked.
create or replace function tactus.adoptee(kind text, source text, zone text, key text, out origin jsonb, out definition jsonb, out reason text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    related record;
    faults jsonb[];
begin
    execute format('select %s from %s r where r.id = %L for share', tactus.adopted_row_sql(source, kind, '', 'r'), tactus.adopted_relation(source, ''), key) into origin;
    if origin is null then
        return;
    end if;
    if kind = 'celery_beat_schedules' then
        definition := tactus.definition_of_celery_beat_schedule(origin, zone);
    else
        for related in select name, origin->>(name || '_id') as id from unnest('{crontab,interval,clocked}'::text[]) as name where origin->>(name || '_id') is not null
        loop
            execute format('select jsonb_build_object(%L, %s) || $1 from %s r where r.id = %L for share', related.name,
                tactus.adopted_row_sql(source, kind, related.name, 'r'), tactus.adopted_relation(source, related.name), related.id) into origin using origin;
        end loop;
        definition := tactus.definition_of_periodictask(origin, zone);
        if origin->>'solar_id' is not null then
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
-- A clocked schedule whose time has passed is sent at once by django-celery-beat, if it is enabled and never ran. It keeps the
-- time at which it was so found; enabled again, it is sent once more.
create function tactus.adopted_clocked(definition jsonb, origin jsonb, living tactus.schedules, so_far jsonb) returns jsonb language plpgsql volatile as $$
declare
    now timestamptz := clock_timestamp();
    past timestamptz := tactus.instant(so_far->>'run_at');
begin
    if not origin ? 'clocked' or not (definition->>'enabled')::boolean or (origin->>'total_run_count')::bigint > 0
        or tactus.instant(definition->>'run_at') is null or tactus.instant(definition->>'run_at') > now
    then
        return definition;
    end if;
    if (so_far->>'enabled')::boolean and past <= now + interval '1 second'
        and (past > living.effective_from or exists (select from tactus.schedule_counts c where c.schedule_id = living.id and c.fired > 0))
    then
        return definition || jsonb_build_object('run_at', so_far->'run_at');
    end if;
    return definition || jsonb_build_object('run_at', tactus.iso(now + interval '1 second'));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the schedule of one row what the row says; a row that is not there (any more) has none. The tables have been checked.
create function tactus.adopt_one(adoption tactus.adoptions, key text) returns void language plpgsql volatile as $$
declare
    row_of record;
    living tactus.schedules;
    schedule uuid := tactus.adopted_id(adoption.source, key);
    so_far jsonb;
    wanted text;
begin
    select * into row_of from tactus.adoptee(adoption.kind, adoption.source, adoption.timezone, key);
    select * into living from tactus.schedules s where s.id = schedule and s.deleted_at is null for update;
    if living.managed_by <> adoption.source then
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
    row_of.definition := tactus.adopted_clocked(row_of.definition, row_of.origin, living, so_far);
    if row_of.definition ? 'max_runs' and (row_of.definition->>'enabled')::boolean and not (so_far->>'enabled')::boolean then
        -- A one-off that is enabled again runs once more: its runs are counted from here on.
        update tactus.schedules set trigger_set_at = clock_timestamp() where id = schedule;
    end if;
    wanted := left(trim(regexp_replace(row_of.definition->>'name', E'[\x01-\x1f\x7f]', ' ', 'g')), 200);
    if wanted ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        wanted := 'schedule ' || wanted;
    end if;
    loop
        if exists (select from tactus.schedules s where s.name = wanted and s.deleted_at is null and s.id <> schedule) then
            wanted := left(wanted, 187) || '-' || right(schedule::text, 12);
        end if;
        row_of.definition := tactus.complete_definition(row_of.definition || jsonb_build_object('name', wanted), schedule, so_far, clock_timestamp());
        exit when tactus.write_schedule(schedule, row_of.definition, row_of.reason, adoption.source) is not null;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Checks the tables, then makes the schedule of one row what the row says.
create or replace function tactus.adopt_key(from_source text, key text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions;
begin
    select * into adoption from tactus.adoptions a where a.source = from_source;
    if adoption.source is not null then
        perform tactus.adopt_check(adoption.source, adoption.kind);
        perform tactus.adopt_one(adoption, key);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Locks the rows that schedules of a source refer to, so that they stay as they are read.
create or replace function tactus.adopt_lock_related(source text, kind text, keys text[]) returns void language plpgsql volatile as $$
declare
    relation regclass := tactus.adopted_relation(source, '');
    id_type text := (select format_type(atttypid, null) from pg_attribute where attrelid = relation and attname = 'id');
    name text;
begin
    if kind <> 'django_celery_beat' then
        return;
    end if;
    foreach name in array '{crontab,interval,clocked}'::text[] loop
        execute format('select count(*) from (select from %s where id in (select %I from %s where id = any ($1::%s[])) order by id for share) locked',
            tactus.adopted_relation(source, name), name || '_id', relation, id_type) using keys;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A select of the rows $2 of a source: key, schedule and definition, as tactus.adoptee has them; $1 is the source, $3 the zone. The
-- keys are unnested because the planner then knows how many there are. The tables have been checked.
create or replace function tactus.adoptees_sql(source text, kind text) returns text language plpgsql stable as $$
declare
    relation regclass := tactus.adopted_relation(source, '');
    id_type text := (select format_type(atttypid, null) from pg_attribute where attrelid = relation and attname = 'id');
    origin text := tactus.adopted_row_sql(source, kind, '', 'r');
    joins text := '';
    name text;
begin
    if kind = 'celery_beat_schedules' then
        return format('select r.id::text as key, tactus.adopted_id($1, r.id::text) as id, tactus.definition_of_celery_beat_schedule(%s, $3) as d
            from unnest($2::%s[]) as k (id) join %s r on r.id = k.id', origin, id_type, relation);
    end if;
    foreach name in array '{crontab,interval,clocked}'::text[] loop
        origin := origin || format(' || case when %I.id is null then ''{}'' else jsonb_build_object(%L, %s) end', name, name, tactus.adopted_row_sql(source, kind, name, name));
        joins := joins || format(' left join %s %I on %I.id = r.%I', tactus.adopted_relation(source, name), name, name, name || '_id');
    end loop;
    return format('select r.id::text as key, tactus.adopted_id($1, r.id::text) as id, tactus.definition_of_periodictask(%s, $3) as d
        from unnest($2::%s[]) as k (id) join %s r on r.id = k.id%s', origin, id_type, relation, joins);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The beginning of a statement (with ...): wanted has the rows $2 of a source with what their schedules are to be, and plain
-- says which need no more thought than that. What each has of its own is taken from what they have in common, which is
-- completed once.
create function tactus.adopt_wanted_sql(source text, kind text) returns text language sql stable as $many$
    select $sql$
        with moment as materialized (select clock_timestamp() as now),
        adoptee as materialized ($sql$ || tactus.adoptees_sql(source, kind) || $sql$),
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
                c.whole is not null and jsonb_typeof(p.d->'name') = 'string' and p.name <> '' and length(p.name) <= 200 and p.name !~ E'[\x01-\x1f\x7f]'
                    and p.name !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
                    and octet_length(p.d::text) <= 262144 and coalesce(p.d->'headers', '{}') in ('{}', 'null')
                    and coalesce(jsonb_typeof(p.d->'args'), 'null') in ('array', 'null') and coalesce(jsonb_typeof(p.d->'kwargs'), 'null') in ('object', 'null')
                    and coalesce(jsonb_typeof(p.d->'description'), 'string') = 'string' and coalesce(p.d->>'description', '') !~ E'[\x01-\x08\x0b-\x1f\x7f]'
                    and coalesce(length(p.d->>'description'), 0) <= 2000
                    and coalesce(jsonb_typeof(p.d->'category'), 'string') = 'string' and coalesce(p.d->>'category', '') !~ E'[\x01-\x08\x0b-\x1f\x7f]'
                    and coalesce(length(p.d->>'category'), 0) <= 200
                    and case when coalesce(p.d->'tags', '[]') in ('[]', 'null') then true when jsonb_typeof(p.d->'tags') <> 'array' then false
                        else jsonb_array_length(p.d->'tags') <= 50 and not jsonb_path_exists(p.d->'tags', '$[*] ? (@.type() != "string")')
                            and not exists (select from jsonb_array_elements_text(p.d->'tags') as tag where tag = '' or length(tag) > 200 or tag ~ E'[\x01-\x1f]') end
                    and (p.d->>'interval_anchor' is null or tactus.instant(p.d->>'interval_anchor') between '1970-01-01Z' and '2200-12-31Z')
                    and (s.id is null or s.deleted_at is null and s.managed_by = $1 and not so_far.was ? 'auto_generated_name')
                    -- A clocked schedule that is past, unless it was the same when it was to come.
                    and (not c.whole ? 'run_at' or not (c.whole->>'enabled')::boolean or tactus.instant(c.whole->>'run_at') > now
                        or coalesce((so_far.was->>'enabled')::boolean and so_far.was->'run_at' = c.whole->'run_at' and s.effective_from < tactus.instant(c.whole->>'run_at'), false))
                    -- A one-off that is enabled again.
                    and (not c.whole ? 'max_runs' or not (c.whole->>'enabled')::boolean or coalesce((so_far.was->>'enabled')::boolean, true))
                    and count(*) over (partition by p.name) = 1
                    and not exists (select from tactus.schedules o where o.name = p.name and o.deleted_at is null and o.id <> p.id) as plain
            from moment, parted p left join completed c on c.common = p.common left join tactus.schedules s on s.id = p.id
                left join lateral (select tactus.jsonb_of(s.definition) as was offset 0) so_far on true
        )
    $sql$
$many$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Does for many rows what tactus.adopt_one does for one, but leaves out, and returns the keys of, those that need it. The
-- schedules are locked in the order of their ids before anything is decided. locked says that the rows are the transaction's own.
create function tactus.adopt_many(adoption tactus.adoptions, keys text[], locked boolean) returns text[] language plpgsql volatile as $many$
declare
    source text := adoption.source;
    relation regclass := tactus.adopted_relation(source, '');
    id_type text := (select format_type(atttypid, null) from pg_attribute where attrelid = relation and attname = 'id');
    left_out text[];
begin
    if not locked then
        execute format('select count(*) from (select from %s r where r.id in (select unnest($1::%s[])) order by r.id for share) locked', relation, id_type) using keys;
    end if;
    perform tactus.adopt_lock_related(source, adoption.kind, keys);
    perform count(*) from (select from tactus.schedules s where s.id in (select tactus.adopted_id(source, key) from unnest(keys) as key) order by s.id for update) schedules;

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
    $sql$, relation, id_type) using source, keys;

    -- Rows that are there.
    execute tactus.adopt_wanted_sql(source, adoption.kind) || $sql$,
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
    $sql$ into left_out using source, keys, adoption.timezone;
    return left_out;
end
$many$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Checks the tables, then adopts rows for a trigger, some at a time: what fails is tried row by row, and what fails then is noted. A row whose name
-- another had gives way until all are written: names may have been exchanged.
create function tactus.adopt_keys(adoption tactus.adoptions, keys text[], locked boolean) returns void language plpgsql volatile as $$
declare
    at_once constant int := 5000;
    few constant int := 20; -- a statement for many costs as much as so many rows
    source text := adoption.source;
    portion text[];
begin
    if cardinality(keys) = 0 then
        return;
    end if;
    perform tactus.adopt_check(source, adoption.kind);
    for part in 0 .. cardinality(keys) / at_once loop
        portion := keys[part * at_once + 1 : (part + 1) * at_once];
        if cardinality(portion) > few then
            begin
                portion := tactus.adopt_many(adoption, portion, locked);
            exception when others then
                null; -- one by one, then
            end;
        end if;
        perform tactus.adopt_each(adoption, portion);
    end loop;
    if cardinality(keys) = 1 then
        return;
    end if;
    perform tactus.adopt_each(adoption, array(
        select k from unnest(keys) as k join tactus.schedules s on s.id = tactus.adopted_id(source, k) and s.deleted_at is null
        where s.name = left(s.name, -13) || '-' || right(s.id::text, 12)
            and not exists (select from tactus.schedules o where o.name = left(s.name, -13) and o.deleted_at is null)));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adopts rows one by one, and notes what fails.
create function tactus.adopt_each(adoption tactus.adoptions, keys text[]) returns void language plpgsql volatile as $$
declare
    key text;
begin
    foreach key in array keys loop
        begin
            perform tactus.adopt_one(adoption, key);
        exception when others then
            perform tactus.adopt_failed(adoption.source, key, sqlstate || ': ' || sqlerrm);
        end;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Notes a failure, once; in the worst case only the log of the database knows of it.
create or replace function tactus.adopt_failed(source text, key text, reason text) returns void language plpgsql volatile as $$
begin
    insert into tactus.adopt_failures (source, key, reason) select adopt_failed.source, adopt_failed.key, adopt_failed.reason
    where not exists (select from tactus.adopt_failures f where f.source = adopt_failed.source and f.key is not distinct from adopt_failed.key);
exception when others then
    raise warning 'tactus: % of % was not adopted: %, and noting it failed: %', key, source, reason, sqlerrm;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The adoption that a trigger on a table is of, by the table itself, whose columns are checked; null when the table is not
-- followed. from_source is the trigger's argument: where the table was adopted, which is told when it is called otherwise now.
create function tactus.adoption_of_trigger(from_source text, relation oid, of_part text) returns tactus.adoptions language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    adoption tactus.adoptions;
    named text;
begin
    for adoption in select * from tactus.adoptions a where of_part = '' or a.kind = 'django_celery_beat' loop
        named := tactus.adopted_name(adoption.source, of_part);
        if to_regclass(named) = relation or exists (select from pg_partition_ancestors(relation) as a where a = to_regclass(named)) then
            perform tactus.adopt_check_columns(relation, adoption.kind, of_part);
            return adoption;
        end if;
    end loop;
    if exists (select from tactus.adoptions a where a.source = from_source) then
        raise exception using errcode = 'undefined_table', message = format('%s is called %s now: give it its name again, or run "tactus unadopt" with the old name'
            ' and "tactus adopt" with the new one', tactus.adopted_name(from_source, of_part), relation::regclass);
    end if;
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger on a partitioned table of schedules. Its argument is the source. It runs as tactus, so that who writes to the
-- table needs no rights on tactus.
create or replace function tactus.adopt_row() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions := tactus.adoption_of_trigger(tg_argv[0], tg_relid, '');
begin
    if adoption.source is not null then
        case tg_op
            when 'INSERT' then
                perform tactus.adopt_keys(adoption, array[new.id::text], true);
            when 'DELETE' then
                perform tactus.adopt_keys(adoption, array[old.id::text], true);
            else
                perform tactus.adopt_keys(adoption, array(select distinct unnest(array[old.id::text, new.id::text])), true);
        end case;
    end if;
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger of a statement that has written to a table of schedules, once for all its rows. Its argument is the source.
create or replace function tactus.adopt_statement() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions;
    keys text[];
begin
    adoption := tactus.adoption_of_trigger(tg_argv[0], tg_relid, '');
    if adoption.source is null then
        return null;
    end if;
    case tg_op
        when 'INSERT' then
            keys := array(select a.id::text from after_rows a);
        when 'DELETE' then
            keys := array(select b.id::text from before_rows b);
        else
            execute format('select array(select coalesce(a.id, b.id)::text from before_rows b full join after_rows a on a.id = b.id
                where a.id is null or b.id is null or %s)', tactus.adopted_differs_sql(adoption.source, adoption.kind)) into keys;
    end case;
    perform tactus.adopt_keys(adoption, keys, true);
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger on a table that schedules refer to, such as crontabs. Its arguments are the source and the referring column. A
-- transaction that does not see what others have committed since it began cannot see all that refer to a row: the whole
-- source is looked at again when it has ended.
create or replace function tactus.adopt_related() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    part text := (select p from unnest('{crontab,interval,clocked}'::text[]) as p where p || '_id' = tg_argv[1]);
    adoption tactus.adoptions := tactus.adoption_of_trigger(tg_argv[0], tg_relid, part);
    keys text[];
begin
    if adoption.source is null then
        return null;
    end if;
    perform tactus.adopt_check(adoption.source, adoption.kind);
    execute format('select array(select id::text from %s where %I = %L order by id)', tactus.adopted_relation(adoption.source, ''), part || '_id', new.id::text) into keys;
    perform tactus.adopt_keys(adoption, keys, false);
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        perform tactus.adopt_failed(adoption.source, null, 'look again');
    end if;
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.adopt_truncate() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions := tactus.adoption_of_trigger(tg_argv[0], tg_relid, '');
begin
    if adoption.source is not null then
        perform tactus.adopt_sweep(adoption.source);
    end if;
    return null;
exception when others then
    perform tactus.adopt_failed(tg_argv[0], null, sqlstate || ': ' || sqlerrm);
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adopts up to so many rows after a key, and returns the last one's key; null when there are no more.
create or replace function tactus.adopt_batch(source text, after text, most int) returns text language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions;
    keys text[];
    key text;
begin
    select * into adoption from tactus.adoptions a where a.source = adopt_batch.source;
    perform tactus.adopt_check(adoption.source, adoption.kind);
    keys := tactus.adopted_keys(adoption.source, after, most);
    foreach key in array tactus.adopt_many(adoption, keys, false) loop
        perform tactus.adopt_one(adoption, key);
    end loop;
    return case when cardinality(keys) = most then keys[most] end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Up to so many keys after one, of a table that was checked.
create function tactus.adopted_keys(source text, after text, most int) returns text[] language plpgsql volatile as $$
declare
    keys text[];
begin
    execute format('select array(select id::text from %s where %L is null or id > %L order by id limit $1)', tactus.adopted_relation(source, ''), after, after)
        into keys using most;
    return keys;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the schedules whose rows are gone, and returns how many.
create or replace function tactus.adopt_sweep(source text) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    gone bigint;
begin
    perform tactus.adopt_check(a.source, a.kind) from tactus.adoptions a where a.source = adopt_sweep.source;
    execute format('select count(*) filter (where tactus.remove_schedule(s.id)) from tactus.schedules s
        where s.managed_by = $1 and s.deleted_at is null and not exists (select from %s r where tactus.adopted_id($1, r.id::text) = s.id)',
        tactus.adopted_relation(source, '')) into gone using source;
    return gone;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Tries again what failed, up to so many; returns how many are left. A source that failed as a whole is compared row by row,
-- by tactus.adopt_round, once it can be read.
create or replace function tactus.adopt_mend(most int) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    failed tactus.adopt_failures;
begin
    for failed in select * from tactus.adopt_failures order by id limit most for update skip locked loop
        begin
            if failed.key is not null then
                perform tactus.adopt_key(failed.source, failed.key);
            else
                perform tactus.adopt_check(a.source, a.kind) from tactus.adoptions a where a.source = failed.source;
                update tactus.adoptions a set sweep_after = null, urgent = true where a.source = failed.source;
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
-- The keys, of these, whose schedules may not be as their rows say. Nothing is locked. The tables have been checked.
create function tactus.adopt_strays(adoption tactus.adoptions, keys text[]) returns text[] language plpgsql volatile as $$
declare
    strays text[];
begin
    execute tactus.adopt_wanted_sql(adoption.source, adoption.kind) || $sql$
        select array(select key from wanted where plain is not true or version is null or was <> d or was_invalid is not null)
    $sql$ into strays using adoption.source, keys, adoption.timezone;
    return strays;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Compares up to so many rows of each source with their schedules, in rounds, and makes schedules that differ what their rows
-- say. Returns how many differed, and whether some source is to be gone through without a pause.
create function tactus.adopt_round(most int, out mended bigint, out more boolean) language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    adoption tactus.adoptions;
    keys text[];
    done bigint;
begin
    mended := 0;
    for adoption in select * from tactus.adoptions order by source for update skip locked loop
        begin
            perform tactus.adopt_check(adoption.source, adoption.kind);
            perform tactus.adopt_check_triggers(adoption.source);
            keys := tactus.adopted_keys(adoption.source, adoption.sweep_after, most);
            done := tactus.adopt_strayed(adoption, tactus.adopt_strays(adoption, keys));
            if cardinality(keys) < most then
                done := done + tactus.adopt_sweep(adoption.source);
            end if;
            mended := mended + done;
            update tactus.adoptions a set sweep_after = next, urgent = a.urgent and next is not null
                from (select case when cardinality(keys) = most then keys[most] end as next) n
                where a.source = adoption.source and (a.sweep_after is distinct from next or a.urgent and next is null);
        exception when others then
            perform tactus.adopt_failed(adoption.source, null, sqlstate || ': ' || sqlerrm);
            update tactus.adoptions a set urgent = false where a.source = adoption.source;
        end;
    end loop;
    more := exists (select from tactus.adoptions a where a.urgent);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes schedules what their rows say, and returns how many were not.
create function tactus.adopt_strayed(adoption tactus.adoptions, keys text[]) returns bigint language plpgsql volatile as $$
declare
    ids uuid[] := array(select tactus.adopted_id(adoption.source, k) from unnest(keys) as k);
    versions jsonb := (select coalesce(jsonb_object_agg(s.id, s.version), '{}') from tactus.schedules s where s.id = any (ids));
begin
    perform tactus.adopt_each(adoption, keys);
    return (select count(*) from tactus.schedules s where s.id = any (ids) and s.version is distinct from (versions->>s.id::text)::bigint);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises when the table has not the triggers that follow it: it is not the one that was adopted.
create function tactus.adopt_check_triggers(source text) returns void language plpgsql stable as $$
begin
    if not exists (select from pg_trigger t join pg_proc f on f.oid = t.tgfoid
        where t.tgrelid = tactus.adopted_relation(source, '') and f.pronamespace = 'tactus'::regnamespace)
    then
        raise exception using errcode = 'undefined_object', message = format('%s has none of the triggers of tactus (it is another table than the one that was adopted):'
            ' run "tactus adopt" again', source);
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Puts the triggers on the tables of a source, and notes that it is adopted. Making a trigger waits for the writers of the table:
-- the caller sets lock_timeout, and tries again. Statements on a partitioned table may name a partition, so that only triggers for
-- each row hear of all. Triggers of an older schema are replaced.
create or replace function tactus.adopt_install(source text, kind text, timezone text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    relation regclass := tactus.adopted_relation(source, '');
    whole boolean := (select relkind = 'r' from pg_class where oid = relation);
    name text;
begin
    perform tactus.adopt_check(source, kind);
    insert into tactus.adoptions (source, kind, timezone) values (source, kind, timezone)
    on conflict on constraint adoptions_pkey do update set kind = excluded.kind, timezone = excluded.timezone;
    if not tactus.adopt_trigger(relation, case when whole then 'tactus_adopt_update' else 'tactus_adopt' end) then
        for name in select tgname from pg_trigger where tgrelid = relation and not tgisinternal and left(tgname, 12) = 'tactus_adopt' loop
            execute format('drop trigger %I on %s', name, relation);
        end loop;
        if whole then
            execute format('create trigger tactus_adopt_insert after insert on %s referencing new table as after_rows
                for each statement execute function tactus.adopt_statement(%L)', relation, source);
            execute format('create trigger tactus_adopt_update after update on %s referencing old table as before_rows new table as after_rows
                for each statement execute function tactus.adopt_statement(%L)', relation, source);
            execute format('create trigger tactus_adopt_delete after delete on %s referencing old table as before_rows
                for each statement execute function tactus.adopt_statement(%L)', relation, source);
        else
            execute format('create trigger tactus_adopt after insert or update or delete on %s for each row execute function tactus.adopt_row(%L)', relation, source);
        end if;
        execute format('create trigger tactus_adopt_truncate after truncate on %s for each statement execute function tactus.adopt_truncate(%L)', relation, source);
    end if;
    if kind = 'django_celery_beat' then
        foreach name in array '{crontab,interval,clocked}'::text[] loop
            if not tactus.adopt_trigger(tactus.adopted_relation(source, name), 'tactus_adopt') then
                execute format('create trigger tactus_adopt after update on %s for each row execute function tactus.adopt_related(%L, %L)',
                    tactus.adopted_relation(source, name), source, name || '_id');
            end if;
        end loop;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether a trigger of ours of that name is on a table.
create function tactus.adopt_trigger(relation regclass, named text) returns boolean language sql stable as $$
    select exists (select from pg_catalog.pg_trigger t join pg_catalog.pg_proc f on f.oid = t.tgfoid
        where t.tgrelid = relation and t.tgname = named and f.pronamespace = 'tactus'::regnamespace)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The statements that take the triggers of a source away, also when its table is called otherwise now.
create function tactus.adopt_triggers(source text) returns setof text language sql stable set search_path = pg_catalog, pg_temp as $$
    select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass)
    from pg_trigger t join pg_proc f on f.oid = t.tgfoid
    where f.pronamespace = 'tactus'::regnamespace and not t.tgisinternal and t.tgparentid = 0
        and (split_part(encode(t.tgargs, 'escape'), E'\\000', 1) = source
            or t.tgrelid in (select to_regclass(tactus.adopted_name(source, part)) from unnest('{"",crontab,interval,clocked}'::text[]) as part))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Takes the triggers away; from then on the table is not followed. The owner of a table alone may do that: triggers that stay
-- do nothing, and tactus.adopt_triggers tells of them.
create or replace function tactus.adopt_uninstall(from_source text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    statement text;
begin
    for statement in select * from tactus.adopt_triggers(from_source) loop
        begin
            execute statement;
        exception when insufficient_privilege then
            null;
        end;
    end loop;
    delete from tactus.adoptions a where a.source = from_source;
    delete from tactus.adopt_failures f where f.source = from_source;
end
$$;
-- +goose StatementEnd

drop function tactus.adopt_keys(text, text[], boolean);
drop function tactus.adopt_many(text, text[], boolean);
drop function tactus.adopted_alike(jsonb, jsonb);

-- What upstream services call, given USAGE on the schema. Nothing else is for others, and every migration that makes a
-- function takes it from PUBLIC as this one does (TestFunctionsGiveNoRights).
-- +goose StatementBegin
do $$
declare
    made regprocedure;
begin
    for made in select oid from pg_proc where pronamespace = 'tactus'::regnamespace loop
        execute format('revoke all on function %s from public', made);
    end loop;
    for made in select oid from pg_proc where pronamespace = 'tactus'::regnamespace and proname in ('put_schedule', 'delete_schedule', 'adopted_id') loop
        execute format('grant execute on function %s to public', made);
    end loop;
end
$$;
-- +goose StatementEnd
