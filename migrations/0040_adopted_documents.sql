-- +goose Up

-- Documents of adopted rows that jsonb cannot hold as Python reads them (U+0000, half a surrogate pair, numbers out of all
-- range, -0.0) are kept as texts of what was written, as those of put_schedule are. So a worker reads what Celery's own beat
-- would have sent it.

-- +goose StatementBegin
-- A JSON value that may be kept as text. Text that is no JSON, that jsonb cannot hold, or that workers would not read, stays
-- text, which the check of the definition looks at. A short one has neither 100 levels nor 4,300 digits.
create or replace function tactus.adopted_json(value jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    parsed jsonb := value;
begin
    if jsonb_typeof(value) = 'string' then
        parsed := tactus.adopted_numbers(nullif(trim(value #>> '{}'), ''))::jsonb;
    end if;
    if length(parsed::text) > 200 and tactus.unreadable_documents(jsonb_build_object('args', parsed::text)) <> '{}' then
        return to_jsonb(value #>> '{}');
    end if;
    return parsed;
exception when data_exception or statement_too_complex then
    return value;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The documents of an adopted definition that are JSON and stayed texts, under names that begin with =.
create function tactus.adopted_documents(definition jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    documents jsonb := '{}';
    member text;
    written text;
begin
    foreach member in array '{args,kwargs,headers}'::text[] loop
        continue when jsonb_typeof(definition->member) is distinct from 'string';
        begin
            written := definition->>member;
            if json_typeof(written::json) in ('array', 'object') then
                documents := documents || jsonb_build_object('=' || member, tactus.compact(written));
            end if;
        exception when data_exception or statement_too_complex then
            null; -- the check of the definition refuses it
        end;
    end loop;
    return documents;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Why a document that Python reads stayed a text; null when it does not read it.
create or replace function tactus.adopted_unreadable(document text) returns text language plpgsql immutable parallel safe as $$
begin
    begin
        perform document::json;
        return null;
    exception when data_exception then
        null;
    end;
    if document ~ 'NaN|Infinity' then
        perform regexp_replace(regexp_replace(document, $re$"(?:[^"\\]|\\.)*"$re$, '""', 'g'), 'NaN|-?Infinity', 'null', 'g')::json;
        return 'NaN and Infinity are not JSON, though Python writes and reads them: write null instead, or a string';
    end if;
    return null;
exception
    when statement_too_complex then
        return 'it is nested too deeply: workers read up to 100 levels';
    when data_exception then
        return null;
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
    documents jsonb;
    part record;
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
    documents := tactus.adopted_documents(definition);
    if documents = '{}' or octet_length(definition::text) > 262144 then
        documents := '{}';
        faults := tactus.definition_faults(definition);
    else
        part := tactus.parted(tactus.spelled(definition - array(select ltrim(member, '=') from jsonb_object_keys(documents) as member) || documents));
        faults := part.faults || tactus.definition_faults(part.d) || tactus.unreadable_documents(part.documents);
    end if;
    if faults <> '{}' then
        reason := coalesce(reason, (select string_agg(case when why is null then f->>'code' else 'value_unreadable' end
                || coalesce(' at ' || nullif(f->>'location', ''), '') || ': ' || coalesce(why, f->>'message'), '; ')
            from unnest(faults) as f, lateral (select substr(f->>'location', 2) as member) m, lateral (select case when member in ('args', 'kwargs', 'headers')
                and jsonb_typeof(definition->member) = 'string' then tactus.adopted_unreadable(definition->>member) end as why) w));
        definition := definition - array(select split_part(f->>'location', '/', 2) from unnest(faults) as f where f->>'location' not in ('', '/name'));
        if faults[1]->>'code' = 'payload_too_large' then
            definition := definition - array['args', 'kwargs', 'headers'];
        end if;
    end if;
    definition := definition - array(select ltrim(member, '=') from jsonb_object_keys(documents) as member)
        || coalesce((select jsonb_object_agg(member, document) from jsonb_each(documents) as d (member, document) where definition ? ltrim(member, '=')), '{}');
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the schedule of one row what the row says; a row that is not there (any more) has none. The tables have been checked.
create or replace function tactus.adopt_one(adoption tactus.adoptions, key text) returns void language plpgsql volatile as $$
declare
    row_of record;
    living tactus.schedules;
    schedule uuid := tactus.adopted_id(adoption.source, key);
    so_far jsonb;
    documents jsonb;
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
    documents := coalesce((select jsonb_object_agg(d.key, d.value) from jsonb_each(row_of.definition) as d where left(d.key, 1) = '='), '{}');
    loop
        if exists (select from tactus.schedules s where s.name = wanted and s.deleted_at is null and s.id <> schedule) then
            wanted := left(wanted, 187) || '-' || right(schedule::text, 12);
        end if;
        row_of.definition := tactus.complete_definition(row_of.definition || jsonb_build_object('name', wanted), schedule, so_far, clock_timestamp()) || documents;
        exit when tactus.write_schedule(schedule, row_of.definition, row_of.reason, adoption.source) is not null;
    end loop;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.adopted_documents(jsonb) from public;
