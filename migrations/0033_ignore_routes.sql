-- +goose Up

-- A schedule can say that no route concerns it: then an absent option means none, and not the one of the route. It is a
-- member of the task, true or absent.

-- +goose StatementBegin
-- What is wrong with the type of a member, for each that is not as it should be; then nothing else of it is looked at.
create or replace function tactus.type_faults(definition jsonb) returns jsonb[] language sql immutable parallel safe as $$
    select coalesce(array_agg(case when want is null then tactus.fault('unknown_field', '/' || key, 'there is no such member')
        else tactus.fault('type_invalid', '/' || key, 'want ' || want) end order by key), '{}')
    from jsonb_each(definition) as member (key, value)
    left join (values
        ('name', 'a string'), ('description', 'a string'), ('category', 'a string'), ('tags', 'a list of strings'),
        ('enabled', 'true or false'), ('auto_generated_name', 'true or false'), ('cron_expression', 'a string'),
        ('interval_seconds', 'a number'), ('run_at', 'a string'), ('preset_name', 'a string'), ('rrule', 'a string'), ('cron_dialect', 'a string'),
        ('cron_seconds', 'true or false'), ('timezone', 'a string'), ('dst_gap', 'a string'), ('dst_overlap', 'a string'),
        ('interval_anchor', 'a string'), ('starts_at', 'a string'), ('ends_at', 'a string'), ('max_runs', 'a whole number'),
        ('jitter_seconds', 'a whole number'), ('task_name', 'a string'), ('args', null), ('kwargs', null), ('task_params', null),
        ('queue', 'a string'), ('priority', 'a whole number'), ('exchange', 'a string'), ('routing_key', 'a string'),
        ('headers', 'an object'), ('expires_seconds', 'a whole number'), ('time_limit_seconds', 'a whole number'),
        ('soft_time_limit_seconds', 'a whole number'), ('ignore_result', 'true or false'), ('ignore_routes', 'true or false'), ('shadow', 'a string'),
        ('stream', 'a string'), ('execution_policy', 'a string'), ('misfire_policy', 'a string'),
        ('misfire_window_seconds', 'a whole number'), ('misfire_grace_seconds', 'a whole number'),
        -- What an answer carries and a request may carry back: it is not heard.
        ('id', null), ('version', null), ('created_at', null), ('updated_at', null), ('effective_from', null),
        ('trigger_set_at', null), ('deleted_at', null), ('message', null), ('last_run_at', null), ('next_run_at', null),
        ('invalid_reason', null), ('managed_by', null), ('warnings', null), ('total_run_count', null), ('last_status', null),
        ('last_error', null), ('success_rate', null)
    ) as known (member, want) on member = key
    where member is null or want is not null and value <> 'null' and not case want
        when 'a string' then jsonb_typeof(value) = 'string'
        when 'true or false' then jsonb_typeof(value) = 'boolean'
        when 'a number' then jsonb_typeof(value) = 'number'
        when 'a whole number' then case when jsonb_typeof(value) = 'number' then value::numeric = trunc(value::numeric) else false end
        when 'an object' then jsonb_typeof(value) = 'object'
        when 'a list of strings' then jsonb_typeof(value) = 'array' and not jsonb_path_exists(value, '$[*] ? (@.type() != "string")')
    end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A definition without faults, made complete: defaults spelled out, times in UTC, and nothing kept that says no more than its
-- absence does. previous is the definition so far, by which an interval keeps its phase, and a schedule its zone.
create or replace function tactus.complete_definition(d jsonb, id uuid, previous jsonb, now timestamptz) returns jsonb language plpgsql stable parallel safe as $$
declare
    name text := tactus.trimmed(d->>'name');
    cron text := btrim(regexp_replace(d->>'cron_expression', '[[:space:]]+', ' ', 'g'));
    zone text := coalesce(substring(cron from '^(?:CRON_)?TZ=([^ ]+) '), nullif(d->>'timezone', ''), previous->>'timezone', nullif(current_setting('tactus.timezone', true), ''), 'UTC');
    n jsonb;
begin
    n := jsonb_build_object('enabled', coalesce((d->>'enabled')::boolean, true), 'timezone', zone, 'task_name', tactus.trimmed(d->>'task_name'),
        'priority', (d->>'priority')::numeric::bigint,
        'misfire_grace_seconds', coalesce((d->>'misfire_grace_seconds')::numeric::bigint, 60),
        'misfire_window_seconds', coalesce((d->>'misfire_window_seconds')::numeric::bigint, 86400));
    n := n || coalesce((select jsonb_object_agg(key, value) from jsonb_each(d) where key in ('description', 'category', 'queue', 'exchange',
        'routing_key', 'shadow', 'stream', 'preset_name') and value <> '""'), '{}');
    n := n || coalesce((select jsonb_object_agg(key, value) from jsonb_each(d) where key in ('tags', 'args') and value not in ('[]', 'null')
        or key in ('kwargs', 'headers') and value not in ('{}', 'null') or key in ('cron_seconds', 'ignore_result', 'ignore_routes') and value = 'true'), '{}');
    n := n || coalesce((select jsonb_object_agg(key, value::numeric::bigint) from jsonb_each(d) where key in ('interval_seconds', 'max_runs',
        'jitter_seconds', 'expires_seconds', 'time_limit_seconds', 'soft_time_limit_seconds') and value not in ('0', 'null')), '{}');
    n := n || coalesce((select jsonb_object_agg(choice, coalesce(nullif(d->>choice, ''), standard)) from (values ('execution_policy', 'allow'),
        ('misfire_policy', 'latest'), ('cron_dialect', 'celery'), ('dst_gap', 'auto'), ('dst_overlap', 'auto')) as choices (choice, standard)), '{}');
    n := n || coalesce((select jsonb_object_agg(key, tactus.spelled_instant(tactus.instant(value)))
        from jsonb_each_text(d) where key in ('run_at', 'interval_anchor', 'starts_at', 'ends_at') and value <> ''), '{}');
    if jsonb_typeof(d->'task_params') = 'object' then
        n := n || jsonb_build_object('kwargs', (d->'task_params') || jsonb_build_object('schedule_id', id));
    end if;
    if coalesce(cron, '') <> '' or n ? 'preset_name' then
        n := n || jsonb_build_object('cron_expression', coalesce(tactus.preset(n->>'preset_name'), regexp_replace(cron, '^(CRON_)?TZ=[^ ]+ ', '')));
    end if;
    if coalesce(d->>'rrule', '') <> '' then
        n := n || jsonb_build_object('rrule', tactus.rrule_text(d->>'rrule'));
    end if;
    if n ? 'interval_seconds' and not n ? 'interval_anchor' then
        n := n || jsonb_build_object('interval_anchor', case when previous->'interval_seconds' = n->'interval_seconds' then previous->>'interval_anchor'
            else tactus.spelled_instant(date_trunc('milliseconds', now)) end);
    end if;
    if name <> '' then
        n := n || jsonb_build_object('name', name, 'auto_generated_name', case when previous->>'name' = name then previous->'auto_generated_name' end);
    else
        n := n || jsonb_build_object('name', coalesce(left(nullif(tactus.trimmed(d->>'task_name'), ''), 187), 'schedule') || '-' || right(id::text, 12), 'auto_generated_name', true);
    end if;
    return jsonb_strip_nulls(n - array['args', 'kwargs', 'headers'])
        || coalesce((select jsonb_object_agg(key, value) from jsonb_each(n) where key in ('args', 'kwargs', 'headers')), '{}');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a run carries to its sink.
create or replace function tactus.task_document(d jsonb) returns json language sql immutable parallel safe as $$
    select tactus.spelled('{"task_name": "", "=args": "[]", "=kwargs": "{}"}' || coalesce((select jsonb_object_agg(key, value) from jsonb_each(tactus.wrapped(d))
        where ltrim(key, '=') in ('task_name', 'args', 'kwargs', 'queue', 'priority', 'exchange', 'routing_key', 'headers', 'expires_seconds',
            'time_limit_seconds', 'soft_time_limit_seconds', 'ignore_result', 'ignore_routes', 'shadow', 'stream')), '{}'))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A task with the options of its route that it does not have itself. readable is the task without what SQL cannot decode. Where it
-- goes is one option: a schedule that names a queue or an exchange goes there, and one with a stream, or that ignores routes, has
-- no other options.
create or replace function tactus.routed(task json, readable json) returns json
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    route tactus.routes;
    members text;
begin
    if readable->'stream' is not null or readable->'ignore_routes' is not null then
        return task;
    end if;
    route := tactus.route_of(readable->>'task_name');
    if route.pattern is null then
        return task;
    end if;
    members := concat(
        case when readable->'queue' is null and readable->'exchange' is null then concat('"queue":' || to_json(route.queue)::text || ',',
            '"exchange":' || to_json(route.exchange)::text || ',', '"routing_key":' || to_json(route.routing_key)::text || ',') end,
        case when readable->'priority' is null then '"priority":' || route.priority || ',' end,
        case when readable->'expires_seconds' is null then '"expires_seconds":' || route.expires_seconds || ',' end,
        case when readable->'time_limit_seconds' is null then '"time_limit_seconds":' || route.time_limit_seconds || ',' end,
        case when readable->'soft_time_limit_seconds' is null then '"soft_time_limit_seconds":' || route.soft_time_limit_seconds || ',' end,
        case when readable->'ignore_result' is null and route.ignore_result then '"ignore_result":true,' end);
    return ('{' || members || substr(ltrim(task::text), 2))::json;
end
$$;
-- +goose StatementEnd
