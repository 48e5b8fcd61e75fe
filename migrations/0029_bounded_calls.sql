-- +goose Up

-- +goose StatementBegin
-- The same as domain.ReservedKey: names of keys, queues and exchanges. TACTUS_KEY_PREFIX may stand before our own keys.
create or replace function tactus.reserved_key(name text) returns boolean language sql immutable parallel safe as $$
    select name ~ '(^|[^A-Za-z0-9_])tactus:' or ltrim(name, '{') ~ '^(_kombu[.]|celery-task(set)?-meta-|celeryev|celeryresults$|celery_delayed_|redbeat:|unacked(_index|_mutex|_restore)?$|celery[.]pidbox$)' or name ~ '[.]pidbox$'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises faults as one error; its detail is the list that the API would answer: of no more than 50, as there.
create or replace function tactus.refuse(faults jsonb[]) returns void language plpgsql stable parallel safe as $$
begin
    raise exception using errcode = 'invalid_parameter_value', detail = to_jsonb(faults[:50])::text, message = 'tactus: ' || (
        select string_agg((f->>'code') || coalesce(' at ' || nullif(f->>'location', ''), '') || ': ' || (f->>'message'), '; ' order by n)
        from unnest(faults[:50]) with ordinality as all_of_them (f, n));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Takes a body apart: what a definition says beside its documents, with stand-ins for those, which are enough to find faults; the
-- documents, as they were written; and texts that are none. The names of members may have escapes. A whole number is one that is
-- written as one (60, not 60.0 or 6e1), and interval_seconds has at most 40 characters, as domain.Decode has it: a text in the
-- place of any other number is found as a fault of its type.
create or replace function tactus.parted(body json, out d jsonb, out documents jsonb, out faults jsonb[]) language plpgsql stable parallel safe as $$
declare
    m record;
    sort text;
    looked_at bigint := 0;
begin
    d := '{}';
    documents := '{}';
    faults := '{}';
    for m in select member, value from tactus.members(body) loop
        -- There are no 200 members: more are faults enough, and each costs as much as there are of them.
        looked_at := looked_at + 1;
        exit when cardinality(faults) >= 50 or looked_at % 100 = 0 and (select count(*) from jsonb_object_keys(d)) > 200;
        begin
            if strpos(m.member, chr(92) || 'u') > 0 then
                m.member := ('"' || m.member || '"')::json #>> '{}';
            end if;
            if m.member in ('args', 'kwargs', 'headers', 'task_params') then
                sort := json_typeof(m.value::json);
                d := d || jsonb_build_object(m.member, case when sort = 'null' then 'null' when sort = 'array' then '[]' when sort <> 'object' then '"x"'
                    when m.member = 'headers' then (select coalesce(jsonb_object_agg(name.member, 0), '{}') from tactus.members(m.value::json) as name)
                    else jsonb_build_object('as', tactus.compact(m.value)) - case when tactus.compact(m.value) = '{}' then 'as' else '' end end);
                documents := case when sort = 'null' then documents - m.member else documents || jsonb_build_object(m.member, tactus.compact(m.value)) end;
            elsif json_typeof(m.value::json) = 'number' and (m.member = 'interval_seconds' and length(m.value) > 40 or m.value !~ '^-?[0-9]+$' and m.member in ('priority',
                'max_runs', 'jitter_seconds', 'misfire_grace_seconds', 'misfire_window_seconds', 'expires_seconds', 'time_limit_seconds', 'soft_time_limit_seconds'))
            then
                d := d || jsonb_build_object(m.member, 'no such number');
            else
                d := d || jsonb_build_object(m.member, m.value::jsonb);
            end if;
        exception when data_exception then
            d := d - m.member;
            faults := faults || tactus.fault(case m.member when 'name' then 'name_invalid' else 'text_invalid' end, '/' || m.member,
                'there is a character that no text holds (U+0000, or half a surrogate pair), or a number out of all range: take it out');
        end;
    end loop;
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
-- Deletes the schedule of that name or id, each of which has an index; false when there is none.
create or replace function tactus.delete_schedule(schedule text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    living tactus.schedules;
begin
    select * into living from tactus.schedules where name = schedule and deleted_at is null for update;
    if not found and schedule ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        select * into living from tactus.schedules where id = schedule::uuid and deleted_at is null for update;
    end if;
    if living.managed_by is not null then
        raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': delete it there';
    end if;
    return living.id is not null and tactus.remove_schedule(living.id);
end
$$;
-- +goose StatementEnd
