-- +goose Up

-- The route of a task is looked up for every run that is recorded, so the cost does not depend on how many routes there
-- are: whole names are found by the primary key, and patterns by the text before their first wildcard, of which a task's
-- name has as many as characters. Both columns are made of the pattern alone, so whatever somebody writes into a row by
-- hand, they are valid: LIKE raises for a pattern that ends with its escape character, which like_pattern never does.
alter table tactus.routes
    add column beginning text collate "C" generated always as (
        case when strpos(translate(pattern, '?', '*'), '*') > 0
            then left(pattern, strpos(translate(pattern, '?', '*'), '*') - 1) end) stored, -- null for a whole name
    add column like_pattern text collate "C" generated always as (
        replace(replace(replace(replace(replace(pattern, '!', '!!'), '%', '!%'), '_', '!_'), '*', '%'), '?', '_')) stored;

create index routes_beginning on tactus.routes (beginning) where deleted_at is null;

-- +goose StatementBegin
-- The route of a task: that of its whole name, or else of the longest pattern; of several that are equally long, the first
-- in the order of their bytes. All its members are null when there is none. The settings keep the plans: an index is used
-- before the table was ever analyzed, and nothing is planned anew at each call.
create or replace function tactus.route_of(task_name text) returns tactus.routes
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off as $$
declare
    route tactus.routes;
begin
    select * into route from tactus.routes r
        where r.pattern = task_name and r.beginning is null and r.deleted_at is null;
    if not found then
        select * into route from tactus.routes r
        where r.beginning = any (array(select left(task_name, n) from generate_series(0, least(length(task_name), 200)) n))
            and r.deleted_at is null and task_name collate "C" like r.like_pattern escape '!'
        order by length(r.pattern) desc, r.pattern collate "C" limit 1;
    end if;
    return route;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Refuses a statement by which there are more living routes, or more patterns among them, when those are more than are
-- compared with a task's name for each run. Installations that have more keep and change what they have.
create function tactus.routes_are_bounded() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    routes bigint;
    patterns bigint;
begin
    select count(*), count(beginning) into routes, patterns from added where deleted_at is null;
    if tg_op = 'UPDATE' then
        select routes - count(*), patterns - count(beginning) into routes, patterns from changed where deleted_at is null;
    end if;
    if routes <= 0 and patterns <= 0 then
        return null;
    end if;
    select count(*), count(beginning) into routes, patterns from tactus.routes where deleted_at is null;
    if routes > 10000 or patterns > 1000 then
        raise exception using errcode = 'program_limit_exceeded', constraint = 'routes_bounded',
            message = 'there are 10000 routes already, or 1000 patterns among them: delete some, or cover several by one pattern';
    end if;
    return null;
end
$$;
-- +goose StatementEnd
revoke all on function tactus.routes_are_bounded() from public;

create trigger routes_bounded_insert after insert on tactus.routes referencing new table as added
    for each statement execute function tactus.routes_are_bounded();
create trigger routes_bounded_update after update on tactus.routes referencing old table as changed new table as added
    for each statement execute function tactus.routes_are_bounded();
