-- +goose Up

-- What a route adds to a task is copied into every run of it, so a row that somebody has written by hand is bounded as well.
-- What is there is not looked at: it may be older than the bounds.
alter table tactus.routes add constraint routes_short check (deleted_at is not null or octet_length(queue) <= 1024
    and octet_length(exchange) <= 1024 and octet_length(routing_key) <= 1024 and octet_length(source) <= 1024) not valid;

-- +goose StatementBegin
-- A task with the options of its route that it does not have itself. readable is the task without what SQL cannot decode. Where it
-- goes is one option: a schedule that names a queue or an exchange goes there, and one with a stream, or that ignores routes, has
-- no other options. A name that is longer than a route may have is no option.
create or replace function tactus.routed(task json, readable json) returns json
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    route tactus.routes;
    members text;
begin
    if readable->'stream' is not null or readable->'ignore_routes' is not null then
        return task;
    end if;
    route := tactus.route_of(readable->>'task_name');
    if route.pattern is null then
        return task;
    end if;
    members := concat(
        case when readable->'queue' is null and readable->'exchange' is null
                and coalesce(greatest(octet_length(route.queue), octet_length(route.exchange), octet_length(route.routing_key)), 0) <= 1024
            then concat('"queue":' || to_json(route.queue)::text || ',',
                '"exchange":' || to_json(route.exchange)::text || ',', '"routing_key":' || to_json(route.routing_key)::text || ',') end,
        case when readable->'priority' is null then '"priority":' || route.priority || ',' end,
        case when readable->'expires_seconds' is null then '"expires_seconds":' || route.expires_seconds || ',' end,
        case when readable->'time_limit_seconds' is null then '"time_limit_seconds":' || route.time_limit_seconds || ',' end,
        case when readable->'soft_time_limit_seconds' is null then '"soft_time_limit_seconds":' || route.soft_time_limit_seconds || ',' end,
        case when readable->'ignore_result' is null and route.ignore_result then '"ignore_result":true,' end);
    return ('{' || members || substr(ltrim(task::text), 2))::json;
end
$$;
-- +goose StatementEnd
