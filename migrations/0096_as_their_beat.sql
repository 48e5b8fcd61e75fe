-- +goose Up

-- Adopted rows do as under their own beat: an interval begins when it is enabled, a one-off that has run stays done until it is
-- disabled, a name that tactus cannot have holds up nothing, and messages say the name of the row.

-- +goose StatementBegin
-- The name that the schedule of a row gets, for the name of the row.
create function tactus.adopted_called(name text) returns text language sql immutable parallel safe as $$
    select case when called ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then 'schedule ' || called else called end
    from tactus.trimmed(left(tactus.trimmed(regexp_replace(name, '[' || chr(1) || '-' || chr(31) || chr(127) || ']', ' ', 'g')), 200)) as called
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The beginning of a row's interval that is as long as so far, by the definition that the row says. It goes on, unless it was
-- enabled just now and has no last run: then it begins now, or with its start. (Without a last run, a row's anchor is its start.)
create function tactus.adopted_anchor(d jsonb, so_far jsonb, now timestamptz) returns jsonb language sql stable parallel safe as $$
    select case when (d->>'enabled')::boolean and not (so_far->>'enabled')::boolean and d->'interval_anchor' is not distinct from d->'starts_at'
        then to_jsonb(tactus.spelled_instant(greatest(date_trunc('milliseconds', now), tactus.instant(d->>'starts_at'))))
        else so_far->'interval_anchor' end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition of a row, in which a one-off that has run, and was not disabled since, keeps the trigger with which it ran:
-- its own beat would have disabled it, so that a new time alone has it run no more.
create function tactus.adopted_once(definition jsonb, living tactus.schedules, so_far jsonb) returns jsonb language sql stable as $$
    select case when (definition->>'enabled')::boolean and (so_far->>'enabled')::boolean and (so_far ? 'run_at' or so_far ? 'max_runs')
            and exists (select from tactus.schedule_counts c where c.schedule_id = living.id and c.trigger_set_at = living.trigger_set_at
                and c.fired >= coalesce((so_far->>'max_runs')::bigint, 1))
        then definition - members || (select jsonb_object_agg(key, value) from jsonb_each(so_far) where key = any (members))
        else definition end
    from (select '{cron_expression,interval_seconds,interval_anchor,run_at,max_runs,timezone,starts_at,ends_at}'::text[] as members) m
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition of a row with the header that says what the row is called, where its schedule is called otherwise. It stands
-- before the row's own headers, of which jsonb may not be able to hold all.
create function tactus.adopted_own_name(definition jsonb, own text) returns jsonb language sql immutable parallel safe as $$
    select case when own is null or own = definition->>'name' then definition
        else definition - 'headers' || jsonb_build_object('=headers', '{"periodic_task_name":' || to_json(own)
            || case when headers = '{}' then '}' else ',' || substr(headers, 2) end) end
    from (select coalesce(definition->>'=headers', tactus.compact(definition->>'headers'), '{}') as headers) h
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The same without that header.
create function tactus.adopted_disowned(definition jsonb) returns jsonb language sql immutable parallel safe as $$
    select case when headers = '{}' then definition - '=headers' when headers is null then definition
        else definition || jsonb_build_object('=headers', headers) end
    from (select regexp_replace(definition->>'=headers', $re$^[{]"periodic_task_name":"([^"\\]|\\.)*",?$re$, '{') as headers) h
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The definition of a row of a table of one's own. An interval goes on from its last run.
create or replace function tactus.definition_of_celery_beat_schedule(r jsonb, zone text) returns jsonb language sql stable parallel safe as $$
    select jsonb_strip_nulls(jsonb_build_object(
        'name', r->'name', 'task_name', r->'task_name', 'enabled', coalesce(r->'enabled', 'true'),
        'cron_expression', case when every is null then r->'cron_expression' end, 'interval_seconds', every,
        'interval_anchor', case when every is not null then tactus.adopted_bound(r->>'last_run_at', zone, '') end,
        'description', r->'description', 'category', r->'category', 'execution_policy', r->'execution_policy',
        'timezone', coalesce(nullif(r->>'timezone', ''), zone),
        'tags', case when jsonb_typeof(tags) = 'string' then to_jsonb(regexp_split_to_array(tags #>> '{}', '[[:space:]]*,[[:space:]]*')) else tags end
    )) || jsonb_build_object('args', tactus.adopted_json(r->'args'), 'kwargs', tactus.adopted_json(r->'kwargs'))
    from tactus.adopted_json(r->'tags') as tags
        left join lateral (select case when r->>'cron_expression' ~* '@every' and length(r->>'cron_expression') <= 1000
            then (tactus.cron_read(r->>'cron_expression', false, 'celery')).every end) as e (every) on true
$$;
-- +goose StatementEnd

-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('adoptee(text, text, text, text)', $$    documents := tactus.adopted_documents(definition);$$,
            $$    if jsonb_typeof(definition->'name') = 'string' then
        definition := definition || jsonb_build_object('name', tactus.adopted_called(definition->>'name'));
    end if;
    documents := tactus.adopted_documents(definition);$$),
        ('adopt_one(tactus.adoptions, text)', $$jsonb_build_object('interval_anchor', so_far->'interval_anchor');$$,
            $$jsonb_build_object('interval_anchor', tactus.adopted_anchor(row_of.definition, so_far, clock_timestamp()));$$),
        ('adopt_one(tactus.adoptions, text)', $$tactus.adopted_clocked(row_of.definition, row_of.origin, living, so_far);$$,
            $$tactus.adopted_once(tactus.adopted_clocked(row_of.definition, row_of.origin, living, so_far), living, so_far);$$),
        ('adopt_one(tactus.adoptions, text)', $$    wanted := left(trim(regexp_replace(row_of.definition->>'name', E'[\x01-\x1f\x7f]', ' ', 'g')), 200);
    if wanted ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        wanted := 'schedule ' || wanted;
    end if;
    documents := $$, $$    wanted := row_of.definition->>'name';
    documents := $$),
        ('adopt_one(tactus.adoptions, text)', $$write_schedule(schedule, row_of.definition, $$,
            $$write_schedule(schedule, tactus.adopted_own_name(row_of.definition, row_of.origin->>'name'), $$),
        ('adopt_wanted_sql(text, text)', $$so_far.was->'interval_seconds' = c.whole->'interval_seconds' then so_far.was->'interval_anchor'$$,
            $$so_far.was->'interval_seconds' = c.whole->'interval_seconds' then tactus.adopted_anchor(p.d, so_far.was, now)$$),
        ('adopt_wanted_sql(text, text)', $$and p.name <> '' and length(p.name) <= 200 and p.name !~ E'[\x01-\x1f\x7f]'
                    and p.name !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'$$,
            $$and p.name <> '' and p.d->>'name' = tactus.adopted_called(p.d->>'name')$$),
        ('adopt_wanted_sql(text, text)', $$                    and count(*) over (partition by p.name) = 1$$,
            $$                    -- A one-off that has run.
                    and (so_far.was ?| '{run_at,max_runs}' is not true or tactus.adopted_once(c.whole, s, so_far.was) = c.whole
                        or (s.trigger, s.policy) = (c.trigger, c.policy) and so_far.was->'run_at' is not distinct from c.whole->'run_at')
                    and count(*) over (partition by p.name) = 1$$),
        ('adopt_release(text, boolean, integer)', $$released.definition::jsonb, released$$,
            $$tactus.adopted_disowned(tactus.kept(released.definition)), released$$)
    ) as edits (name, part, put) loop
        was := pg_get_functiondef(('tactus.' || edit.name)::regprocedure);
        if strpos(was, edit.part) = 0 then
            raise exception 'tactus.% has no %', edit.name, edit.part;
        end if;
        execute replace(was, edit.part, edit.put);
    end loop;
end
$do$;
-- +goose StatementEnd

revoke all on function tactus.adopted_called(text), tactus.adopted_anchor(jsonb, jsonb, timestamptz), tactus.adopted_once(jsonb, tactus.schedules, jsonb),
    tactus.adopted_own_name(jsonb, text), tactus.adopted_disowned(jsonb) from public;
