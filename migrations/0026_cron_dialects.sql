-- +goose Up

-- What SQL writes in the dialects of Quartz and AWS is read as the engine reads it: days of the week that count from 1, which is
-- Sunday, a ? in one of the day fields, years, and what AWS writes around the fields. They replace the functions that knew
-- the grammar of cron alone.

drop function tactus.cron_value(int, text);
drop function tactus.cron_special(int, text);
drop function tactus.cron_field(int, text);
drop function tactus.cron_ever(int[], int[], text[], int[], text[], boolean);

-- +goose StatementBegin
-- The value that a text names in a field (1 second, 2 minute, 3 hour, 4 day of month, 5 month, 6 day of week, 7 year), or -1. The day
-- of week counts from 0, and may be 7, but is written from 1 in the dialects of Quartz and AWS.
create function tactus.cron_value(field int, named text, dialect text) returns int language sql immutable parallel safe as $$
    select coalesce(case
        when field = 7 then case when named ~ '^[0-9]{1,4}$' and named::int between 1970 and case dialect when 'quartz' then 2099 else 2199 end then named::int end
        when field = 6 and dialect in ('quartz', 'aws') and tactus.cron_number(named) between 1 and 7 then named::int - 1
        when not (field = 6 and dialect in ('quartz', 'aws'))
            and tactus.cron_number(named) between (array[0, 0, 0, 1, 1, 0])[field] and (array[59, 59, 23, 31, 12, 7])[field] then named::int
        when field = 5 then array_position('{january,february,march,april,may,june,july,august,september,october,november,december}'::text[], whole)
        when field = 6 then array_position('{sunday,monday,tuesday,wednesday,thursday,friday,saturday}'::text[], whole) - 1
    end, -1)
    from (select coalesce((select name from unnest('{january,february,march,april,may,june,july,august,september,october,november,december,
            sunday,monday,tuesday,wednesday,thursday,friday,saturday}'::text[]) as name
        where lower(named collate "C") in (name, left(name, 3)) limit 1), '') as whole) w
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- An item of a day field that names days by their place in the month, in its canonical form but with Sunday as 0: null when it is
-- none, empty when it is malformed.
create function tactus.cron_special(field int, item text, dialect text) returns text language sql immutable parallel safe as $$
    select case
        when field = 4 and low = 'l' then 'L'
        when field = 4 and low in ('lw', 'wl') then 'LW'
        when field = 4 and low like 'l-%' then
            case when tactus.cron_number(digits) between 0 and 30 then 'L-' || digits::int || case when low like '%w' then 'W' else '' end else '' end
        when field = 4 and low like '%w' then
            case when tactus.cron_number(left(low, -1)) between 1 and 31 then left(low, -1)::int || 'W' else '' end
        when field = 6 and low = 'l' then ''
        when field = 6 and strpos(low, '#') > 0 then
            case when tactus.cron_value(6, split_part(low, '#', 1), dialect) >= 0 and tactus.cron_number(substr(low, strpos(low, '#') + 1)) between 1 and 5
                then tactus.cron_value(6, split_part(low, '#', 1), dialect) % 7 || '#' || substr(low, strpos(low, '#') + 1)::int else '' end
        when field = 6 and low like '%l' then
            case when tactus.cron_value(6, left(low, -1), dialect) >= 0 then tactus.cron_value(6, left(low, -1), dialect) % 7 || 'L' else '' end
    end
    from (select lower(item collate "C") as low) l, lateral (select substr(low, 3, length(low) - 2 - case when low like '%w' then 1 else 0 end) as digits) n
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A field of a cron expression: its canonical text (null when an item of it is malformed, which is bad), the values that its
-- plain items name, and its other items with Sunday as 0.
create function tactus.cron_field(field int, written text, dialect text, out canonical text, out plain int[], out special text[], out bad text)
language plpgsql immutable parallel safe as $$
declare
    from_one constant boolean := dialect in ('quartz', 'aws');
    sunday constant int := case when field = 6 and dialect in ('quartz', 'aws') then 1 else 0 end; -- as it is written
    least constant int := (array[0, 0, 0, 1, 1, 0, 1970])[field];
    size constant int := (array[60, 60, 24, 31, 12, 7, case dialect when 'quartz' then 130 else 230 end])[field];
    items text[] := '{}';
    item text;
    place text;
    span text;
    every boolean;
    step int;
    first int;
    last int;
begin
    plain := '{}';
    special := '{}';
    if from_one and written = '?' and field in (4, 6) then
        canonical := '?';
        plain := array(select generate_series(least, least + size - 1));
        return;
    end if;
    foreach item in array string_to_array(written, ',') loop
        if from_one and strpos(item, '?') > 0 then
            bad := item;
            return;
        elsif sunday = 1 and item in ('l', 'L') then
            item := '7'; -- the last day of the week
        end if;
        place := case when field in (4, 6) then tactus.cron_special(field, item, dialect) end;
        if place <> '' then
            items := items || case when sunday = 1 then left(place, 1)::int + 1 || substr(place, 2) else place end;
            special := special || place;
            continue;
        end if;
        span := split_part(item, '/', 1);
        every := span in ('*', '?') or from_one and span = '' and strpos(item, '/') = 1;
        step := case when strpos(item, '/') > 0 then tactus.cron_number(substr(item, strpos(item, '/') + 1)) else 1 end;
        if every then
            first := least;
            last := least + size - 1;
        else
            first := tactus.cron_value(field, split_part(span, '-', 1), dialect);
            last := case when strpos(span, '-') > 0 then tactus.cron_value(field, substr(span, strpos(span, '-') + 1), dialect)
                when strpos(item, '/') > 0 then least + size - 1 else first end;
        end if;
        if place = '' or first < 0 or last < 0 or field = 7 and last < first or step not between 1 and 999 then
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
        items := items || (case when every then '*' when first <> last then first + sunday || '-' || last + sunday else (first + sunday)::text end
            || case when step > 1 and (every or first <> last) then '/' || step else '' end);
    end loop;
    canonical := array_to_string(items, ',');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether any date of 40 years is a due one, or of the years given. Months of every length begin on every day of the week
-- in 40 years.
create function tactus.cron_ever(months int[], of_month int[], places text[], of_week int[], weekdays text[], either boolean, years int[])
returns boolean language plpgsql immutable parallel safe as $$
declare
    every_month constant boolean := cardinality(array(select distinct unnest(of_month))) = 31;
    every_week constant boolean := cardinality(array(select distinct unnest(of_week))) = 7;
begin
    if (years is null or every_month or every_week) and (every_month or exists (select from unnest(of_month) as d where d <= 28)) and cardinality(of_week) > 0 then
        return true;
    end if;
    return exists (
        select from (
            select unnest(case when m in (4, 6, 9, 11) then '{30}'::int[] when m = 2 then '{28,29}' else '{31}' end), opening
            from unnest(months) as m cross join generate_series(0, 6) as opening where years is null
            union
            select make_date(y + m / 12, m % 12 + 1, 1) - make_date(y, m, 1), extract(dow from make_date(y, m, 1))::int
            from unnest(years) as y cross join unnest(months) as m
        ) as month (length, opening)
        cross join generate_series(1, length) as day
        cross join lateral (select (opening + day - 1) % 7 as weekday) w
        cross join lateral (select every_month or day = any (of_month) or exists (
                select from unnest(places) as place
                cross join lateral (select case when place like 'L%' then length - coalesce(nullif(btrim(place, 'LW-'), '')::int, 0) else rtrim(place, 'W')::int end as target) t
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
-- Reports whether a text is a local time as AWS writes it, of a day that there is.
create function tactus.local_time(written text) returns boolean language sql immutable parallel safe as $$
    select case when written ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$' then
        substr(written, 9, 2)::int <= case when substr(written, 6, 2) in ('04', '06', '09', '11') then 30 when substr(written, 6, 2) <> '02' then 31
            when left(written, 4)::int % 4 = 0 and (left(written, 4)::int % 100 <> 0 or left(written, 4)::int % 400 = 0) then 29 else 28 end
    else false end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reads a cron expression as the engine does: its canonical form without a zone, the zone of its prefix, the seconds of "@every" or
-- "rate(...)", or its fault. A local time has the canonical form at(...).
create or replace function tactus.cron_read(expression text, with_seconds boolean, dialect text, out canonical text, out zone text, out every numeric, out fault jsonb)
language plpgsql immutable parallel safe as $$
declare
    names constant text[] := '{second,minute,hour,day-of-month,month,day-of-week,year}';
    from_one constant boolean := coalesce(dialect in ('quartz', 'aws'), false);
    words text[] := array(select word from regexp_split_to_table(expression, '[ ' || chr(9) || ']+') as word where word <> '');
    missing int := case when dialect = 'quartz' or with_seconds then 0 else 1 end; -- fields
    wanted int; -- fields
    inside text;
    nickname text;
    fields text[];
    got record;
    of_month record;
    months record;
    of_week record;
    years int[];
begin
    dialect := coalesce(dialect, 'celery');
    if words[1] ~ '^(CRON_)?TZ=' then
        zone := substr(words[1], strpos(words[1], '=') + 1);
        words := words[2:];
        if zone = '' then
            fault := tactus.fault('cron_syntax', '/cron_expression', 'time-zone: an IANA name such as Asia/Tokyo');
            return;
        end if;
    end if;
    if dialect = 'aws' and with_seconds then
        fault := tactus.fault('cron_syntax', '/cron_expression', 'aws has no seconds: leave cron_seconds out, or use dialect quartz');
        return;
    elsif dialect = 'aws' and strpos(words[1], '(') > 0 then
        nickname := lower(split_part(words[1], '(', 1) collate "C");
        inside := regexp_replace(expression, '^[ ' || chr(9) || ']*((CRON_)?TZ=[^ ' || chr(9) || ']*)?', '');
        inside := rtrim(substr(inside, strpos(inside, '(') + 1), ' ' || chr(9));
        if right(inside, 1) <> ')' or nickname not in ('cron', 'rate', 'at') then
            fault := tactus.fault('cron_syntax', '/cron_expression', to_json(left(expression, 200)) || ': want cron(...), rate(...) or at(...)');
            return;
        end if;
        inside := left(inside, -1);
        words := array(select word from regexp_split_to_table(inside, '[ ' || chr(9) || ']+') as word where word <> '');
        if nickname = 'rate' then
            if cardinality(words) = 2 and words[1] ~ '^[0-9]{1,5}$' and lower(words[2] collate "C") ~ '^(minute|hour|day)s?$' and words[1]::int > 0 then
                every := words[1]::int * case left(lower(words[2] collate "C"), 1) when 'm' then 60 when 'h' then 3600 else 86400 end::numeric;
            else
                fault := tactus.fault('cron_syntax', '/cron_expression', 'rate ' || to_json(left(inside, 100))
                    || ': a whole number from 1 to 99999 and minute(s), hour(s) or day(s), such as rate(5 minutes)');
            end if;
            return;
        elsif nickname = 'at' then
            inside := btrim(inside, ' ' || chr(9));
            if tactus.local_time(inside) then
                canonical := 'at(' || inside || ')';
            else
                fault := tactus.fault('cron_syntax', '/cron_expression', 'at ' || to_json(left(inside, 100)) || ': a local time such as at(2026-11-20T13:00:00)');
            end if;
            return;
        end if;
    elsif from_one and words[1] like '@%' then
        fault := tactus.fault('cron_syntax', '/cron_expression', to_json(left(words[1], 100)) || ': there are no such names in this dialect: write the fields');
        return;
    elsif words[1] like '@%' then
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
    wanted := case when dialect = 'aws' or dialect = 'quartz' and cardinality(words) = 7 then 7 else 6 end - missing;
    if cardinality(words) <> wanted then
        fault := tactus.fault('cron_syntax', '/cron_expression', to_json(left(expression, 200)) || ': want '
            || case when dialect = 'quartz' then '6 or 7' else wanted::text end || ' fields, got ' || cardinality(words)
            || case when not from_one and cardinality(words) = 7 - missing and words[cardinality(words)] ~ '^(19|20|21)[0-9]{2}'
                then ': a year is of the dialects quartz (with seconds) and aws' else '' end);
        return;
    end if;
    canonical := '';
    for i in 1 .. wanted loop
        got := tactus.cron_field(i + missing, words[i], dialect);
        if got.bad is not null then
            canonical := null;
            fault := tactus.fault('cron_syntax', '/cron_expression', names[i + missing] || ' ' || to_json(left(got.bad, 100)) || ': there is no such value');
            return;
        end if;
        case i + missing when 4 then of_month := got; when 5 then months := got; when 6 then of_week := got; else end case;
        if i + missing = 7 and got.canonical <> '*' then
            years := got.plain;
        end if;
        if i + missing < 7 or dialect = 'aws' or got.canonical <> '*' then -- Quartz leaves out what says every year
            canonical := canonical || case when i > 1 then ' ' else '' end || got.canonical;
        end if;
    end loop;
    if dialect = 'aws' then
        canonical := 'cron(' || canonical || ')';
    end if;
    if from_one and (strpos(words[4 - missing], '?') > 0) = (strpos(words[6 - missing], '?') > 0) then
        canonical := null;
        fault := tactus.fault('cron_syntax', '/cron_expression', 'day-of-week ' || to_json(left(words[6 - missing], 100))
            || ': write ? in one of day-of-month and day-of-week, and only there: the other one says the days');
    elsif not tactus.cron_ever(months.plain, of_month.plain, of_month.special, of_week.plain, of_week.special,
        dialect = 'vixie' and left(words[4 - missing], 1) not in ('*', '?') and left(words[6 - missing], 1) not in ('*', '?'), years)
    then
        fault := tactus.fault('cron_never_fires', '/cron_expression', to_json(canonical) || ': there is no such date within 40 years, or in the years given');
        canonical := null;
    end if;
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
        case when coalesce(d->>'run_at', '') <> '' then 'run_at' end], null);
    if cardinality(triggers) = 0 then
        faults := faults || tactus.fault('trigger_missing', '', 'say when: give one of cron_expression, interval_seconds, run_at, preset_name');
    elsif cardinality(triggers) > 1 then
        faults := faults || tactus.fault('trigger_ambiguous', '/' || triggers[2], 'a schedule has one trigger, not ' || array_to_string(triggers, ' and ') || ': give one of them');
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
-- A definition without faults, with its cron expression in the words of the API. A preset has its own.
create or replace function tactus.with_canonical_trigger(d jsonb) returns jsonb language plpgsql stable parallel safe as $$
declare
    read record;
begin
    if coalesce(d->>'cron_expression', '') = '' or coalesce(d->>'preset_name', '') <> '' then
        return d;
    end if;
    read := tactus.cron_read(d->>'cron_expression', coalesce((d->>'cron_seconds')::boolean, false), d->>'cron_dialect');
    return d - 'cron_expression' - case when d->>'cron_dialect' = 'quartz' then 'cron_seconds' else '' end -- which it has anyway
        || case when read.every is null then jsonb_build_object('cron_expression', read.canonical) else jsonb_build_object('interval_seconds', trunc(read.every)::bigint) end
        || case when read.zone <> '' then jsonb_build_object('timezone', read.zone) else '{}' end;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.cron_value(int, text, text), tactus.cron_special(int, text, text), tactus.cron_field(int, text, text),
    tactus.cron_ever(int[], int[], text[], int[], text[], boolean, int[]), tactus.local_time(text) from public;
