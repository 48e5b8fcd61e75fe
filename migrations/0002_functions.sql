-- +goose Up

-- The write path for who has no Go: tactus.put_schedule(definition) and tactus.delete_schedule(name), inside any transaction,
-- from any language. They write the row and its event in one statement, as package outbox does, with the same columns and
-- the same data (TestFunctionsWriteAsGoDoes). The shape of a definition is checked here, with every fault in one error; what
-- only the engine knows (the grammar of cron, the names of zones) is checked by the beat when it reads the schedule. Nothing
-- here rings the bell: the transaction is the caller's.

-- +goose StatementBegin
-- A UUIDv7: unique, and rising with time.
create function tactus.new_id() returns uuid language sql volatile parallel safe as $$
    select encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tactus.iso(at timestamptz) returns text language sql stable parallel safe as $$
    select to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The instant that an RFC 3339 text names; null when it is no such text.
create function tactus.instant(text text) returns timestamptz language plpgsql stable parallel safe as $$
begin
    if text !~ '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$' then
        return null;
    end if;
    return text::timestamptz;
exception when data_exception then
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The same as jsonb; null when it holds what only json can (the character U+0000).
create function tactus.jsonb_of(value json) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return value::jsonb;
exception when data_exception then
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tactus.preset(name text) returns text language sql immutable parallel safe as $$
    select cron from (values
        ('daily_morning', '0 9 * * *'), ('daily_noon', '0 12 * * *'), ('daily_evening', '0 18 * * *'), ('daily_night', '0 21 * * *'),
        ('daily_midnight', '0 0 * * *'), ('business_days_morning', '0 9 * * 1-5'), ('business_days_evening', '0 18 * * 1-5'),
        ('weekly_monday', '0 9 * * 1'), ('weekly_friday', '0 18 * * 5'), ('weekly_sunday', '0 9 * * 0'), ('monthly_first', '0 9 1 * *'),
        ('monthly_last_business_day', '0 9 LW * *'), ('market_open', '0 9 * * 1-5'), ('market_close', '0 15 * * 1-5'),
        ('after_market', '0 16 * * 1-5'), ('every_hour', '0 * * * *'), ('every_30_minutes', '*/30 * * * *'),
        ('every_15_minutes', '*/15 * * * *')) as presets (preset, cron)
    where preset = name
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A fault as the API tells it.
create function tactus.fault(code text, field text, message text) returns jsonb language sql immutable parallel safe as $$
    select jsonb_build_object('code', code, 'location', field, 'message', message)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What is wrong with the type of a member, for each that is not as it should be; then nothing else of it is looked at.
create function tactus.type_faults(definition jsonb) returns jsonb[] language sql immutable parallel safe as $$
    select coalesce(array_agg(case when want is null then tactus.fault('unknown_field', '/' || key, 'there is no such member')
        else tactus.fault('type_invalid', '/' || key, 'want ' || want) end order by key), '{}')
    from jsonb_each(definition) as member (key, value)
    left join (values
        ('name', 'a string'), ('description', 'a string'), ('category', 'a string'), ('tags', 'a list of strings'),
        ('enabled', 'true or false'), ('auto_generated_name', 'true or false'), ('cron_expression', 'a string'),
        ('interval_seconds', 'a number'), ('run_at', 'a string'), ('preset_name', 'a string'), ('cron_dialect', 'a string'),
        ('cron_seconds', 'true or false'), ('timezone', 'a string'), ('dst_gap', 'a string'), ('dst_overlap', 'a string'),
        ('interval_anchor', 'a string'), ('starts_at', 'a string'), ('ends_at', 'a string'), ('max_runs', 'a whole number'),
        ('jitter_seconds', 'a whole number'), ('task_name', 'a string'), ('args', null), ('kwargs', null), ('task_params', null),
        ('queue', 'a string'), ('priority', 'a whole number'), ('exchange', 'a string'), ('routing_key', 'a string'),
        ('headers', 'an object'), ('expires_seconds', 'a whole number'), ('time_limit_seconds', 'a whole number'),
        ('soft_time_limit_seconds', 'a whole number'), ('ignore_result', 'true or false'), ('shadow', 'a string'),
        ('stream', 'a string'), ('execution_policy', 'a string'), ('misfire_policy', 'a string'),
        ('misfire_window_seconds', 'a whole number'), ('misfire_grace_seconds', 'a whole number'),
        -- What an answer carries and a request may carry back: it is not heard.
        ('id', null), ('version', null), ('created_at', null), ('updated_at', null), ('last_run_at', null), ('next_run_at', null),
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
-- Every fault in the shape of a definition, by the codes of the API.
create function tactus.definition_faults(d jsonb) returns jsonb[] language plpgsql stable parallel safe as $$
declare
    max_seconds constant bigint := 10 * 366 * 86400;
    faults jsonb[] := tactus.type_faults(d);
    triggers text[];
    cron text := regexp_replace(trim(d->>'cron_expression'), '^(CRON_)?TZ=\S+\s+', '');
    field record;
begin
    if octet_length(d::text) > 262144 then
        return array[tactus.fault('payload_too_large', '', 'at most 262144 bytes (256 KiB) are kept; store the data elsewhere and pass a reference')];
    end if;
    if faults <> '{}' then
        return faults;
    end if;

    -- Who it is.
    if length(trim(d->>'name')) > 200 then
        faults := faults || tactus.fault('name_invalid', '/name', length(trim(d->>'name')) || ' characters: at most 200');
    end if;
    if trim(d->>'name') ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        faults := faults || tactus.fault('name_invalid', '/name', 'a name shaped like a UUID would be taken for an id: add a word');
    end if;
    for field in select key, value #>> '{}' as value from jsonb_each(d) where key in
        ('category', 'description', 'exchange', 'name', 'queue', 'routing_key', 'shadow', 'stream', 'task_name') order by key
    loop
        if field.value ~ '[\x01-\x08\x0b-\x1f\x7f]' then
            faults := faults || tactus.fault(case field.key when 'name' then 'name_invalid' else 'text_invalid' end, '/' || field.key, 'there is a control character: take it out');
        end if;
        if field.key <> 'name' and length(field.value) > (case field.key when 'description' then 2000 else 200 end) then
            faults := faults || tactus.fault('text_invalid', '/' || field.key, length(field.value) || ' characters: at most ' || case field.key when 'description' then 2000 else 200 end);
        end if;
    end loop;
    if jsonb_typeof(d->'tags') = 'array' then
        if jsonb_array_length(d->'tags') > 50 then
            faults := faults || tactus.fault('text_invalid', '/tags', jsonb_array_length(d->'tags') || ' tags: at most 50');
        end if;
        for field in select n - 1 as n, tag from jsonb_array_elements_text(d->'tags') with ordinality as tags (tag, n)
            where tag = '' or length(tag) > 200 or tag ~ '[\x01-\x1f]'
        loop
            faults := faults || tactus.fault('text_invalid', '/tags/' || field.n, 'a tag is 1 to 200 characters, none of them a control character');
        end loop;
    end if;

    -- Its policies.
    for field in select member, choices from (values ('execution_policy', '{allow,skip,queue}'::text[]), ('misfire_policy', '{latest,all,none}'),
        ('cron_dialect', '{celery,vixie}'), ('dst_gap', '{auto,run_after,skip}'), ('dst_overlap', '{auto,first,second,both}')) as choice (member, choices)
        where coalesce(d->>member, '') <> '' and d->>member <> all (choices)
    loop
        faults := faults || tactus.fault('choice_invalid', '/' || field.member, to_json(d->>field.member) || ': want one of ' || array_to_string(field.choices, ', '));
    end loop;
    for field in select member from unnest('{misfire_grace_seconds,misfire_window_seconds,max_runs,jitter_seconds,expires_seconds,time_limit_seconds,soft_time_limit_seconds}'::text[]) as member
        where (d->>member)::numeric not between 0 and max_seconds
    loop
        faults := faults || tactus.fault('out_of_range', '/' || field.member, (d->>field.member) || ': want 0 to ' || max_seconds);
    end loop;
    if d->>'execution_policy' in ('skip', 'queue') and coalesce(d->>'stream', '') <> '' then
        faults := faults || tactus.fault('overlap_requires_tracking', '/execution_policy', 'it needs to know when a run ends, which a stream does not tell: use allow, or a Celery queue');
    end if;

    -- When: one trigger, in whole seconds, with times that are instants.
    if coalesce(d->>'preset_name', '') <> '' then
        if tactus.preset(d->>'preset_name') is null then
            faults := faults || tactus.fault('preset_unknown', '/preset_name', 'there is no preset ' || to_json(d->>'preset_name'));
        elsif coalesce(cron, '') not in ('', tactus.preset(d->>'preset_name')) then
            faults := faults || tactus.fault('trigger_ambiguous', '/preset_name', 'the preset is ' || tactus.preset(d->>'preset_name') || ', cron_expression says otherwise: give one of them');
        end if;
    end if;
    triggers := array_remove(array[
        case when coalesce(cron, '') <> '' or coalesce(d->>'preset_name', '') <> '' then 'cron_expression' end,
        case when coalesce((d->>'interval_seconds')::numeric, 0) <> 0 then 'interval_seconds' end,
        case when coalesce(d->>'run_at', '') <> '' then 'run_at' end], null);
    if cardinality(triggers) = 0 then
        faults := faults || tactus.fault('trigger_missing', '', 'say when: give one of cron_expression, interval_seconds, run_at, preset_name');
    elsif cardinality(triggers) > 1 then
        faults := faults || tactus.fault('trigger_ambiguous', '/' || triggers[2], 'a schedule has one trigger, not ' || array_to_string(triggers, ' and ') || ': give one of them');
    elsif (d->>'interval_seconds')::numeric < 1 and (d->>'interval_seconds')::numeric <> 0 then
        faults := faults || tactus.fault('interval_too_small', '/interval_seconds', (d->>'interval_seconds') || ': at least 1 second');
    elsif (d->>'interval_seconds')::numeric <> trunc((d->>'interval_seconds')::numeric) then
        faults := faults || tactus.fault('trigger_unsupported', '/interval_seconds', (d->>'interval_seconds') || ': whole seconds only');
    elsif (d->>'interval_seconds')::numeric > max_seconds then
        faults := faults || tactus.fault('out_of_range', '/interval_seconds', (d->>'interval_seconds') || ': at most ' || max_seconds || ' seconds');
    elsif cron ~* '^@every' then
        faults := faults || tactus.fault('cron_syntax', '/cron_expression', '@every is an interval: give interval_seconds');
    elsif triggers[1] = 'cron_expression' and cron <> '' and cron !~ '^@[a-z]+$' and cron !~ (case when (d->>'cron_seconds')::boolean
        then '^[A-Za-z0-9*,/#?-]+(\s+[A-Za-z0-9*,/#?-]+){5}$' else '^[A-Za-z0-9*,/#?-]+(\s+[A-Za-z0-9*,/#?-]+){4}$' end)
    then
        faults := faults || tactus.fault('cron_syntax', '/cron_expression', to_json(cron) || ': want ' || case when (d->>'cron_seconds')::boolean then 6 else 5 end || ' fields');
    end if;
    if coalesce(nullif(d->>'timezone', ''), 'UTC') !~ '^[A-Za-z][A-Za-z0-9_+/-]*$' then
        faults := faults || tactus.fault('timezone_unknown', '/timezone', to_json(d->>'timezone') || ': want an IANA name (Asia/Tokyo)');
    end if;
    if substring(d->>'cron_expression' from '^\s*(?:CRON_)?TZ=(\S+)') <> nullif(d->>'timezone', '') then
        faults := faults || tactus.fault('trigger_ambiguous', '/timezone', 'the expression and timezone name different zones: give one of them');
    end if;
    for field in select key from jsonb_each_text(d) where key in ('run_at', 'interval_anchor', 'starts_at', 'ends_at') and value <> ''
        and coalesce(tactus.instant(value) not between '1970-01-01Z' and '2200-12-31Z', true) order by key
    loop
        faults := faults || tactus.fault('time_invalid', '/' || field.key, to_json(d->>field.key) || ': want RFC 3339 with an offset (2026-03-08T02:30:00+09:00)');
    end loop;
    if tactus.instant(d->>'ends_at') <= tactus.instant(d->>'starts_at') then
        faults := faults || tactus.fault('end_before_start', '/ends_at', (d->>'ends_at') || ' is not after starts_at ' || (d->>'starts_at'));
    end if;

    -- What to run, and where.
    if coalesce(trim(d->>'task_name'), '') = '' then
        faults := faults || tactus.fault('task_missing', '/task_name', 'say what to run, as the worker registers it ("app.tasks.send")');
    end if;
    if jsonb_typeof(d->'args') not in ('array', 'null') then
        faults := faults || tactus.fault('args_not_list', '/args', 'want a JSON list: [...]');
    end if;
    for field in select member from unnest('{kwargs,task_params}'::text[]) as member where jsonb_typeof(d->member) not in ('object', 'null') loop
        faults := faults || tactus.fault('kwargs_not_object', '/' || field.member, 'want a JSON object: {...}');
    end loop;
    if jsonb_typeof(d->'kwargs') = 'object' and d->'kwargs' <> '{}' and jsonb_typeof(d->'task_params') = 'object' then
        faults := faults || tactus.fault('target_ambiguous', '/task_params', 'task_params is another name of kwargs: give one of them');
    end if;
    if (d->>'priority')::numeric not between 0 and 255 then
        faults := faults || tactus.fault('priority_range', '/priority', (d->>'priority') || ': want 0 to 255 (on Redis 0 is the highest)');
    end if;
    if jsonb_typeof(d->'headers') = 'object' then
        for field in select key from jsonb_object_keys(d->'headers') as key
            where key in ('task', 'id', 'lang', 'root_id', 'parent_id', 'retries', 'eta', 'expires', 'group')
        loop
            faults := faults || tactus.fault('target_ambiguous', '/headers/' || field.key, 'Celery''s own header: use the member of the schedule, or another name');
        end loop;
    end if;
    if coalesce(d->>'stream', '') <> '' then
        if d->>'stream' like 'tactus:%' then
            faults := faults || tactus.fault('target_ambiguous', '/stream', 'keys under "tactus:" are tactus'' own: choose another');
        end if;
        for field in select key from jsonb_each(d) where key in ('exchange', 'ignore_result', 'priority', 'queue', 'routing_key', 'shadow',
            'soft_time_limit_seconds', 'time_limit_seconds') and (value not in ('null', '""', '0', 'false') or key = 'priority' and value <> 'null') order by key
        loop
            faults := faults || tactus.fault('target_ambiguous', '/' || field.key, 'a schedule goes to a stream or to a Celery queue, not both: take out stream or ' || field.key);
        end loop;
    end if;
    return faults;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A definition without faults, made complete: defaults spelled out, times in UTC, and nothing kept that says no more than its
-- absence does. previous is the definition so far, by which an interval keeps its phase.
create function tactus.complete_definition(d jsonb, id uuid, previous jsonb, now timestamptz) returns jsonb language plpgsql stable parallel safe as $$
declare
    name text := trim(d->>'name');
    cron text := trim(regexp_replace(d->>'cron_expression', '\s+', ' ', 'g'));
    zone text := coalesce(substring(cron from '^(?:CRON_)?TZ=(\S+) '), nullif(d->>'timezone', ''), nullif(current_setting('tactus.timezone', true), ''), 'UTC');
    n jsonb;
begin
    n := jsonb_build_object('enabled', coalesce((d->>'enabled')::boolean, true), 'timezone', zone, 'task_name', trim(d->>'task_name'),
        'priority', (d->>'priority')::numeric::bigint,
        'misfire_grace_seconds', coalesce((d->>'misfire_grace_seconds')::numeric::bigint, 60),
        'misfire_window_seconds', coalesce((d->>'misfire_window_seconds')::numeric::bigint, 86400));
    n := n || coalesce((select jsonb_object_agg(key, value) from jsonb_each(d) where key in ('description', 'category', 'queue', 'exchange',
        'routing_key', 'shadow', 'stream', 'preset_name') and value <> '""'), '{}');
    n := n || coalesce((select jsonb_object_agg(key, value) from jsonb_each(d) where key in ('tags', 'args') and value not in ('[]', 'null')
        or key in ('kwargs', 'headers') and value not in ('{}', 'null') or key in ('cron_seconds', 'ignore_result') and value = 'true'), '{}');
    n := n || coalesce((select jsonb_object_agg(key, value::numeric::bigint) from jsonb_each(d) where key in ('interval_seconds', 'max_runs',
        'jitter_seconds', 'expires_seconds', 'time_limit_seconds', 'soft_time_limit_seconds') and value not in ('0', 'null')), '{}');
    n := n || coalesce((select jsonb_object_agg(choice, coalesce(nullif(d->>choice, ''), standard)) from (values ('execution_policy', 'allow'),
        ('misfire_policy', 'latest'), ('cron_dialect', 'celery'), ('dst_gap', 'auto'), ('dst_overlap', 'auto')) as choices (choice, standard)), '{}');
    n := n || coalesce((select jsonb_object_agg(key, rtrim(rtrim(rtrim(tactus.iso(tactus.instant(value)), 'Z'), '0'), '.') || 'Z')
        from jsonb_each_text(d) where key in ('run_at', 'interval_anchor', 'starts_at', 'ends_at') and value <> ''), '{}');
    if jsonb_typeof(d->'task_params') = 'object' then
        n := n || jsonb_build_object('kwargs', (d->'task_params') || jsonb_build_object('schedule_id', id));
    end if;
    if coalesce(cron, '') <> '' or n ? 'preset_name' then
        n := n || jsonb_build_object('cron_expression', coalesce(tactus.preset(n->>'preset_name'), regexp_replace(cron, '^(CRON_)?TZ=\S+ ', '')));
    end if;
    if n ? 'interval_seconds' and not n ? 'interval_anchor' then
        n := n || jsonb_build_object('interval_anchor', case when previous->'interval_seconds' = n->'interval_seconds' then previous->>'interval_anchor'
            else rtrim(rtrim(rtrim(tactus.iso(date_trunc('milliseconds', now)), 'Z'), '0'), '.') || 'Z' end);
    end if;
    if name <> '' then
        n := n || jsonb_build_object('name', name, 'auto_generated_name', case when previous->>'name' = name then previous->'auto_generated_name' end);
    else
        n := n || jsonb_build_object('name', coalesce(left(nullif(trim(d->>'task_name'), ''), 187), 'schedule') || '-' || right(id::text, 12), 'auto_generated_name', true);
    end if;
    return jsonb_strip_nulls(n - array['args', 'kwargs', 'headers'])
        || coalesce((select jsonb_object_agg(key, value) from jsonb_each(n) where key in ('args', 'kwargs', 'headers')), '{}');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The trigger of a complete definition, in the canonical text that the beat reads.
create function tactus.trigger_text(d jsonb) returns text language sql immutable parallel safe as $$
    select '{' || array_to_string(case
        when d ? 'run_at' then array['"once":true']
        when d ? 'interval_seconds' then array['"every":' || (d->>'interval_seconds')]
        else array['"cron":' || (d->'cron_expression')::text, '"dialect":' || (d->'cron_dialect')::text,
            case when d ? 'cron_seconds' then '"seconds":true' end, '"timezone":' || (d->'timezone')::text,
            '"gap":' || (d->'dst_gap')::text, '"overlap":' || (d->'dst_overlap')::text]
        end, ',') || '}'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tactus.policy_text(d jsonb) returns text language sql immutable parallel safe as $$
    select '{' || array_to_string(array['"starts_at":' || (d->'starts_at')::text, '"ends_at":' || (d->'ends_at')::text,
        '"max_runs":' || (d->>'max_runs'), '"jitter":' || (d->>'jitter_seconds'), '"misfire":' || (d->'misfire_policy')::text,
        '"window":' || (d->>'misfire_window_seconds'), '"grace":' || (d->>'misfire_grace_seconds'), '"expires":' || (d->>'expires_seconds'),
        case when d->>'execution_policy' <> 'allow' then '"overlap":' || (d->'execution_policy')::text end], ',') || '}'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a run carries to its sink.
create function tactus.task_document(d jsonb) returns json language sql immutable parallel safe as $$
    select (jsonb_build_object('task_name', coalesce(d->'task_name', '""'), 'args', coalesce(d->'args', '[]'), 'kwargs', coalesce(d->'kwargs', '{}'))
        || coalesce((select jsonb_object_agg(key, value) from jsonb_each(d) where key in ('queue', 'priority', 'exchange', 'routing_key', 'headers',
            'expires_seconds', 'time_limit_seconds', 'soft_time_limit_seconds', 'ignore_result', 'shadow', 'stream')), '{}'))::text::json
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The data of a schedule's event: the schedule, as its row has it.
create function tactus.schedule_data(s tactus.schedules) returns json language sql stable parallel safe as $$
    select ('{"created_at":"' || tactus.iso(s.created_at) || '","updated_at":"' || tactus.iso(s.updated_at)
        || '","effective_from":"' || tactus.iso(s.effective_from) || '","trigger_set_at":"' || tactus.iso(s.trigger_set_at)
        || coalesce('","deleted_at":"' || tactus.iso(s.deleted_at), '') || '","id":"' || s.id || '","version":' || s.version
        || coalesce(',"invalid_reason":' || to_json(s.invalid_reason), '') || coalesce(',"managed_by":' || to_json(s.managed_by), '')
        || ',' || ltrim(substr(ltrim(s.definition::text), 2)))::json
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The write path: makes the schedule of this id what the complete definition says, unless it is already. Its name must be free.
-- A reason says why it cannot be scheduled, a manager which table it was adopted from. The row is locked before anything is
-- decided, and the event is selected from the changed row, so that its position is drawn after the lock.
create function tactus.write_schedule(schedule uuid, d jsonb, reason text, manager text) returns bigint
language plpgsql volatile as $$
declare
    old tactus.schedules;
    new tactus.schedules;
    so_far jsonb;
    kind text;
    timing boolean; -- the due times are others
begin
    select * into old from tactus.schedules where id = schedule for update;
    so_far := tactus.jsonb_of(old.definition);
    if old.deleted_at is null and so_far = d and old.invalid_reason is not distinct from reason and old.managed_by is not distinct from manager then
        return old.version;
    end if;
    new.trigger := tactus.trigger_text(d);
    new.policy := tactus.policy_text(d);
    new.anchor := coalesce(d->>'run_at', case when d ? 'interval_seconds' then d->>'interval_anchor' end)::timestamptz;
    new.enabled := (d->>'enabled')::boolean and reason is null;
    new.tags := array(select jsonb_array_elements_text(coalesce(d->'tags', '[]')));
    if old.id is null then
        with moment as materialized (select clock_timestamp() as now),
        changed as (
            insert into tactus.schedules (id, name, version, enabled, invalid_reason, managed_by, trigger, anchor, policy, effective_from,
                trigger_set_at, created_at, updated_at, category, tags, definition, task)
            select schedule, d->>'name', 1, new.enabled, reason, manager, new.trigger, new.anchor, new.policy, now, now, now, now,
                coalesce(d->>'category', ''), new.tags, d::text::json, tactus.task_document(d)
            from moment
            on conflict (name) where deleted_at is null do nothing
            returning *
        )
        insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
        select 'schedule', id, version, case when reason is null then 'schedule.created' else 'schedule.invalidated' end, tactus.schedule_data(changed), updated_at
        from changed;
        return case when found then 1 end;
    end if;
    kind := case when reason <> coalesce(old.invalid_reason, '') then 'schedule.invalidated' when old.deleted_at is not null then 'schedule.created'
        when reason is null and old.invalid_reason is null and so_far - 'enabled' = d - 'enabled' and so_far <> d
            then case when new.enabled then 'schedule.enabled' else 'schedule.disabled' end
        else 'schedule.updated' end;
    timing := old.deleted_at is not null or (old.trigger, old.anchor) is distinct from (new.trigger, new.anchor)
        or tactus.timing(so_far) is distinct from tactus.timing(d);
    with moment as materialized (select clock_timestamp() as now),
    changed as (
        update tactus.schedules s set name = d->>'name', version = s.version + 1, enabled = new.enabled, invalid_reason = reason, managed_by = manager,
            trigger = new.trigger, anchor = new.anchor, policy = new.policy, category = coalesce(d->>'category', ''), tags = new.tags,
            definition = d::text::json, task = tactus.task_document(d),
            effective_from = case when timing or new.enabled and not old.enabled then now else s.effective_from end,
            trigger_set_at = case when timing then now else s.trigger_set_at end,
            created_at = case when old.deleted_at is null then s.created_at else now end, deleted_at = null, updated_at = now
        from moment
        where s.id = schedule and s.version = old.version
        returning s.*
    )
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, kind, tactus.schedule_data(changed), updated_at from changed;
    return old.version + 1;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What, beside the trigger, moves due times. Jitter moves only when they fire.
create function tactus.timing(d jsonb) returns jsonb language sql stable parallel safe as $$
    select jsonb_build_array(tactus.instant(d->>'starts_at'), tactus.instant(d->>'ends_at'))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the schedule of this id, which stays as a tombstone; false when there is none.
create function tactus.remove_schedule(schedule uuid) returns boolean language plpgsql volatile as $$
begin
    with moment as materialized (select clock_timestamp() as now),
    changed as (
        update tactus.schedules s set version = s.version + 1, deleted_at = now, updated_at = now
        from moment
        where s.id = schedule and s.deleted_at is null
        returning s.*
    )
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, 'schedule.deleted', tactus.schedule_data(changed), updated_at from changed;
    return found;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises all faults as one error; its detail is the list that the API would answer.
create function tactus.refuse(faults jsonb[]) returns void language plpgsql stable parallel safe as $$
begin
    raise exception using errcode = 'invalid_parameter_value', detail = to_jsonb(faults)::text, message = 'tactus: ' || (
        select string_agg((f->>'code') || coalesce(' at ' || nullif(f->>'location', ''), '') || ': ' || (f->>'message'), '; ' order by n)
        from unnest(faults) with ordinality as all_of_them (f, n));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Creates the schedule of that name, or replaces its definition (the members of the API's body), and returns its id. It is part of
-- the caller's transaction. Faults are an error, which an SQL savepoint survives: code 22023, detail the faults as JSON.
create function tactus.put_schedule(body jsonb) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    faults jsonb[];
    complete jsonb;
    living tactus.schedules;
    schedule uuid;
begin
    if jsonb_typeof(body) is distinct from 'object' then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'want a JSON object')]);
    end if;
    faults := tactus.definition_faults(body);
    if faults <> '{}' then
        perform tactus.refuse(faults);
    end if;
    loop
        select * into living from tactus.schedules where name = trim(body->>'name') and deleted_at is null for update;
        if living.managed_by is not null then
            raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': change it there';
        end if;
        schedule := coalesce(living.id, tactus.new_id());
        complete := tactus.complete_definition(body, schedule, tactus.jsonb_of(living.definition), clock_timestamp());
        if (complete->>'run_at')::timestamptz <= clock_timestamp() and complete->>'run_at' is distinct from living.definition->>'run_at' then
            perform tactus.refuse(array[tactus.fault('at_in_past', '/run_at', (complete->>'run_at') || ' is past: give a time to come')]);
        end if;
        if tactus.write_schedule(schedule, complete, null, null) is not null then
            return schedule;
        end if; -- another has just taken the name: change theirs
    end loop;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Deletes the schedule of that name or id; false when there is none.
create function tactus.delete_schedule(schedule text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    living tactus.schedules;
begin
    select * into living from tactus.schedules where (name = schedule or id::text = lower(schedule)) and deleted_at is null for update;
    if living.managed_by is not null then
        raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': delete it there';
    end if;
    return living.id is not null and tactus.remove_schedule(living.id);
end
$$;
-- +goose StatementEnd
