-- +goose Up

-- Celery reads the documents of an adopted row by Python's json and sends what it has read. A number with a point or an
-- exponent is a float there, which jsonb turns into a whole number (1e5 is 100000) or into one of 400 digits (1e400, which
-- Celery sends as Infinity). Such numbers are written so that a worker reads the same float, or else refused for that row.

-- +goose StatementBegin
-- A number of JSON with a point or an exponent, as the digits of the same float. It raises when Python reads Infinity or
-- -0.0, which numeric does not have. Whole numbers, and what is no number of JSON, stay as they are.
create function tactus.adopted_number(written text) returns text language plpgsql immutable parallel safe as $$
declare
    n numeric;
begin
    if written !~ '^-?(0|[1-9][0-9]*)([.][0-9]+)?([eE][-+]?[0-9]+)?$' or written ~ '^-?[0-9]+$' then
        return written;
    end if;
    n := written::numeric;
    if abs(n) < 2e-324 then
        n := 0; -- as Python reads it; the digits could be very many
    end if;
    if n = 0 and left(written, 1) = '-' or abs(n) >= 1.79769313486231580794e308 then
        raise exception using errcode = 'numeric_value_out_of_range', message = written || ' is not kept';
    end if;
    return n::text || case when strpos(n::text, '.') = 0 then '.0' else '' end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A document with the numbers that jsonb would change written otherwise. One that is too large for a schedule in any case is
-- left alone.
create function tactus.adopted_numbers(document text) returns text language sql immutable parallel safe as $$
    select case when length(document) > 1000000 or document !~ '[0-9][eE][-+0-9]|-0|[0-9]{150}[0-9]{150}' then document else coalesce((
        select string_agg(coalesce(part[1], tactus.adopted_number(part[2]), part[3]), '' order by n)
        from regexp_matches(document, $re$("(?:[^"\\]|\\.)*")|(-?[0-9][-+.0-9eE]*)|([^"0-9-]+|["-])$re$, 'g') with ordinality as parts (part, n)), document) end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON document that jsonb cannot hold (the character U+0000, a number that Python reads as Infinity, or nested too deeply)
-- becomes a string of its text, which the check of the definition then refuses.
create or replace function tactus.adopted_document(value json) returns jsonb language plpgsql immutable parallel safe as $$
begin
    return tactus.adopted_numbers(value::text)::jsonb;
exception when data_exception or statement_too_complex then
    return to_jsonb(value::text);
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A JSON value that may be kept as text. Text that is no JSON, or that jsonb cannot hold, stays text, which the check of the
-- definition then refuses.
create or replace function tactus.adopted_json(value jsonb) returns jsonb language plpgsql immutable parallel safe as $$
declare
    parsed jsonb := value;
begin
    if jsonb_typeof(value) = 'string' then
        parsed := tactus.adopted_numbers(nullif(trim(value #>> '{}'), ''))::jsonb;
    end if;
    return case when tactus.too_deep(parsed) then to_jsonb(value #>> '{}') else parsed end;
exception when data_exception or statement_too_complex then
    return value;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Why a document that is JSON stayed a text; null when it is none, or was not a document of that kind.
create function tactus.adopted_unreadable(document text) returns text language plpgsql immutable parallel safe as $$
begin
    begin
        perform document::json;
    exception when data_exception then
        return null;
    end;
    if tactus.too_deep(tactus.adopted_numbers(document)::jsonb) then
        return 'it is nested too deeply: workers read up to 100 levels';
    end if;
    return null;
exception
    when statement_too_complex then
        return 'it is nested too deeply: workers read up to 100 levels';
    when numeric_value_out_of_range then
        return 'there is a number out of all range, which Celery''s beat sends as Infinity, or -0.0: write another one';
    when data_exception then
        return 'there is a character that no text of PostgreSQL holds (U+0000, or half a surrogate pair): take it out';
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
        reason := coalesce(reason, (select string_agg(case when why is null then f->>'code' else 'value_unreadable' end
                || coalesce(' at ' || nullif(f->>'location', ''), '') || ': ' || coalesce(why, f->>'message'), '; ')
            from unnest(faults) as f, lateral (select substr(f->>'location', 2) as member) m, lateral (select case when member in ('args', 'kwargs', 'headers')
                and jsonb_typeof(definition->member) = 'string' then tactus.adopted_unreadable(definition->>member) end as why) w));
        definition := definition - array(select split_part(f->>'location', '/', 2) from unnest(faults) as f where f->>'location' not in ('', '/name'));
        if faults[1]->>'code' = 'payload_too_large' then
            definition := definition - array['args', 'kwargs', 'headers'];
        end if;
    end if;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.adopted_number(text), tactus.adopted_numbers(text), tactus.adopted_unreadable(text) from public;
