-- +goose Up

-- Schedules name calendars: exclude_calendars or only_calendars, and on_excluded. What they name is checked as it is
-- written, here with a code that says which name is unknown, and by a trigger of tactus.schedules in any case.

revoke usage on type tactus.calendars from public;

-- What calendars exclude is recorded. The rows that there are have been checked, and are not read again.
alter table tactus.runs drop constraint runs_status_check;
alter table tactus.runs add constraint runs_status_check check (status in ('due', 'sent', 'started', 'retrying', 'succeeded', 'failed',
    'revoked', 'expired', 'skipped', 'missed', 'excluded', 'unknown')) not valid;

-- +goose StatementBegin
-- What is wrong with the calendars of a definition whose members have the right types.
create function tactus.calendar_faults(d jsonb) returns jsonb[] language plpgsql stable parallel safe as $$
declare
    faults jsonb[] := '{}';
    field record;
begin
    if not (d ? 'exclude_calendars' or d ? 'only_calendars' or d ? 'on_excluded') then
        return faults;
    end if;
    d := jsonb_strip_nulls(d);
    if coalesce(d->'exclude_calendars', '[]') <> '[]' and coalesce(d->'only_calendars', '[]') <> '[]' then
        faults := faults || tactus.fault('calendar_ambiguous', '/only_calendars', 'a schedule has exclude_calendars or only_calendars, not both: give one of them');
    end if;
    for field in select member, d->member as names from unnest('{exclude_calendars,only_calendars}'::text[]) as member where jsonb_array_length(d->member) > 10 loop
        faults := faults || tactus.fault('out_of_range', '/' || field.member, jsonb_array_length(field.names) || ' calendars: at most 10');
    end loop;
    for field in select member, n - 1 as n, name from unnest('{exclude_calendars,only_calendars}'::text[]) as member,
        jsonb_array_elements_text(coalesce(d->member, '[]')) with ordinality as names (name, n) limit 50
    loop
        if field.name !~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$' then
            faults := faults || tactus.fault('calendar_name_invalid', '/' || field.member || '/' || field.n,
                to_json(left(field.name, 200)) || ': want letters, digits, dots, hyphens and underscores, at most 100, a letter or digit first');
        elsif not exists (select from tactus.calendars c where c.name = field.name and c.deleted_at is null) then
            faults := faults || tactus.fault('calendar_unknown', '/' || field.member || '/' || field.n, 'there is no calendar ' || field.name || ': make it first');
        end if;
    end loop;
    if coalesce(d->>'on_excluded', '') not in ('', 'skip', 'next_allowed', 'previous_allowed', 'drop_if_taken') then
        faults := faults || tactus.fault('choice_invalid', '/on_excluded', to_json(left(d->>'on_excluded', 200)) || ': want one of skip, next_allowed, previous_allowed, drop_if_taken');
    elsif coalesce(d->>'on_excluded', '') <> '' and coalesce(d->'exclude_calendars', '[]') = '[]' and coalesce(d->'only_calendars', '[]') = '[]' then
        faults := faults || tactus.fault('calendar_missing', '/on_excluded', 'nothing is excluded without calendars: give exclude_calendars or only_calendars, or leave it out');
    end if;
    return faults;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The calendars of a definition without faults, as it is stored: names in order, each once.
create function tactus.calendar_members(d jsonb) returns jsonb language sql stable parallel safe as $$
    select coalesce(jsonb_object_agg(member, names), '{}')
        || case when count(*) > 0 then jsonb_build_object('on_excluded', coalesce(nullif(d->>'on_excluded', ''), 'skip')) else '{}' end
    from unnest('{exclude_calendars,only_calendars}'::text[]) as member, lateral (
        select jsonb_agg(name order by name collate "C") as names
        from (select distinct name from jsonb_array_elements_text(case when jsonb_typeof(d->member) = 'array' then d->member else '[]' end) as name) once
    ) o where names is not null
$$;
-- +goose StatementEnd

revoke all on function tactus.calendar_faults(jsonb), tactus.calendar_members(jsonb) from public;

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
        ('exclude_calendars', 'a list of strings'), ('only_calendars', 'a list of strings'), ('on_excluded', 'a string'),
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
-- Every fault in the shape of a definition, by the codes of the API; of one kind, 50 are enough.
create or replace function tactus.definition_faults(d jsonb) returns jsonb[] language plpgsql stable parallel safe as $$
declare
    max_seconds constant bigint := 10 * 366 * 86400;
    faults jsonb[] := tactus.type_faults(d);
    triggers text[];
    name text := case when jsonb_typeof(d->'name') = 'string' then tactus.trimmed(d->>'name') end;
    cron text;
    read record;
    every numeric;
    every_at text := '/interval_seconds';
    zone text := 'UTC';
    longest int;
    field record;
begin
    if octet_length(d::text) > 262144 then
        return array[tactus.fault('payload_too_large', '', 'at most 262144 bytes (256 KiB) are kept; store the data elsewhere and pass a reference')];
    end if;
    if faults <> '{}' then
        return faults;
    end if;
    cron := coalesce(d->>'cron_expression', '');
    every := coalesce((d->>'interval_seconds')::numeric, 0);
    zone := coalesce(nullif(d->>'timezone', ''), zone);

    -- Who it is.
    if length(name) > 200 then
        faults := faults || tactus.fault('name_invalid', '/name', length(name) || ' characters: at most 200');
    end if;
    if name ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        faults := faults || tactus.fault('name_invalid', '/name', 'a name shaped like a UUID would be taken for an id: add a word');
    end if;
    for field in select key, value #>> '{}' as value from jsonb_each(d) where key in
        ('category', 'cron_expression', 'description', 'exchange', 'name', 'queue', 'routing_key', 'rrule', 'shadow', 'stream', 'task_name', 'timezone') order by key
    loop
        if tactus.has_control(case field.key when 'rrule' then replace(field.value, chr(13), '') else field.value end, true) then
            faults := faults || tactus.fault(case field.key when 'name' then 'name_invalid' else 'text_invalid' end, '/' || field.key, 'there is a control character: take it out');
        end if;
        longest := case field.key when 'description' then 2000 when 'cron_expression' then 1000 when 'rrule' then 8000 else 200 end;
        if field.key <> 'name' and length(field.value) > longest then
            faults := faults || tactus.fault('text_invalid', '/' || field.key, length(field.value) || ' characters: at most ' || longest);
        end if;
    end loop;
    if jsonb_typeof(d->'tags') = 'array' then
        if jsonb_array_length(d->'tags') > 50 then
            faults := faults || tactus.fault('text_invalid', '/tags', jsonb_array_length(d->'tags') || ' tags: at most 50');
        end if;
        for field in select n - 1 as n, tag from jsonb_array_elements_text(d->'tags') with ordinality as tags (tag, n)
            where tag = '' or length(tag) > 200 or tactus.has_control(tag, false) limit 50
        loop
            faults := faults || tactus.fault('text_invalid', '/tags/' || field.n, 'a tag is 1 to 200 characters, none of them a control character');
        end loop;
    end if;

    -- Its policies.
    for field in select member, choices from (values ('execution_policy', '{allow,skip,queue}'::text[]), ('misfire_policy', '{latest,all,none}'),
        ('cron_dialect', '{celery,vixie,quartz,aws}'), ('dst_gap', '{auto,run_after,skip}'), ('dst_overlap', '{auto,first,second,both}')) as choice (member, choices)
        where coalesce(d->>member, '') <> '' and d->>member <> all (choices)
    loop
        faults := faults || tactus.fault('choice_invalid', '/' || field.member, to_json(left(d->>field.member, 200)) || ': want one of ' || array_to_string(field.choices, ', '));
    end loop;
    for field in select member from unnest('{misfire_grace_seconds,misfire_window_seconds,max_runs,jitter_seconds,expires_seconds,time_limit_seconds,soft_time_limit_seconds}'::text[]) as member
        where (d->>member)::numeric not between 0 and max_seconds
    loop
        faults := faults || tactus.fault('out_of_range', '/' || field.member, (d->>field.member) || ': want 0 to ' || max_seconds);
    end loop;
    if (d->>'misfire_grace_seconds')::numeric = 0 and (d->>'misfire_policy' = 'none' or (d->>'misfire_window_seconds')::numeric = 0) then
        faults := faults || tactus.fault('misfire_never_fires', '/misfire_grace_seconds', 'with a grace of 0 seconds every due time is missed, and '
            || case when d->>'misfire_policy' = 'none' then 'misfire_policy none fires nothing that was missed' else 'a window of 0 seconds leaves out all that was missed' end
            || ': nothing would ever fire; give a grace of at least 1 second');
    end if;
    if d->>'execution_policy' in ('skip', 'queue') and coalesce(d->>'stream', '') <> '' then
        faults := faults || tactus.fault('overlap_requires_tracking', '/execution_policy', 'it needs to know when a run ends, which a stream does not tell: use allow, or a Celery queue');
    end if;

    faults := faults || tactus.calendar_faults(d);

    -- When: one trigger, in whole seconds, with times that are instants.
    if coalesce(d->>'preset_name', '') <> '' then
        if tactus.preset(d->>'preset_name') is null then
            faults := faults || tactus.fault('preset_unknown', '/preset_name', 'there is no preset ' || to_json(left(d->>'preset_name', 200)));
        elsif cron not in ('', tactus.preset(d->>'preset_name')) then
            faults := faults || tactus.fault('trigger_ambiguous', '/preset_name', 'the preset is ' || tactus.preset(d->>'preset_name') || ', cron_expression says otherwise: give one of them');
        end if;
    end if;
    triggers := array_remove(array[
        case when cron <> '' or coalesce(d->>'preset_name', '') <> '' then 'cron_expression' end,
        case when every <> 0 then 'interval_seconds' end,
        case when coalesce(d->>'run_at', '') <> '' then 'run_at' end,
        case when coalesce(d->>'rrule', '') <> '' then 'rrule' end], null);
    if cardinality(triggers) = 0 then
        faults := faults || tactus.fault('trigger_missing', '', 'say when: give one of cron_expression, interval_seconds, run_at, rrule, preset_name');
    elsif cardinality(triggers) > 1 then
        faults := faults || tactus.fault('trigger_ambiguous', '/' || triggers[2], 'a schedule has one trigger, not ' || array_to_string(triggers, ' and ') || ': give one of them');
    elsif triggers[1] = 'rrule' then
        if (d->>'rrule') !~* '(^|[[:space:]])DTSTART(;VALUE=DATE(-TIME)?)?:[0-9]{8}(T[0-9]{6})?[[:space:]]*$'
            and (d->>'rrule') !~* ('(^|[[:space:]])DTSTART(;VALUE=DATE(-TIME)?)?:[0-9]{8}(T[0-9]{6})?[ ' || chr(9) || chr(13) || ']*' || chr(10))
        then
            faults := faults || tactus.fault('rrule_syntax', '/rrule', 'here it wants a local DTSTART, such as DTSTART:20260105T093000: when it is written is not known beforehand');
        elsif strpos(upper(d->>'rrule'), 'TZID=') > 0 then
            faults := faults || tactus.fault('rrule_syntax', '/rrule', 'name the zone in timezone, not as TZID');
        elsif upper(d->>'rrule') !~ '(FREQ=|RDATE)' then
            faults := faults || tactus.fault('rrule_syntax', '/rrule', 'say when: a line such as RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO, or RDATE');
        end if;
    elsif triggers[1] = 'cron_expression' and d->>'cron_dialect' = 'aws' and (d->>'cron_seconds')::boolean then
        faults := faults || tactus.fault('cron_syntax', '/cron_seconds', 'aws has no seconds: leave cron_seconds out, or use dialect quartz');
    elsif triggers[1] = 'cron_expression' and cron <> '' and length(cron) <= 1000 then
        read := tactus.cron_read(cron, coalesce((d->>'cron_seconds')::boolean, false), d->>'cron_dialect');
        if read.fault is not null then
            faults := faults || read.fault;
        elsif read.canonical like 'at(%' then
            faults := faults || tactus.fault('time_invalid', '/cron_expression', to_json(read.canonical)
                || ': a local time needs the rules of its zone, which are not known here: give run_at, in RFC 3339 with an offset (2026-03-08T02:30:00+09:00)');
        elsif read.zone <> nullif(d->>'timezone', '') then
            faults := faults || tactus.fault('trigger_ambiguous', '/timezone', 'the expression and timezone name different zones: give one of them');
        end if;
        zone := coalesce(nullif(read.zone, ''), zone);
        if read.every is not null then
            every := read.every;
            every_at := '/cron_expression';
        end if;
    end if;
    if cardinality(triggers) <> 1 or every = 0 then
        null;
    elsif every < 1 then
        faults := faults || tactus.fault('interval_too_small', every_at, every || ': at least 1 second');
    elsif every <> trunc(every) then
        faults := faults || tactus.fault('trigger_unsupported', every_at, every || ': whole seconds only');
    elsif every > max_seconds then
        faults := faults || tactus.fault('out_of_range', every_at, every || ': at most ' || max_seconds || ' seconds');
    elsif (d->>'jitter_seconds')::numeric between every and max_seconds then
        faults := faults || tactus.fault('jitter_too_large', '/jitter_seconds', (d->>'jitter_seconds') || ' seconds reach the next due time: give less');
    end if;
    if length(zone) > 200 then
        null; -- it was told
    elsif zone in ('Local', 'local') or zone !~ '^(UTC|GMT|UCT|Zulu|PRC|ROC|ROK|GB|NZ|GB-Eire|NZ-CHAT|W-SU)$' and octet_length(zone) <= 8 and zone ~ '^[A-Z]+[-+0-9]*$' then
        faults := faults || tactus.fault('timezone_abbreviation', '/timezone', to_json(zone) || ': want an IANA name such as America/New_York');
    elsif zone !~ '^[A-Za-z][A-Za-z0-9_+/-]*$' then
        faults := faults || tactus.fault('timezone_unknown', '/timezone', to_json(zone) || ': want an IANA name such as America/New_York');
    end if;
    for field in select key from jsonb_each_text(d) where key in ('run_at', 'interval_anchor', 'starts_at', 'ends_at') and value <> ''
        and coalesce(tactus.instant(value) not between '1970-01-01Z' and '2200-12-31Z', true) order by key
    loop
        faults := faults || tactus.fault('time_invalid', '/' || field.key, to_json(left(d->>field.key, 64)) || ': want RFC 3339 with an offset (2026-03-08T02:30:00+09:00)');
    end loop;
    if tactus.instant(d->>'ends_at') <= tactus.instant(d->>'starts_at') then
        faults := faults || tactus.fault('end_before_start', '/ends_at', (d->>'ends_at') || ' is not after starts_at ' || (d->>'starts_at'));
    end if;

    -- What to run, and where.
    if coalesce(tactus.trimmed(d->>'task_name'), '') = '' then
        faults := faults || tactus.fault('task_missing', '/task_name', 'say what to run, as the worker registers it ("app.tasks.send")');
    end if;
    if jsonb_typeof(d->'args') not in ('array', 'null') then
        faults := faults || tactus.fault('args_not_list', '/args', 'want a JSON list: [...]');
    end if;
    for field in select member from unnest('{kwargs,task_params}'::text[]) as member where jsonb_typeof(d->member) not in ('object', 'null') loop
        faults := faults || tactus.fault('kwargs_not_object', '/' || field.member, 'want a JSON object: {...}');
    end loop;
    if jsonb_typeof(d->'kwargs') = 'object' and d->'kwargs' <> '{}' and jsonb_typeof(d->'task_params') = 'object' and d->'kwargs' <> d->'task_params' then
        faults := faults || tactus.fault('target_ambiguous', '/task_params', 'task_params is another name of kwargs: give one of them');
    end if;
    if (d->>'priority')::numeric not between 0 and 255 then
        faults := faults || tactus.fault('priority_range', '/priority', left(d->>'priority', 200) || ': want 0 to 255 (on Redis 0 is the highest)');
    end if;
    if jsonb_typeof(d->'headers') = 'object' then
        for field in select key from jsonb_object_keys(d->'headers') as key
            where lower(key collate "C") in ('task', 'id', 'lang', 'root_id', 'parent_id', 'retries', 'eta', 'expires', 'group')
                or coalesce(d->>'stream', '') = '' and (lower(key collate "C") = any (tactus.reserved_headers()) or lower(key collate "C") like 'x-tactus-%') limit 50
        loop
            faults := faults || tactus.fault('target_ambiguous', '/headers/' || replace(replace(field.key, '~', '~0'), '/', '~1'),
                'Celery or tactus sets this one itself: use the member of the schedule, or another name');
        end loop;
        for field in select key from jsonb_object_keys(d->'headers') as key where length(key) > 200 limit 50 loop
            faults := faults || tactus.fault('text_invalid', '/headers/' || field.key, 'the name of a header is at most 200 characters');
        end loop;
    end if;
    for field in select key from jsonb_each_text(d) where key in ('exchange', 'queue', 'stream') and (tactus.reserved_key(value) or key = 'stream' and value = 'celery') order by key loop
        faults := faults || tactus.fault('target_ambiguous', '/' || field.key, to_json(left(d->>field.key, 200)) || ' is a name that tactus or Celery uses itself: choose another');
    end loop;
    if coalesce(d->>'stream', '') <> '' then
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
    n := n || tactus.calendar_members(d);
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
create or replace function tactus.policy_text(d jsonb) returns text language sql immutable parallel safe as $$
    select '{' || array_to_string(array['"starts_at":' || (d->'starts_at')::text, '"ends_at":' || (d->'ends_at')::text,
        '"max_runs":' || (d->>'max_runs'), '"jitter":' || (d->>'jitter_seconds'), '"misfire":' || (d->'misfire_policy')::text,
        '"window":' || (d->>'misfire_window_seconds'), '"grace":' || (d->>'misfire_grace_seconds'), '"expires":' || (d->>'expires_seconds'),
        case when d->>'execution_policy' <> 'allow' then '"overlap":' || (d->'execution_policy')::text end,
        case when d ? 'exclude_calendars' or d ? 'only_calendars' then '"calendars":{' || array_to_string(array[
            '"exclude":' || replace((d->'exclude_calendars')::text, ', ', ','), '"only":' || replace((d->'only_calendars')::text, ', ', ','),
            '"on_excluded":' || (d->'on_excluded')::text, '"timezone":' || (d->'timezone')::text,
            '"dst_gap":' || (d->'dst_gap')::text, '"dst_overlap":' || (d->'dst_overlap')::text], ',') || '}' end], ',') || '}'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What, beside the trigger, moves due times. Jitter moves only when they fire.
create or replace function tactus.timing(d jsonb) returns jsonb language sql stable parallel safe as $$
    select jsonb_build_array(tactus.instant(d->>'starts_at'), tactus.instant(d->>'ends_at'))
        || case when d ? 'exclude_calendars' or d ? 'only_calendars'
            then jsonb_build_array(d->'exclude_calendars', d->'only_calendars', d->'on_excluded', d->'timezone', d->'dst_gap', d->'dst_overlap') else '[]' end
$$;
-- +goose StatementEnd
