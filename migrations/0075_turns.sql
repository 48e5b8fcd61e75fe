-- +goose Up

-- Whose turn it is, where only one may be at work: who locks the row has it. An advisory lock would do as well, but
-- whoever may connect to the database can hold any of those, and so keep others waiting for as long as they like.
create table tactus.turns (name text primary key);

revoke usage on type tactus.turns from public;

insert into tactus.turns (name) values ('partitions'), ('routes');

-- +goose StatementBegin
-- Refuses a statement by which there are more living routes, or more patterns among them, when those are more than are
-- compared with a task's name for each run. Installations that have more keep and change what they have. Those who add
-- routes count them one after another, because nobody sees what another has not committed; a transaction whose snapshot
-- is from before its turn has to begin anew. It runs as the owner, whose rows the turns are.
create or replace function tactus.routes_are_bounded() returns trigger language plpgsql security definer
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
    perform from tactus.turns where name = 'routes' for no key update skip locked;
    if not found then
        perform from tactus.turns where name = 'routes' for no key update;
        if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
            raise exception using errcode = 'serialization_failure', message = 'routes were added at the same time: try again';
        end if;
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
