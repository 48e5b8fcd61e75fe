-- +goose Up

-- A schedule that names an exchange without a routing key goes where its route says, as with Celery, which merges the two: a
-- routing key without an exchange is none either. tactus.routed and tactus.living_routed have tested the exchange alone.

-- +goose StatementBegin
-- A task with the options of its route that it does not have itself. readable is the task without what SQL cannot decode. A
-- schedule that names a queue, or an exchange and a routing key, goes there; of the latter one without the other takes the place
-- of that of the route. A task with a stream, or that ignores routes, has no other options. A name that is longer than a route
-- may have is no option.
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
        case when readable->'queue' is null and (readable->'exchange' is null or readable->'routing_key' is null)
                and coalesce(greatest(octet_length(route.queue), octet_length(route.exchange), octet_length(route.routing_key)), 0) <= 1024
            then concat('"queue":' || to_json(route.queue)::text || ',',
                case when readable->'exchange' is null then '"exchange":' || to_json(route.exchange)::text || ',' end,
                case when readable->'routing_key' is null then '"routing_key":' || to_json(route.routing_key)::text || ',' end) end,
        case when readable->'priority' is null then '"priority":' || route.priority || ',' end,
        case when readable->'expires_seconds' is null then '"expires_seconds":' || route.expires_seconds || ',' end,
        case when readable->'time_limit_seconds' is null then '"time_limit_seconds":' || route.time_limit_seconds || ',' end,
        case when readable->'soft_time_limit_seconds' is null then '"soft_time_limit_seconds":' || route.soft_time_limit_seconds || ',' end,
        case when readable->'ignore_result' is null and route.ignore_result then '"ignore_result":true,' end);
    return ('{' || members || substr(ltrim(task::text), 2))::json;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tactus.routed by the copy.
create or replace function tactus.living_routed(task json, readable json) returns json
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    route tactus.living_routes;
    members text;
begin
    if readable->'stream' is not null or readable->'ignore_routes' is not null then
        return task;
    end if;
    route := tactus.living_route_of(readable->>'task_name');
    if route.pattern is null then
        return task;
    end if;
    members := concat(
        case when readable->'queue' is null and (readable->'exchange' is null or readable->'routing_key' is null)
                and coalesce(greatest(octet_length(route.queue), octet_length(route.exchange), octet_length(route.routing_key)), 0) <= 1024
            then concat('"queue":' || to_json(route.queue)::text || ',',
                case when readable->'exchange' is null then '"exchange":' || to_json(route.exchange)::text || ',' end,
                case when readable->'routing_key' is null then '"routing_key":' || to_json(route.routing_key)::text || ',' end) end,
        case when readable->'priority' is null then '"priority":' || route.priority || ',' end,
        case when readable->'expires_seconds' is null then '"expires_seconds":' || route.expires_seconds || ',' end,
        case when readable->'time_limit_seconds' is null then '"time_limit_seconds":' || route.time_limit_seconds || ',' end,
        case when readable->'soft_time_limit_seconds' is null then '"soft_time_limit_seconds":' || route.soft_time_limit_seconds || ',' end,
        case when readable->'ignore_result' is null and route.ignore_result then '"ignore_result":true,' end);
    return ('{' || members || substr(ltrim(task::text), 2))::json;
end
$$;
-- +goose StatementEnd
