-- +goose Up

-- Replaces the function of 0037, which looks at the parents of a table now, too.
-- +goose StatementBegin
-- Raises unless the table can be read without running anybody's code. What its owner could do anyway is not looked for.
-- Outside of a trigger the lock keeps the table so until the transaction ends. In a trigger, where writers must not wait for one
-- another, the lock of a writer has to do: it keeps indexes away, not statistics, partitions or children. Only the newest
-- catalog tells what the planner is about to find, and a transaction with one snapshot for all does not see it. A partition or
-- child may have another owner than its table, so all of them are looked at. So is what the table is itself a partition or child
-- of: the key of a parent is a constraint of its partitions.
create or replace function tactus.adopt_check_table(source text, kind text, part text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    relation regclass := tactus.adopted_relation(source, part);
    fault text;
begin
    if pg_trigger_depth() > 0 then
        execute format('lock table %s in row exclusive mode', relation);
    else
        perform tactus.adopt_lock(relation);
    end if;
    if tactus.adopted_relation(source, part) <> relation then
        raise exception using errcode = 'object_in_use', message = format('%s is being replaced', relation);
    end if;
    perform tactus.adopt_check_columns(relation, kind, part);
    if row_security_active(relation) then
        raise exception using errcode = 'insufficient_privilege', message = format('%s has row-level security for %s, who must see all rows', relation, current_user);
    end if;
    if (with recursive family as (
            select relation::oid as id union select inhrelid from pg_inherits join family on inhparent = id
        )
        select bool_and(tactus.adopt_trusts(relowner) and relkind in ('r', 'p')) from family join pg_class c on c.oid = id)
    then
        return;
    end if;
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception using errcode = 'invalid_transaction_state', message = format('%s is read after a transaction at %s, which does not see how the table is now',
            relation, current_setting('transaction_isolation'));
    end if;
    with recursive family as (
        select relation::oid as id union select inhrelid from pg_inherits join family on inhparent = id
    ),
    above as (
        select inhparent as id from pg_inherits where inhrelid = relation
        union select inhparent from pg_inherits join above on inhrelid = above.id
    ),
    parts as ( -- what the planner looks at
        select 'pg_class'::regclass as class, id from family
        union all select 'pg_class'::regclass, indexrelid from pg_index join family on indrelid = id
        union all select 'pg_constraint'::regclass, c.oid from pg_constraint c join family on conrelid = id
        union all select 'pg_statistic_ext'::regclass, s.oid from pg_statistic_ext s join family on stxrelid = id
    )
    select min(told) into fault from (
        select 'is not a table' as told from family join pg_class c on c.oid = id where c.relkind not in ('r', 'p')
        union all
        select format('is a part of %s, which belongs to %s and may have a partition key, which reading it may run: detach it, '
                'or adopt that one', c.oid::regclass, c.relowner::regrole)
            from above join pg_class c on c.oid = above.id where not tactus.adopt_trusts(c.relowner)
        union all
        select 'has an index, a constraint, statistics or a partition key with ' || pg_describe_object(refclassid, refobjid, 0)
                || ', which reading it may run: tactus trusts what superusers and its own role own'
            from parts join pg_depend d on d.classid = class and d.objid = parts.id and d.objsubid = 0
                left join pg_proc f on refclassid = 'pg_proc'::regclass and f.oid = refobjid
                left join pg_operator o on refclassid = 'pg_operator'::regclass and o.oid = refobjid
                left join pg_type t on refclassid = 'pg_type'::regclass and t.oid = refobjid
            where not tactus.adopt_trusts(coalesce(proowner, oprowner, typowner))
    ) faults;
    if fault is not null then
        raise exception using errcode = 'insufficient_privilege', message = format('%s %s', relation, fault);
    end if;
end
$$;
-- +goose StatementEnd
