-- +goose Up

-- What is read of an adopted table runs nobody's code as long as the check of the table is still true when the reading
-- statement is planned. Whoever waits for a row lock gives the table's owner time to change that: to make an index or
-- statistics, or to put another schema under the name. So the beat and the commands hold a lock that keeps all of these away,
-- and the tables are checked anew right before each statement that reads them.

-- +goose StatementBegin
-- Locks a table and its descendants against all that changes what reading it may run: indexes, statistics, constraints,
-- policies, rules, partitions. Reading and writing go on. VACUUM conflicts, so nobody waits for long here.
create function tactus.adopt_lock(relation regclass) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp set lock_timeout = '800ms' as $$
begin
    execute format('lock table %s in share update exclusive mode', relation);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises unless the table can be read without running anybody's code. What its owner could do anyway is not looked for.
-- Outside of a trigger the lock keeps the table so until the transaction ends. In a trigger, where writers must not wait for one
-- another, the lock of a writer has to do: it keeps indexes away, not statistics, partitions or children. Only the newest
-- catalog tells what the planner is about to find, and a transaction with one snapshot for all does not see it.
create or replace function tactus.adopt_check_table(source text, kind text, part text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := tactus.adopted_relation(source, part);
    fault text;
begin
    if pg_trigger_depth() > 0 then
        execute format('lock table %s in row exclusive mode', relation);
    else
        perform tactus.adopt_lock(relation);
    end if;
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
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception using errcode = 'invalid_transaction_state', message = format('%s is read after a transaction at %s, which does not see how the table is now',
            relation, current_setting('transaction_isolation'));
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
-- The table of a part of a source, checked just now: it stands right in the statement that reads it.
create function tactus.adopted_checked(source text, kind text, part text) returns regclass language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
begin
    perform tactus.adopt_check_table(source, kind, part);
    return tactus.adopted_relation(source, part);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a row of a table to adopt comes to: its own words (origin, null when there is no such row), the definition, and why that
-- cannot be scheduled. The rows are locked in share mode, so that what is read is the newest, and stays so to the end of the
-- transaction.
create or replace function tactus.adoptee(kind text, source text, zone text, key text, out origin jsonb, out definition jsonb, out reason text)
language plpgsql volatile set search_path = pg_catalog, pg_temp set row_security = off as $$
declare
    related record;
    faults jsonb[];
begin
    execute format('select %s from %s r where r.id = %L for share', tactus.adopted_row_sql(source, kind, '', 'r'), tactus.adopted_checked(source, kind, ''), key) into origin;
    if origin is null then
        return;
    end if;
    if kind = 'celery_beat_schedules' then
        definition := tactus.definition_of_celery_beat_schedule(origin, zone);
    else
        for related in select name, origin->>(name || '_id') as id from unnest('{crontab,interval,clocked}'::text[]) as name where origin->>(name || '_id') is not null
        loop
            execute format('select jsonb_build_object(%L, %s) || $1 from %s r where r.id = %L for share', related.name,
                tactus.adopted_row_sql(source, kind, related.name, 'r'), tactus.adopted_checked(source, kind, related.name), related.id) into origin using origin;
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
        perform tactus.adopt_check_table(source, kind, '');
        execute format('select count(*) from (select from %s where id in (select %I from %s where id = any ($1::%s[])) order by id for share) locked',
            tactus.adopted_checked(source, kind, name), name || '_id', relation, id_type) using keys;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Does for many rows what tactus.adopt_one does for one, but leaves out, and returns the keys of, those that need it. The
-- schedules are locked in the order of their ids before anything is decided. locked says that the rows are the transaction's own.
create or replace function tactus.adopt_many(adoption tactus.adoptions, keys text[], locked boolean) returns text[] language plpgsql volatile as $many$
declare
    source text := adoption.source;
    relation regclass := tactus.adopted_relation(source, '');
    id_type text := (select format_type(atttypid, null) from pg_attribute where attrelid = relation and attname = 'id');
    left_out text[];
begin
    if not locked then
        perform tactus.adopt_check_table(source, adoption.kind, '');
        execute format('select count(*) from (select from %s r where r.id in (select unnest($1::%s[])) order by r.id for share) locked', relation, id_type) using keys;
    end if;
    perform tactus.adopt_lock_related(source, adoption.kind, keys);
    perform count(*) from (select from tactus.schedules s where s.id in (select tactus.adopted_id(source, key) from unnest(keys) as key) order by s.id for update) schedules;

    -- Rows that are gone.
    perform tactus.adopt_check_table(source, adoption.kind, '');
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
    perform tactus.adopt_check(source, adoption.kind);
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
-- The keys, of these, whose schedules may not be as their rows say. Nothing is locked.
create or replace function tactus.adopt_strays(adoption tactus.adoptions, keys text[]) returns text[] language plpgsql volatile as $$
declare
    strays text[];
begin
    perform tactus.adopt_check(adoption.source, adoption.kind);
    execute tactus.adopt_wanted_sql(adoption.source, adoption.kind) || $sql$
        select array(select key from wanted where plain is not true or version is null or was <> d or was_invalid is not null)
    $sql$ into strays using adoption.source, keys, adoption.timezone;
    return strays;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Adopts rows one by one, and notes what fails. Whoever may not wait longer for a lock gives up the rest too.
create or replace function tactus.adopt_each(adoption tactus.adoptions, keys text[]) returns void language plpgsql volatile as $$
declare
    key text;
begin
    foreach key in array keys loop
        begin
            perform tactus.adopt_one(adoption, key);
        exception
        when lock_not_available then
            raise;
        when others then
            perform tactus.adopt_failed(adoption.source, key, sqlstate || ': ' || sqlerrm);
        end;
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Compares up to so many rows of each source with their schedules, in rounds, and makes schedules that differ what their rows
-- say. Returns how many differed, and whether some source is to be gone through without a pause.
create or replace function tactus.adopt_round(most int, out mended bigint, out more boolean) language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off set lock_timeout = '2s' as $$
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
        exception
        when lock_not_available then -- somebody changes the table or holds a row: the next round tries again, and holds no lock until then
            null;
        when others then
            perform tactus.adopt_failed(adoption.source, null, sqlstate || ': ' || sqlerrm);
            update tactus.adoptions a set urgent = false where a.source = adoption.source;
        end;
    end loop;
    more := exists (select from tactus.adoptions a where a.urgent);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Tries again what failed, up to so many; returns how many are left. A source that failed as a whole is compared row by row,
-- by tactus.adopt_round, once it can be read.
create or replace function tactus.adopt_mend(most int) returns bigint language plpgsql volatile
set search_path = pg_catalog, pg_temp set row_security = off set lock_timeout = '500ms' as $$
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
        exception
        when lock_not_available then -- as before
            null;
        when others then
            update tactus.adopt_failures set reason = sqlstate || ': ' || sqlerrm where id = failed.id;
        end;
    end loop;
    return (select count(*) from tactus.adopt_failures);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON document that jsonb cannot hold (the character U+0000, or nested too deeply) becomes a string of its text, which the check of the
-- definition then refuses.
create or replace function tactus.adopted_document(value json) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return value::jsonb;
exception when data_exception or statement_too_complex then
    return to_jsonb(value::text);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether a document is nested deeper than anybody's worker reads; Go gives up at 10,000.
create function tactus.too_deep(value jsonb) returns boolean language sql immutable parallel safe as $$
    select pg_catalog.pg_column_size(value) > 4000 and pg_catalog.jsonb_path_exists(value, '$.**{1000}')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON value that may be kept as text. Text that is no JSON, or nested too deeply to be read, stays text, which the check of
-- the definition then refuses.
create or replace function tactus.adopted_json(value jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    parsed jsonb := value;
begin
    if jsonb_typeof(value) = 'string' then
        parsed := nullif(trim(value #>> '{}'), '')::jsonb;
    end if;
    return case when tactus.too_deep(parsed) then to_jsonb(value #>> '{}') else parsed end;
exception when data_exception or statement_too_complex then
    return value;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A bound of a schedule as RFC 3339. One that excludes all time, unlike no bound, is the end or the beginning of time.
create function tactus.adopted_bound(text text, zone text, excludes text) returns text language sql stable parallel safe as $$
    select case when text in ('infinity', '-infinity')
        then case when text = excludes then case text when 'infinity' then '2200-12-31T00:00:00Z' else '1970-01-01T00:00:00Z' end end
        else tactus.adopted_time(text, zone) end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition that a periodictask of django-celery-beat says, with the rows of its crontab, interval or clocked schedule.
-- A one-off that has been sent is done. An interval goes on from its last run.
create or replace function tactus.definition_of_periodictask(r jsonb, zone text) returns jsonb language sql stable parallel safe as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'name', r->'name', 'task_name', r->'task', 'description', r->'description',
        'enabled', coalesce((r->>'enabled')::boolean, true) and not (coalesce((r->>'one_off')::boolean, false) and coalesce((r->>'total_run_count')::bigint, 0) > 0),
        'queue', r->'queue', 'exchange', r->'exchange', 'routing_key', r->'routing_key', 'priority', r->'priority', 'expires_seconds', r->'expire_seconds',
        'max_runs', case when (r->>'one_off')::boolean and r->'clocked' is null then 1 end,
        'starts_at', tactus.adopted_bound(r->>'start_time', zone, 'infinity'), 'ends_at', tactus.adopted_bound(r->>'expires', zone, '-infinity'),
        'timezone', coalesce(nullif(crontab->>'timezone', ''), zone),
        'cron_expression', (select string_agg(replace(crontab->>field, ' ', ''), ' ' order by n)
            from unnest('{minute,hour,day_of_month,month_of_year,day_of_week}'::text[]) with ordinality as fields (field, n) where crontab is not null),
        'interval_seconds', (r->'interval'->>'every')::numeric * case r->'interval'->>'period' when 'days' then 86400 when 'hours' then 3600
            when 'minutes' then 60 when 'seconds' then 1 when 'microseconds' then 0.000001 end,
        'interval_anchor', case when r->'interval' is not null then tactus.adopted_bound(coalesce(r->>'last_run_at', r->>'start_time'), zone, '') end,
        'run_at', tactus.adopted_bound(r->'clocked'->>'clocked_time', zone, 'infinity')
    )) || jsonb_build_object('args', tactus.adopted_json(r->'args'), 'kwargs', tactus.adopted_json(r->'kwargs'), 'headers', tactus.adopted_json(r->'headers'))
    from (select r->'crontab' as crontab) as c
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What is nested too deeply, for PostgreSQL's stack or for who reads it, is a fault as any other.
create or replace function tactus.put_schedule(body json) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if octet_length(body::text) between 2000 and 262144 and tactus.too_deep(tactus.jsonb_of(body)) then
        perform tactus.refuse(array[tactus.fault('value_unreadable', '', 'nested too deeply')]);
    end if;
    return tactus.note_unjudged(tactus.put_body(body));
exception when statement_too_complex then
    perform tactus.refuse(array[tactus.fault('value_unreadable', '', 'nested too deeply')]);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.put_schedule(body jsonb) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return tactus.put_schedule(body::text);
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
    exception
    when data_exception then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'this is not JSON: ' || sqlerrm)]);
    when statement_too_complex then
        perform tactus.refuse(array[tactus.fault('value_unreadable', '', 'nested too deeply')]);
    end;
    return tactus.put_schedule(parsed);
end
$$;
-- +goose StatementEnd

revoke all on function tactus.adopt_lock(regclass), tactus.adopted_checked(text, text, text), tactus.adopted_bound(text, text, text),
    tactus.too_deep(jsonb) from public;
