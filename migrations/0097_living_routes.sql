-- +goose Up

-- The living routes once more, as far as they say something about tasks. A trigger keeps them the same, in the transaction that
-- changes a route. What fires reads them while somebody has locked the whole table of routes (VACUUM FULL, ALTER TABLE), and goes
-- on with the very same routes. like_pattern and beginning are those of the route.
create table tactus.living_routes (
    pattern                 text primary key,
    queue                   text,
    exchange                text,
    routing_key             text,
    priority                integer,
    expires_seconds         bigint,
    time_limit_seconds      bigint,
    soft_time_limit_seconds bigint,
    ignore_result           boolean not null,
    beginning               text collate "C",
    like_pattern            text collate "C"
);
create index living_routes_beginning on tactus.living_routes (beginning);
revoke usage on type tactus.living_routes from public;

-- +goose StatementBegin
create function tactus.copy_route() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
    if tg_op = 'TRUNCATE' then
        delete from tactus.living_routes;
        return null;
    end if;
    if tg_op <> 'INSERT' then
        delete from tactus.living_routes where pattern = old.pattern;
    end if;
    if tg_op <> 'DELETE' and new.deleted_at is null then
        insert into tactus.living_routes values (new.pattern, new.queue, new.exchange, new.routing_key, new.priority,
            new.expires_seconds, new.time_limit_seconds, new.soft_time_limit_seconds, new.ignore_result, new.beginning, new.like_pattern);
    end if;
    return null;
end
$$;
-- +goose StatementEnd
revoke all on function tactus.copy_route() from public;

create trigger routes_copied after insert or update or delete on tactus.routes for each row execute function tactus.copy_route();
create trigger routes_emptied after truncate on tactus.routes for each statement execute function tactus.copy_route();

insert into tactus.living_routes select pattern, queue, exchange, routing_key, priority, expires_seconds, time_limit_seconds,
    soft_time_limit_seconds, ignore_result, beginning, like_pattern from tactus.routes where deleted_at is null;

-- +goose StatementBegin
-- tactus.route_of by the copy.
create function tactus.living_route_of(task_name text) returns tactus.living_routes
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    route tactus.living_routes;
begin
    select * into route from tactus.living_routes r where r.pattern = task_name and r.beginning is null;
    if not found then
        select * into route from tactus.living_routes r
        where r.beginning = any (array(select left(task_name, n) from generate_series(0, least(length(task_name), 200)) n))
            and task_name collate "C" like r.like_pattern escape '!'
        order by length(r.pattern) desc, r.pattern collate "C" limit 1;
    end if;
    return route;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- tactus.routed by the copy.
create function tactus.living_routed(task json, readable json) returns json
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
revoke all on function tactus.living_route_of(text), tactus.living_routed(json, json) from public;
