-- +goose Up

-- A list within a list of strings is no string: a path that is not strict looks through it, so that put_schedule, and many rows
-- that are adopted at once, stored tags which nothing could read back.

-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('type_faults(jsonb)', $$not jsonb_path_exists(value, '$[*] ? $$, $$not jsonb_path_exists(value, 'strict $[*] ? $$),
        ('adopt_wanted_sql(text, text)', $$not jsonb_path_exists(p.d->'tags', '$[*] ? $$, $$not jsonb_path_exists(p.d->'tags', 'strict $[*] ? $$)
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
