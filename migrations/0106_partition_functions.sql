-- +goose Up
-- Processes that work as roles of their own (docs/roles.md) own no table, and partitions are made and dropped by the
-- owner alone. These functions do it for them, as far as upkeep needs it.

-- +goose StatementBegin
-- Takes the turn of who changes partitions, or raises. The advisory lock is that of processes older than tactus.turns.
create function tactus.partition_turn() returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    perform pg_try_advisory_xact_lock(7461637, 475732);
    perform from tactus.turns where name = 'partitions' for no key update skip locked;
    if not found then
        raise exception using errcode = 'lock_not_available', message = 'another process changes partitions';
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes a table and then attaches it: CREATE TABLE ... PARTITION OF would wait for every writer of the parent, and
-- everybody else would wait behind it. Nobody else may make a column of the row type, which would keep the partition
-- for ever.
create function tactus.attach_partition(parent text, partition text, bounds text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    if to_regclass(format('tactus.%I', partition)) is not null then
        return;
    end if;
    execute format('create table tactus.%I (like tactus.%I including all)', partition, parent);
    if parent = 'runs' then -- the other half of a page is for the second version of each run
        execute format('alter table tactus.%I set (fillfactor = 50)', partition);
    end if;
    execute format('revoke usage on type tactus.%I from public', partition);
    execute format('alter table tactus.%I attach partition tactus.%I for values ', parent, partition) || bounds;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Makes the partition of a topic's events for the positions from lower up to upper.
create function tactus.make_partition(topic text, lower bigint, upper bigint) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
    if topic is null or topic <> all ('{schedule,run,happening}') then
        raise exception using errcode = 'invalid_parameter_value', message = 'such events have no partitions by position';
    end if;
    perform tactus.partition_turn();
    perform tactus.attach_partition('outbox_' || topic, 'outbox_' || topic || '_' || lower, format('from (%L) to (%L)', lower, upper));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A column of runs that a later release adds may be called as a variable is.
-- Makes the partition of runs for the month of an instant, from its first to its last, unless nothing of the month is
-- left for it: rows stay in the default partition once they are there.
create function tactus.make_month(month timestamptz, first timestamptz) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set timezone = 'UTC' as $$
#variable_conflict use_variable
declare
    later constant timestamptz := date_trunc('month', month) + interval '1 month';
    since timestamptz := greatest(date_trunc('month', month), first);
begin
    perform tactus.partition_turn();
    since := greatest(since, (select max(r.due_at) + interval '1 microsecond' from tactus.runs_default r where r.due_at >= since and r.due_at < later));
    if since < later then
        perform tactus.attach_partition('runs', to_char(month, '"runs_"YYYY_MM'), format('from (%L) to (%L)', since, later));
    end if;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops a partition whose parent is locked here, so that only a vacuum can still hold it. What somebody else's view or
-- function keeps from being dropped is emptied and detached.
create function tactus.remove_partition(parent text, partition text) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
    execute format('lock table only tactus.%I in access exclusive mode nowait', partition);
    begin
        execute format('drop table tactus.%I', partition);
    exception when dependent_objects_still_exist then
        execute format('alter table tactus.%I detach partition tactus.%I', parent, partition);
        execute format('truncate table tactus.%I', partition);
        execute format('alter table tactus.%I rename to %I', partition, 'detached_' || partition);
    end;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops the partition of runs of a month. A run that is kept is what stops its due time from firing again, so roles
-- that are not the owner drop none that ended within the last 30 days.
create function tactus.drop_month(month timestamptz) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' set timezone = 'UTC' as $$
begin
    if date_trunc('month', month) + interval '1 month' > clock_timestamp() - interval '30 days'
            and not pg_has_role(session_user, current_user, 'member') then
        raise exception using errcode = 'insufficient_privilege', message = 'runs of the last 30 days are kept';
    end if;
    perform tactus.partition_turn();
    lock table only tactus.runs in access exclusive mode;
    perform tactus.remove_partition('runs', to_char(month, '"runs_"YYYY_MM'));
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Reports whether a partition has a row that is not visible in one of the snapshots, or is younger than an instant. The
-- snapshots are constants of the statements, so that an index finds the rows written since their xmin.
create function tactus.partition_wanted(partition text, before timestamptz, seen text[]) returns boolean language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
    one text;
    late boolean;
begin
    if before is not null then
        execute format('select exists (select from tactus.%I where occurred_at >= %L)', partition, before) into late;
        if late then
            return true;
        end if;
    end if;
    foreach one in array seen loop
        execute format('select exists (select from tactus.%1$I where xid >= pg_snapshot_xmin(%2$L::pg_snapshot)
            and not pg_visible_in_snapshot(xid, %2$L::pg_snapshot))', partition, one) into late;
        if late then
            return true;
        end if;
    end loop;
    return false;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops a partition of run events or of happenings that nothing will be written to any more, and of which every row is
-- visible in every snapshot and occurred before an instant. Returns whether it did.
create function tactus.drop_events(topic text, lower bigint, before timestamptz, seen text[]) returns boolean language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
declare
    parent constant text := 'outbox_' || topic;
    partition constant text := parent || '_' || lower;
begin
    if topic is null or topic <> all ('{run,happening}') or topic = 'run' and coalesce(cardinality(seen), 0) = 0 then
        raise exception using errcode = 'invalid_parameter_value', message = 'such events are not dropped';
    end if;
    if tactus.partition_wanted(partition, before, seen) then
        return false;
    end if;
    perform tactus.partition_turn();
    execute format('lock table only tactus.%I in access exclusive mode', parent);
    if tactus.partition_wanted(partition, before, seen) then
        raise exception using errcode = 'object_in_use', message = 'late rows';
    end if;
    perform tactus.remove_partition(parent, partition);
    return true;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops the empty table of a partition that somebody else's view or function has kept.
create function tactus.drop_detached(name text) returns void language plpgsql
security definer set search_path = pg_catalog, pg_temp set lock_timeout = '100ms' as $$
begin
    if not starts_with(name, 'detached_') then
        raise exception using errcode = 'invalid_parameter_value', message = 'it is no detached partition';
    end if;
    perform tactus.partition_turn();
    execute format('drop table if exists tactus.%I', name);
end
$$;
-- +goose StatementEnd

revoke all on function tactus.partition_turn(), tactus.attach_partition(text, text, text), tactus.make_partition(text, bigint, bigint),
    tactus.make_month(timestamptz, timestamptz), tactus.remove_partition(text, text), tactus.drop_month(timestamptz),
    tactus.partition_wanted(text, timestamptz, text[]), tactus.drop_events(text, bigint, timestamptz, text[]), tactus.drop_detached(text) from public;
