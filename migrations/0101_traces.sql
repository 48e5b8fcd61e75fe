-- +goose Up

-- What the functions write as the headers of an event, as before, and the trace that the application says the change is
-- part of: the setting tactus.traceparent (W3C's traceparent), beside tactus.actor and tactus.reason. Anything else that
-- it holds is left out, because whoever reads an event would take it for a trace.
-- +goose StatementBegin
create or replace function tactus.said(manager text) returns json language sql stable set search_path = pg_catalog, pg_temp as $$
    select json_strip_nulls(json_build_object(
        'traceparent', substring(current_setting('tactus.traceparent', true) from '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'),
        'actor', coalesce('table:' || manager, 'role:' || session_user),
        'onbehalfof', nullif(left(current_setting('tactus.actor', true), 200), ''),
        'reason', nullif(left(current_setting('tactus.reason', true), 1000), '')))
$$;
-- +goose StatementEnd
