-- +goose Up

-- What SQL writes is what the API would: cron expressions are read here as the engine reads them, documents (args, kwargs,
-- headers) are kept as they were written, with their numbers, and what says the same moves nothing.

-- +goose StatementBegin
-- A number of a cron expression, or -1.
create function tactus.cron_number(digits text) returns int language sql immutable parallel safe as $$
    select case when digits ~ '^[0-9]{1,3}$' then digits::int else -1 end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The value that a text names in a field (1 second, 2 minute, 3 hour, 4 day of month, 5 month, 6 day of week), or -1. The day of
-- week may be 7.
create function tactus.cron_value(field int, named text) returns int language sql immutable parallel safe as $$
    select coalesce(case
        when tactus.cron_number(named) between (array[0, 0, 0, 1, 1, 0])[field] and (array[59, 59, 23, 31, 12, 7])[field] then named::int
        when field = 5 then array_position('{january,february,march,april,may,june,july,august,september,october,november,december}'::text[], whole)
        when field = 6 then array_position('{sunday,monday,tuesday,wednesday,thursday,friday,saturday}'::text[], whole) - 1
    end, -1)
    from (select coalesce((select name from unnest('{january,february,march,april,may,june,july,august,september,october,november,december,
            sunday,monday,tuesday,wednesday,thursday,friday,saturday}'::text[]) as name
        where lower(named collate "C") in (name, left(name, 3)) limit 1), '') as whole) w
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- An item of a day field that names days by their place in the month, in its canonical form: null when it is none, empty when it
-- is malformed.
create function tactus.cron_special(field int, item text) returns text language sql immutable parallel safe as $$
    select case
        when field = 4 and low = 'l' then 'L'
        when field = 4 and low in ('lw', 'wl') then 'LW'
        when field = 4 and low like 'l-%' then
            case when tactus.cron_number(substr(low, 3)) between 0 and 30 then 'L-' || substr(low, 3)::int else '' end
        when field = 4 and low like '%w' then
            case when tactus.cron_number(left(low, -1)) between 1 and 31 then left(low, -1)::int || 'W' else '' end
        when field = 6 and low = 'l' then ''
        when field = 6 and strpos(low, '#') > 0 then
            case when tactus.cron_value(6, split_part(low, '#', 1)) >= 0 and tactus.cron_number(substr(low, strpos(low, '#') + 1)) between 1 and 5
                then tactus.cron_value(6, split_part(low, '#', 1)) % 7 || '#' || substr(low, strpos(low, '#') + 1)::int else '' end
        when field = 6 and low like '%l' then
            case when tactus.cron_value(6, left(low, -1)) >= 0 then tactus.cron_value(6, left(low, -1)) % 7 || 'L' else '' end
    end
    from (select lower(item collate "C") as low) l
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A field of a cron expression: its canonical text (null when an item of it is malformed, which is bad), the values that its
-- plain items name, and its other items.
create function tactus.cron_field(field int, written text, out canonical text, out plain int[], out special text[], out bad text)
language plpgsql immutable parallel safe as $$
declare
    least constant int := (array[0, 0, 0, 1, 1, 0])[field];
    size constant int := (array[60, 60, 24, 31, 12, 7])[field];
    items text[] := '{}';
    item text;
    place text;
    span text;
    step int;
    first int;
    last int;
begin
    plain := '{}';
    special := '{}';
    foreach item in array string_to_array(written, ',') loop
        place := case when field in (4, 6) then tactus.cron_special(field, item) end;
        if place <> '' then
            items := items || place;
            special := special || place;
            continue;
        end if;
        span := split_part(item, '/', 1);
        step := case when strpos(item, '/') > 0 then tactus.cron_number(substr(item, strpos(item, '/') + 1)) else 1 end;
        if span in ('*', '?') then
            first := least;
            last := least + size - 1;
        else
            first := tactus.cron_value(field, split_part(span, '-', 1));
            last := case when strpos(span, '-') > 0 then tactus.cron_value(field, substr(span, strpos(span, '-') + 1))
                when strpos(item, '/') > 0 then least + size - 1 else first end;
        end if;
        if place = '' or first < 0 or last < 0 or step not between 1 and 999 then
            bad := item;
            return;
        end if;
        if field = 6 and strpos(span, '-') > 0 and first = 0 and last = 7 then
            last := 6;
        elsif field = 6 then
            first := first % 7;
            last := last % 7;
        end if;
        plain := plain || array(select least + (first - least + n) % size from generate_series(0, (last - first + size) % size, step) as n);
        items := items || (case when span in ('*', '?') then '*' when first <> last then first || '-' || last else first::text end
            || case when step > 1 and (span in ('*', '?') or first <> last) then '/' || step else '' end);
    end loop;
    canonical := array_to_string(items, ',');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether any date of 40 years is a due one. Months of every length begin on every day of the week meanwhile.
create function tactus.cron_ever(months int[], of_month int[], places text[], of_week int[], weekdays text[], either boolean)
returns boolean language plpgsql immutable parallel safe as $$
declare
    every_month constant boolean := cardinality(array(select distinct unnest(of_month))) = 31;
    every_week constant boolean := cardinality(array(select distinct unnest(of_week))) = 7;
begin
    if (every_month or exists (select from unnest(of_month) as d where d <= 28)) and cardinality(of_week) > 0 then
        return true;
    end if;
    return exists (
        select from (select distinct unnest(case when m in (4, 6, 9, 11) then '{30}'::int[] when m = 2 then '{28,29}' else '{31}' end) from unnest(months) as m) as lengths (length)
        cross join generate_series(0, 6) as opening
        cross join generate_series(1, length) as day
        cross join lateral (select (opening + day - 1) % 7 as weekday) w
        cross join lateral (select every_month or day = any (of_month) or exists (
                select from unnest(places) as place
                cross join lateral (select case when place like 'L%' then length - coalesce(nullif(ltrim(place, 'LW-'), '')::int, 0) else rtrim(place, 'W')::int end as target) t
                cross join lateral (select (opening + target - 1) % 7 as falls) f
                where target between 1 and length and day = case when place not like '%W' then target
                    when falls = 6 then case when target = 1 then 3 else target - 1 end
                    when falls = 0 then case when target = length then target - 2 else target + 1 end
                    else target end)) as m (in_month)
        cross join lateral (select every_week or weekday = any (of_week) or exists (
                select from unnest(weekdays) as place where weekday = left(place, 1)::int
                    and case when place like '%L' then day + 7 > length else (day - 1) / 7 + 1 = substr(place, 3)::int end)) as k (in_week)
        where case when either then in_month or in_week else in_month and in_week end);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The seconds of a duration as Go writes it ("1h30m", "90s"); null when it is none, or not positive.
create function tactus.duration_seconds(written text) returns numeric language plpgsql immutable parallel safe as $$
declare
    seconds numeric := 0;
    part text[];
begin
    if length(written) > 64 or written !~ '^[+]?(([0-9]+[.]?[0-9]*|[.][0-9]+)(ns|us|µs|μs|ms|s|m|h))+$' then
        return null;
    end if;
    for part in select regexp_matches(written, '([0-9]*[.]?[0-9]*)(ns|us|µs|μs|ms|s|m|h)', 'g') loop
        seconds := seconds + trunc(trim(trailing '.' from '0' || part[1])::numeric * case part[2] when 'h' then 3600 when 'm' then 60 when 's' then 1
            when 'ms' then 0.001 when 'ns' then 0.000000001 else 0.000001 end, 9);
    end loop;
    return case when seconds between 0.000000001 and 9223372036 then seconds end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reads a cron expression as the engine does: its canonical form without a zone, the zone of its prefix, the seconds of "@every",
-- or its fault.
create function tactus.cron_read(expression text, with_seconds boolean, dialect text, out canonical text, out zone text, out every numeric, out fault jsonb)
language plpgsql immutable parallel safe as $$
declare
    names constant text[] := '{second,minute,hour,day-of-month,month,day-of-week}';
    words text[] := array(select word from regexp_split_to_table(expression, '[ ' || chr(9) || ']+') as word where word <> '');
    missing int := case when with_seconds then 0 else 1 end; -- fields
    nickname text;
    fields text[];
    got record;
    of_month record;
    months record;
begin
    if words[1] ~ '^(CRON_)?TZ=' then
        zone := substr(words[1], strpos(words[1], '=') + 1);
        words := words[2:];
        if zone = '' then
            fault := tactus.fault('cron_syntax', '/cron_expression', 'time-zone: an IANA name such as Asia/Tokyo');
            return;
        end if;
    end if;
    if words[1] like '@%' then
        nickname := lower(words[1] collate "C");
        if nickname = '@every' and cardinality(words) = 2 then
            every := tactus.duration_seconds(words[2]);
            if every is null then
                fault := tactus.fault('cron_syntax', '/cron_expression', '@every ' || to_json(left(words[2], 100)) || ': a duration such as 90s, 5m or 1h30m');
            end if;
            return;
        end if;
        fields := string_to_array(case nickname when '@yearly' then '0 0 1 1 *' when '@annually' then '0 0 1 1 *' when '@monthly' then '0 0 1 * *'
            when '@weekly' then '0 0 * * 0' when '@daily' then '0 0 * * *' when '@midnight' then '0 0 * * *' when '@hourly' then '0 * * * *' end, ' ');
        if fields is null or cardinality(words) <> 1 then
            fault := tactus.fault('cron_syntax', '/cron_expression', to_json(left(words[1], 100)) || ': @yearly, @monthly, @weekly, @daily, @hourly, or @every and a duration');
            return;
        end if;
        words := case when with_seconds then '{0}'::text[] else '{}' end || fields;
    end if;
    if cardinality(words) <> 6 - missing then
        fault := tactus.fault('cron_syntax', '/cron_expression', to_json(left(expression, 200)) || ': want ' || 6 - missing || ' fields, got ' || cardinality(words));
        return;
    end if;
    canonical := '';
    for i in 1 .. 6 - missing loop
        got := tactus.cron_field(i + missing, words[i]);
        if got.bad is not null then
            canonical := null;
            fault := tactus.fault('cron_syntax', '/cron_expression', names[i + missing] || ' ' || to_json(left(got.bad, 100)) || ': there is no such value');
            return;
        end if;
        canonical := canonical || case when i > 1 then ' ' else '' end || got.canonical;
        case i + missing when 4 then of_month := got; when 5 then months := got; else end case;
    end loop;
    if not tactus.cron_ever(months.plain, of_month.plain, of_month.special, got.plain, got.special,
        dialect = 'vixie' and left(words[4 - missing], 1) not in ('*', '?') and left(words[6 - missing], 1) not in ('*', '?'))
    then
        fault := tactus.fault('cron_never_fires', '/cron_expression', to_json(canonical) || ': there is no such date within 40 years');
        canonical := null;
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Without the white space around it, as Go has it.
create function tactus.trimmed(value text) returns text language sql immutable parallel safe as $$
    select btrim(value, E' \t\n\x0b\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether there is a control character; those of lines are none when lines says so.
create function tactus.has_control(value text, lines boolean) returns boolean language sql immutable parallel safe as $$
    select value ~ case when lines then '[' || chr(1) || '-' || chr(8) || chr(11) || '-' || chr(31) || chr(127) || ']' else '[' || chr(1) || '-' || chr(31) || ']' end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The instant that an RFC 3339 text names, cut off at microseconds; null when it is no such text.
create or replace function tactus.instant(text text) returns timestamptz language plpgsql stable parallel safe as $$
begin
    if length(text) > 64 or text !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$' then
        return null;
    end if;
    return (left(text, 19) || coalesce(substring(substr(text, 20) from '^[.][0-9]{1,6}'), '') || substring(text from '([Zz]|[+-][0-9]{2}:[0-9]{2})$'))::timestamptz;
exception when data_exception then
    return null;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- An instant as a definition has it.
create function tactus.spelled_instant(at timestamptz) returns text language sql stable parallel safe as $$
    select rtrim(rtrim(rtrim(tactus.iso(at), 'Z'), '0'), '.') || 'Z'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A fault as the API tells it. It repeats no more of a long input than it takes to find the place.
create or replace function tactus.fault(code text, field text, message text) returns jsonb language sql immutable parallel safe as $$
    select jsonb_build_object('code', code, 'location', left(field, 200) || case when length(field) > 200 then '…' else '' end, 'message', left(message, 1000))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- JSON without white space between its values.
create function tactus.compact(value text) returns text language sql immutable parallel safe as $$
    select case when value ~ '[[:space:]]' then regexp_replace(value, $re$("([^"\\]|\\.)*")|[[:space:]]+$re$, $re$\1$re$, 'g') else value end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The members of an object with their values as they are written. PostgreSQL reads every escape of a document that it takes apart, and
-- raises on U+0000 and on half a surrogate pair: escapes are hidden from it.
create function tactus.members(body json) returns table (member text, value text) language sql immutable parallel safe as $$
    select key, replace(replace(replace(m.value::text, back || back || 'b', chr(1)), back || back || 'u', back || 'u'), chr(1), back || back)
    from (select chr(92) as back) b,
        json_each(replace(replace(replace(body::text, back || back, chr(1)), back || 'u', back || back || 'u'), chr(1), back || back || 'b')::json) as m
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A definition as jsonb, with its documents (args, kwargs, headers) as texts of what was written, under names that begin with =:
-- jsonb would change numbers (1e5) and the order of members, and knows no U+0000.
create function tactus.kept(definition json) returns jsonb language sql immutable parallel safe as $$
    select jsonb_object_agg(case when document then '=' else '' end || member, case when document then to_jsonb(tactus.compact(value)) else value::jsonb end)
    from tactus.members(definition), lateral (select member in ('args', 'kwargs', 'headers') as document) d
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The same of a definition that is jsonb.
create function tactus.wrapped(d jsonb) returns jsonb language sql immutable parallel safe as $$
    select d - '{args,kwargs,headers}'::text[] || coalesce((select jsonb_object_agg('=' || key, tactus.compact(value::text)) from jsonb_each(d)
        where key in ('args', 'kwargs', 'headers')), '{}')
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A definition, or a part of one, as it is stored.
create function tactus.spelled(d jsonb) returns json language sql immutable parallel safe as $$
    select ('{' || coalesce(string_agg(to_json(ltrim(key, '='))::text || ':' || case when key like '=%' then value #>> '{}' else value::text end, ',' order by key), '') || '}')::json
    from jsonb_each(tactus.wrapped(d))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Keys of others in Redis, which neither a stream nor a queue may be named like: our own, and those of Celery, kombu and RedBeat. The
-- same as domain.ReservedKey.
create function tactus.reserved_key(name text) returns boolean language sql immutable parallel safe as $$
    select ltrim(name, '{') ~ '^(tactus:|_kombu[.]|celery-task(set)?-meta-|celeryev|redbeat:|unacked(_index|_mutex|_restore)?$|celery[.]pidbox$)' or name ~ '[.]pidbox$'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Headers that Celery or tactus sets, in lower case. The same as of package celery.
create function tactus.reserved_headers() returns text[] language sql immutable parallel safe as $$
    select '{_children,_protected,args,argsrepr,as_execution_options,callbacks,called_directly,chain,children,
        chord,clear,compression,correlation_id,delivery_info,errbacks,eta,expires,get,group,group_index,
        headers,hostname,id,ignore_result,is_eager,kwargs,kwargsrepr,lang,logfile,loglevel,origin,parent_id,
        periodic_task_name,properties,redelivered,replaced_task_nesting,reply_to,retries,root_id,shadow,
        stamped_headers,stamps,task,taskset,timelimit,traceparent,update,utc,x-tactus-due-at,x-tactus-run-id,
        x-tactus-schedule-id}'::text[]
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What is wrong with the type of a member, for each that is not as it should be; then nothing else of it is looked at.
create or replace function tactus.type_faults(definition jsonb) returns jsonb[] language sql immutable parallel safe as $$
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
-- Every fault in the shape of a definition, by the codes of the API.
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
        ('category', 'cron_expression', 'description', 'exchange', 'name', 'queue', 'routing_key', 'shadow', 'stream', 'task_name', 'timezone') order by key
    loop
        if tactus.has_control(field.value, true) then
            faults := faults || tactus.fault(case field.key when 'name' then 'name_invalid' else 'text_invalid' end, '/' || field.key, 'there is a control character: take it out');
        end if;
        longest := case field.key when 'description' then 2000 when 'cron_expression' then 1000 else 200 end;
        if field.key <> 'name' and length(field.value) > longest then
            faults := faults || tactus.fault('text_invalid', '/' || field.key, length(field.value) || ' characters: at most ' || longest);
        end if;
    end loop;
    if jsonb_typeof(d->'tags') = 'array' then
        if jsonb_array_length(d->'tags') > 50 then
            faults := faults || tactus.fault('text_invalid', '/tags', jsonb_array_length(d->'tags') || ' tags: at most 50');
        end if;
        for field in select n - 1 as n, tag from jsonb_array_elements_text(d->'tags') with ordinality as tags (tag, n)
            where tag = '' or length(tag) > 200 or tactus.has_control(tag, false)
        loop
            faults := faults || tactus.fault('text_invalid', '/tags/' || field.n, 'a tag is 1 to 200 characters, none of them a control character');
        end loop;
    end if;

    -- Its policies.
    for field in select member, choices from (values ('execution_policy', '{allow,skip,queue}'::text[]), ('misfire_policy', '{latest,all,none}'),
        ('cron_dialect', '{celery,vixie}'), ('dst_gap', '{auto,run_after,skip}'), ('dst_overlap', '{auto,first,second,both}')) as choice (member, choices)
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
        case when coalesce(d->>'run_at', '') <> '' then 'run_at' end], null);
    if cardinality(triggers) = 0 then
        faults := faults || tactus.fault('trigger_missing', '', 'say when: give one of cron_expression, interval_seconds, run_at, preset_name');
    elsif cardinality(triggers) > 1 then
        faults := faults || tactus.fault('trigger_ambiguous', '/' || triggers[2], 'a schedule has one trigger, not ' || array_to_string(triggers, ' and ') || ': give one of them');
    elsif triggers[1] = 'cron_expression' and cron <> '' and length(cron) <= 1000 then
        read := tactus.cron_read(cron, coalesce((d->>'cron_seconds')::boolean, false), d->>'cron_dialect');
        if read.fault is not null then
            faults := faults || read.fault;
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
                or coalesce(d->>'stream', '') = '' and (lower(key collate "C") = any (tactus.reserved_headers()) or lower(key collate "C") like 'x-tactus-%')
        loop
            faults := faults || tactus.fault('target_ambiguous', '/headers/' || replace(replace(field.key, '~', '~0'), '/', '~1'),
                'Celery or tactus sets this one itself: use the member of the schedule, or another name');
        end loop;
        for field in select key from jsonb_object_keys(d->'headers') as key where length(key) > 200 loop
            faults := faults || tactus.fault('text_invalid', '/headers/' || field.key, 'the name of a header is at most 200 characters');
        end loop;
    end if;
    for field in select key from jsonb_each_text(d) where key in ('queue', 'stream') and (tactus.reserved_key(value) or key = 'stream' and value = 'celery') order by key loop
        faults := faults || tactus.fault('target_ambiguous', '/' || field.key, to_json(left(d->>field.key, 200)) || ' is the name of a key that tactus or Celery uses itself: choose another');
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
        or key in ('kwargs', 'headers') and value not in ('{}', 'null') or key in ('cron_seconds', 'ignore_result') and value = 'true'), '{}');
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
-- What a trigger's text means: an older one may have its cron expression as it was typed.
create function tactus.trigger_meaning(trigger text) returns jsonb language sql immutable parallel safe as $$
    select t || case when t ? 'cron' then jsonb_build_object('cron', coalesce(
        (tactus.cron_read(t->>'cron', coalesce((t->>'seconds')::boolean, false), t->>'dialect')).canonical, t->>'cron')) else '{}' end
    from (select trigger::jsonb as t) parsed
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- What a run carries to its sink.
create or replace function tactus.task_document(d jsonb) returns json language sql immutable parallel safe as $$
    select tactus.spelled('{"task_name": "", "=args": "[]", "=kwargs": "{}"}' || coalesce((select jsonb_object_agg(key, value) from jsonb_each(tactus.wrapped(d))
        where ltrim(key, '=') in ('task_name', 'args', 'kwargs', 'queue', 'priority', 'exchange', 'routing_key', 'headers', 'expires_seconds',
            'time_limit_seconds', 'soft_time_limit_seconds', 'ignore_result', 'shadow', 'stream')), '{}'))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The write path: makes the schedule of this id what the complete definition says, unless it is already. Its name must be free.
-- A reason says why it cannot be scheduled, a manager which table it was adopted from. The row is locked before anything is
-- decided, and the event is selected from the changed row, so that its position is drawn after the lock.
create or replace function tactus.write_schedule(schedule uuid, d jsonb, reason text, manager text) returns bigint
language plpgsql volatile as $$
declare
    old tactus.schedules;
    new tactus.schedules;
    so_far jsonb;
    kind text;
    timing boolean; -- the due times are others
begin
    select * into old from tactus.schedules where id = schedule for update;
    so_far := tactus.kept(old.definition);
    d := tactus.wrapped(d);
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
                coalesce(d->>'category', ''), new.tags, tactus.spelled(d), tactus.task_document(d)
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
    timing := old.deleted_at is not null or old.anchor is distinct from new.anchor
        or old.trigger <> new.trigger and tactus.trigger_meaning(old.trigger) <> tactus.trigger_meaning(new.trigger)
        or tactus.timing(so_far) is distinct from tactus.timing(d);
    with moment as materialized (select clock_timestamp() as now),
    changed as (
        update tactus.schedules s set name = d->>'name', version = s.version + 1, enabled = new.enabled, invalid_reason = reason, managed_by = manager,
            trigger = new.trigger, anchor = new.anchor, policy = new.policy, category = coalesce(d->>'category', ''), tags = new.tags,
            definition = tactus.spelled(d), task = tactus.task_document(d),
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
-- Takes a body apart: what a definition says beside its documents, with stand-ins for those, which are enough to find faults; the
-- documents, as they were written; and texts that are none.
create function tactus.parted(body json, out d jsonb, out documents jsonb, out faults jsonb[]) language plpgsql stable parallel safe as $$
declare
    m record;
    sort text;
begin
    d := '{}';
    documents := '{}';
    faults := '{}';
    for m in select member, value from tactus.members(body) loop
        begin
            if m.member in ('args', 'kwargs', 'headers', 'task_params') then
                sort := json_typeof(m.value::json);
                d := d || jsonb_build_object(m.member, case when sort = 'null' then 'null' when sort = 'array' then '[]' when sort <> 'object' then '"x"'
                    when m.member = 'headers' then (select coalesce(jsonb_object_agg(name.member, 0), '{}') from tactus.members(m.value::json) as name)
                    else jsonb_build_object('as', tactus.compact(m.value)) - case when tactus.compact(m.value) = '{}' then 'as' else '' end end);
                documents := case when sort = 'null' then documents - m.member else documents || jsonb_build_object(m.member, tactus.compact(m.value)) end;
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
-- Documents as they are stored: what says no more than its absence is left out, and task_params are kwargs with the schedule's id
-- among them.
create function tactus.stored_documents(documents jsonb, schedule uuid) returns jsonb language plpgsql immutable parallel safe as $$
begin
    if documents ? 'task_params' then
        documents := documents - 'task_params' || jsonb_build_object('kwargs', (
            select '{' || coalesce(string_agg(to_json(member)::text || ':' || value || ',', '' order by n), '') || '"schedule_id":"' || schedule || '"}'
            from tactus.members((documents->>'task_params')::json) with ordinality as m (member, value, n) where member <> 'schedule_id'));
    end if;
    return coalesce((select jsonb_object_agg('=' || key, value) from jsonb_each_text(documents) where value not in ('[]', '{}')), '{}');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A definition without faults, with its cron expression in the words of the API. A preset has its own.
create function tactus.with_canonical_trigger(d jsonb) returns jsonb language plpgsql stable parallel safe as $$
declare
    read record;
begin
    if coalesce(d->>'cron_expression', '') = '' or coalesce(d->>'preset_name', '') <> '' then
        return d;
    end if;
    read := tactus.cron_read(d->>'cron_expression', coalesce((d->>'cron_seconds')::boolean, false), d->>'cron_dialect');
    return d - 'cron_expression'
        || case when read.every is null then jsonb_build_object('cron_expression', read.canonical) else jsonb_build_object('interval_seconds', trunc(read.every)::bigint) end
        || case when read.zone <> '' then jsonb_build_object('timezone', read.zone) else '{}' end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Creates the schedule of that name, or replaces its definition (the members of the API's body), and returns its id. It is part of
-- the caller's transaction. Faults are an error, which an SQL savepoint survives: code 22023, detail the faults as JSON.
create function tactus.put_body(body json) returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    part record;
    complete jsonb;
    living tactus.schedules;
    so_far jsonb;
    schedule uuid;
begin
    if body is null or json_typeof(body) <> 'object' then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'want a JSON object')]);
    end if;
    if octet_length(body::text) > 262144 then
        perform tactus.refuse(array[tactus.fault('payload_too_large', '', 'at most 262144 bytes (256 KiB) are kept; store the data elsewhere and pass a reference')]);
    end if;
    part := tactus.parted(body);
    part.faults := part.faults || tactus.definition_faults(part.d);
    if part.faults <> '{}' then
        perform tactus.refuse(part.faults);
    end if;
    part.d := tactus.with_canonical_trigger(part.d - '{args,kwargs,headers,task_params}'::text[]);
    loop
        select * into living from tactus.schedules where name = tactus.trimmed(part.d->>'name') and deleted_at is null for update;
        if living.managed_by is not null then
            raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': change it there';
        end if;
        schedule := coalesce(living.id, tactus.new_id());
        so_far := tactus.kept(living.definition);
        complete := tactus.complete_definition(part.d, schedule, so_far, clock_timestamp()) || tactus.stored_documents(part.documents, schedule);
        if tactus.instant(complete->>'run_at') <= clock_timestamp() and tactus.instant(complete->>'run_at') is distinct from tactus.instant(so_far->>'run_at') then
            perform tactus.refuse(array[tactus.fault('at_in_past', '/run_at', (complete->>'run_at') || ' is past: give a time to come')]);
        end if;
        if tactus.write_schedule(schedule, complete, null, null) is not null then
            return schedule;
        end if; -- another has just taken the name: change theirs
    end loop;
end
$$;
-- +goose StatementEnd

-- What callers call, whatever they call it with. An untyped literal or parameter is taken for text, which PostgreSQL prefers. What
-- was jsonb before it came here has lost the way its numbers were written.

-- +goose StatementBegin
create function tactus.put_schedule(body json) returns uuid language sql volatile security definer set search_path = pg_catalog, pg_temp as $$
    select tactus.put_body(body)
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create or replace function tactus.put_schedule(body jsonb) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    return tactus.put_body(body::text::json);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
create function tactus.put_schedule(body text) returns uuid language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    parsed json;
begin
    begin
        parsed := body::json;
    exception when data_exception then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'this is not JSON: ' || sqlerrm)]);
    end;
    return tactus.put_body(parsed);
end
$$;
-- +goose StatementEnd
