-- +goose Up

-- Whoever owns an adopted table writes its constraints, and the planner may evaluate operators of theirs to leave out
-- what a constraint excludes. Functions that read such tables plan without it, whatever the session has.
-- +goose StatementBegin
do $$
declare
    one regprocedure;
begin
    for one in
        select oid from pg_catalog.pg_proc where pronamespace = 'tactus'::regnamespace
            and (prosecdef and proname like 'adopt%' or 'row_security=off' = any (proconfig))
    loop
        execute format('alter function %s set constraint_exclusion = off', one);
    end loop;
end $$;
-- +goose StatementEnd
