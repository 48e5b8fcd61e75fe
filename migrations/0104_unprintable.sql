-- +goose Up

-- U+0080 to U+009F and the separators U+2028 and U+2029 move a cursor or end a line, as the control characters do that were
-- refused all along, and so does U+007F in tags. They are refused in what is newly written; what a schedule has already may stay.

-- +goose StatementBegin
create function tactus.has_unprintable(value text) returns boolean language sql immutable parallel safe as $$
    select value ~ ('[' || chr(127) || '-' || chr(159) || chr(8232) || chr(8233) || ']')
$$;
-- +goose StatementEnd

-- unprintable_faults leaves out what definition_faults finds, and the texts that the schedule had before.
-- +goose StatementBegin
create function tactus.unprintable_faults(d jsonb, previous jsonb) returns jsonb[] language sql immutable parallel safe as $$
    select coalesce(array_agg(fault order by place), '{}') from (
        select key as place, tactus.fault(case key when 'name' then 'name_invalid' else 'text_invalid' end, '/' || key, 'there is a control character: take it out') as fault
        from jsonb_each(d), lateral (select value #>> '{}' as text) t
        where key in ('category', 'cron_expression', 'description', 'exchange', 'name', 'queue', 'routing_key', 'rrule', 'shadow', 'stream', 'task_name', 'timezone')
            and jsonb_typeof(value) = 'string' and tactus.has_unprintable(text)
            and not tactus.has_control(case key when 'rrule' then replace(text, chr(13), '') else text end, true)
            and text is distinct from previous->>key and (key not in ('name', 'task_name') or tactus.trimmed(text) is distinct from previous->>key)
        union all
        (select 'tags', tactus.fault('text_invalid', '/tags/' || n - 1, 'a tag is 1 to 200 characters, none of them a control character')
        from jsonb_array_elements_text(case when jsonb_typeof(d->'tags') = 'array' and not jsonb_path_exists(d->'tags', 'strict $[*] ? (@.type() != "string")')
            then d->'tags' else '[]' end) with ordinality as tags (tag, n)
        where tactus.has_unprintable(tag) and length(tag) <= 200 and not tactus.has_control(tag, false) and not coalesce(previous->'tags' ? tag, false) limit 50)
    ) found
$$;
-- +goose StatementEnd

revoke all on function tactus.has_unprintable(text), tactus.unprintable_faults(jsonb, jsonb) from public;

-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('put_body(json)', $$    part.faults := part.faults || tactus.unreadable_documents(part.documents);
    if$$, $$    if tactus.has_unprintable((part.d - '{args,kwargs,headers,task_params}'::text[])::text) then
        part.faults := part.faults || tactus.unprintable_faults(part.d, (
            select tactus.kept(s.definition) from tactus.schedules s where s.name = tactus.trimmed(part.d->>'name') and s.deleted_at is null));
    end if;
    part.faults := part.faults || tactus.unreadable_documents(part.documents);
    if$$),
        ('adopted_called(text)', $$chr(31) || chr(127) || ']'$$, $$chr(31) || chr(127) || '-' || chr(159) || chr(8232) || chr(8233) || ']'$$),
        ('adoptee(text, text, text, text)', $$    part record;
begin$$, $$    part record;
    previous jsonb;
begin$$),
        ('adoptee(text, text, text, text)', $$    if jsonb_typeof(definition->'name') = 'string' then$$, $$    if tactus.has_unprintable(definition::text) then
        previous := (select tactus.kept(s.definition) from tactus.schedules s where s.id = tactus.adopted_id(source, key) and s.deleted_at is null);
    end if;
    if jsonb_typeof(definition->'name') = 'string' and definition->'name' is distinct from previous->'name' then$$),
        ('adoptee(text, text, text, text)', $$    if faults <> '{}' then$$, $$    if tactus.has_unprintable(definition::text) then
        faults := faults || tactus.unprintable_faults(definition, previous);
    end if;
    if faults <> '{}' then$$),
        ('adopt_wanted_sql(text, text)', $$'{"name": "n"}') = '{}' as good$$, $$'{"name": "n"}') = '{}' and not tactus.has_unprintable(common::text) as good$$),
        ('adopt_wanted_sql(text, text)', $$and coalesce(p.d->'headers', '{}') in ('{}', 'null')$$,
            $$and coalesce(p.d->'headers', '{}') in ('{}', 'null')
                    and not tactus.has_unprintable(concat(p.d->>'description', p.d->>'category', p.d->>'tags'))$$)
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
