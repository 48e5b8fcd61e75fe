-- +goose Up

-- Whoever may name a table may use its row type, if that is not taken from PUBLIC, and a column of that type keeps the
-- table from being dropped or altered: partitions stayed for ever, and migrations stopped.
-- +goose StatementBegin
do $$
declare
    one regtype;
begin
    for one in
        select reltype from pg_catalog.pg_class where relnamespace = 'tactus'::regnamespace and relkind in ('r', 'p')
    loop
        execute format('revoke usage on type %s from public', one);
    end loop;
end $$;
-- +goose StatementEnd
