-- +goose Up

-- Routes say with which options tasks are sent whose schedules do not say so themselves, as Celery's task_routes and the
-- options of its tasks do: by the whole name of a task, or by a pattern (* and ?). One that is gone keeps its row, so that a
-- version is never used twice. Their changes are in the log, as events of the topic route.
create table tactus.routes (
    pattern                 text primary key,
    version                 bigint not null,
    matches                 text, -- the pattern as LIKE takes it, with ! to escape; null for a whole name
    source                  text not null, -- who wrote it: an import
    queue                   text,
    exchange                text,
    routing_key             text,
    priority                integer,
    expires_seconds         bigint,
    time_limit_seconds      bigint,
    soft_time_limit_seconds bigint,
    ignore_result           boolean not null,
    updated_at              timestamptz not null,
    deleted_at              timestamptz
);

create table tactus.outbox_route partition of tactus.outbox for values in ('route');

-- +goose StatementBegin
-- The route of a task: that of its whole name, or else of the longest pattern. All its members are null when there is none.
create function tactus.route_of(task_name text) returns tactus.routes
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    route tactus.routes;
begin
    select * into route from tactus.routes r where r.pattern = task_name and r.matches is null and r.deleted_at is null;
    if not found then
        select * into route from tactus.routes r
        where r.matches is not null and r.deleted_at is null and task_name like r.matches escape '!'
        order by length(r.pattern) desc, r.pattern limit 1;
    end if;
    return route;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A task with the options of its route that it does not have itself. readable is the task without what SQL cannot decode. Where it
-- goes is one option: a schedule that names a queue or an exchange goes there, and one with a stream has no other options.
create function tactus.routed(task json, readable json) returns json
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $$
declare
    route tactus.routes;
    members text;
begin
    if readable->'stream' is not null then
        return task;
    end if;
    route := tactus.route_of(readable->>'task_name');
    if route.pattern is null then
        return task;
    end if;
    members := concat(
        case when readable->'queue' is null and readable->'exchange' is null then concat('"queue":' || to_json(route.queue)::text || ',',
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

revoke all on function tactus.route_of(text), tactus.routed(json, json) from public;

-- Where a task was sent, as its sender told: a queue, or exchange/routing key; empty when only a worker told of the task.
alter table tactus.shadow_sent add column destination text not null default '';
