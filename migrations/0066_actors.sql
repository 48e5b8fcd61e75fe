-- +goose Up

-- Every event says who made it: unless its writer says so itself, the role of the session, and beside it the user whom
-- the application names by the setting tactus.actor, and why by tactus.reason. The settings never replace the role. This
-- is an expression and no function, because whoever writes to the log would have to be allowed to call that.
alter table tactus.outbox alter column headers set default
    pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
        'actor', 'role:' || session_user,
        'onbehalfof', nullif(left(pg_catalog.current_setting('tactus.actor', true), 200), ''),
        'reason', nullif(left(pg_catalog.current_setting('tactus.reason', true), 1000), '')));

-- What the functions below write as the headers of an event: who it was if a table did it, or else as above.
-- +goose StatementBegin
create function tactus.said(manager text) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
    select json_strip_nulls(json_build_object(
        'actor', coalesce('table:' || manager, 'role:' || session_user),
        'onbehalfof', nullif(left(current_setting('tactus.actor', true), 200), ''),
        'reason', nullif(left(current_setting('tactus.reason', true), 1000), '')))
$$;
-- +goose StatementEnd
revoke execute on function tactus.said(text) from public;

-- The events of adopted rows are of their table. The functions that write them stay as they are otherwise.
-- +goose StatementBegin
do $do$
declare
    columns constant text := 'tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)';
    with_headers constant text := 'tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)';
begin
    execute replace(replace(
        pg_get_functiondef('tactus.write_schedule(uuid, jsonb, text, text)'::regprocedure), columns, with_headers),
        'tactus.schedule_data(changed), updated_at', 'tactus.schedule_data(changed), tactus.said(manager), updated_at');
    execute replace(replace(
        pg_get_functiondef('tactus.remove_schedule(uuid)'::regprocedure), columns, with_headers),
        'tactus.schedule_data(changed), updated_at', 'tactus.schedule_data(changed), tactus.said(managed_by), updated_at');
    execute replace(replace(
        pg_get_functiondef('tactus.adopt_many(tactus.adoptions, text[], boolean)'::regprocedure), columns, with_headers),
        'tactus.schedule_data(schedule), (schedule).updated_at', 'tactus.schedule_data(schedule), tactus.said($1), (schedule).updated_at');
end
$do$;
-- +goose StatementEnd
