-- +goose Up

-- +goose StatementBegin
-- Takes a body apart: what a definition says beside its documents, with stand-ins for those, which are enough to find faults; the
-- documents, as they were written; and texts that are none. The names of members may have escapes. A whole number is one that is
-- written as one (60, not 60.0 or 6e1), and interval_seconds has at most 40 characters, as domain.Decode has it: a text in the
-- place of any other number is found as a fault of its type.
create or replace function tactus.parted(body json, out d jsonb, out documents jsonb, out faults jsonb[]) language plpgsql stable parallel safe as $$
declare
    m record;
    sort text;
begin
    d := '{}';
    documents := '{}';
    faults := '{}';
    for m in select member, value from tactus.members(body) loop
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
-- Documents as they are stored: what says no more than its absence is left out, and task_params are kwargs with the schedule's id
-- among them. Names of members get back the escapes that tactus.members has hidden.
create or replace function tactus.stored_documents(documents jsonb, schedule uuid) returns jsonb language plpgsql immutable parallel safe as $$
declare
    back constant text := chr(92);
begin
    if documents ? 'task_params' then
        documents := documents - 'task_params' || jsonb_build_object('kwargs', (
            select '{' || coalesce(string_agg(
                replace(replace(replace(to_json(member)::text, back || back || 'b', chr(1)), back || back || 'u', back || 'u'), chr(1), back || back)
                || ':' || value || ',', '' order by n), '') || '"schedule_id":"' || schedule || '"}'
            from tactus.members((documents->>'task_params')::json) with ordinality as m (member, value, n) where member <> 'schedule_id'));
    end if;
    return coalesce((select jsonb_object_agg('=' || key, value) from jsonb_each_text(documents) where value not in ('[]', '{}')), '{}');
end
$$;
-- +goose StatementEnd
