-- +goose Up

-- +goose StatementBegin
-- Some keys of a table's rows, behind the one that is given, in the order of the ids themselves. The order names the column
-- by its table: "order by id" behind "select id::text" would be that of the text, in which 1000 comes before 2, while the
-- next page begins behind the last id of this one.
create or replace function tactus.adopted_keys(source text, after text, most int) returns text[] language plpgsql volatile as $$
declare
    keys text[];
begin
    execute format('select array(select t.id::text from %s t where %L is null or t.id > %L order by t.id limit $1)',
        tactus.adopted_relation(source, ''), after, after) into keys using most;
    return keys;
end
$$;
-- +goose StatementEnd
