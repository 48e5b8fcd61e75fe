-- +goose Up

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

-- +goose StatementBegin
-- What others have made that would run when last_run_at, total_run_count and enabled of a table's rows are written, wherever it
-- stands: on the table, or on a partition or child. It runs with the rights of who writes:
--   - triggers and rules
--   - expressions of constraints, indexes, partition keys and generated columns. Those of a foreign table may call what is
--     immutable and trusted alone: query_to_xml, which is PostgreSQL's own, runs any text as a query, and no dependency tells of it
--   - functions of types, which an index or a foreign key calls (the difference of a range, an implicit cast)
--   - foreign keys of a column that is written, which lead to triggers of other tables; so does a row that moves to another
--     partition
create function tactus.adopt_foreign_code(relation regclass) returns setof text language sql stable
set search_path = pg_catalog, pg_temp as $$
    with recursive family as (
        select relation::oid as id union select inhrelid from pg_inherits join family on inhparent = id
    ),
    tables as (
        select c.oid as id, relowner, tactus.adopt_trusts(relowner) as trusted from family join pg_class c on c.oid = family.id
    ),
    columns as (
        select id, attname, attnum, attname in ('last_run_at', 'total_run_count', 'enabled') as written,
            not tactus.adopt_trusts(typowner) as of_others, typtype = 'e' as enum
        from tables join pg_attribute on attrelid = id and not attisdropped join pg_type on pg_type.oid = atttypid
    ),
    triggers as (
        select t.oid, tgrelid, tgname, tgqual, proowner from pg_trigger t join tables on tgrelid = id join pg_proc p on p.oid = tgfoid
        where not tgisinternal and tgenabled <> 'D' and pronamespace <> 'tactus'::regnamespace
    ),
    generated as (
        select d.oid, adrelid, adnum, adbin, attname from pg_attrdef d join tables on adrelid = id
            join pg_attribute on attrelid = adrelid and attnum = adnum where attgenerated <> ''
    ),
    expressions as (
        select 'pg_constraint'::regclass as class, c.oid as object, 0 as sub, conrelid as id, 'constraint ' || conname as what, conbin::text as nodes
            from pg_constraint c join tables on conrelid = id where contype = 'c'
        union all select 'pg_class'::regclass, indexrelid, 0, indrelid, 'index ' || indexrelid::regclass, concat(indexprs::text, indpred::text)
            from pg_index join tables on indrelid = id
        union all select 'pg_class'::regclass, partrelid, 0, partrelid, 'partition key', partexprs::text
            from pg_partitioned_table join tables on partrelid = id
        union all select 'pg_trigger'::regclass, oid, 0, tgrelid, 'trigger ' || tgname, tgqual::text from triggers
        union all select 'pg_attrdef'::regclass, oid, 0, adrelid, 'generated column ' || attname, adbin::text from generated
        union all select 'pg_class'::regclass, adrelid, adnum, adrelid, 'generated column ' || attname, null from generated
    ),
    called as (
        select e.id, what, (found)[1] = 'opno' as by_operator, (found)[2]::oid as called
        from expressions e, regexp_matches(nodes, ':(funcid|opfuncid|opno) ([0-9]+)', 'g') as found
    ),
    keys as (
        select conname, conrelid, confrelid, conkey, confkey from pg_constraint
            join pg_class here on here.oid = conrelid join pg_class there on there.oid = confrelid
        where contype = 'f' and (conrelid in (select id from tables) or confrelid in (select id from tables))
            and not (tactus.adopt_trusts(here.relowner) and tactus.adopt_trusts(there.relowner))
    )
    select distinct format('%s on %s', what, id::regclass) from (
        select format('trigger %s of %s', tgname, (case when tactus.adopt_trusts(proowner) then relowner else proowner end)::regrole) as what, id
            from triggers join tables on tgrelid = id where not (trusted and tactus.adopt_trusts(proowner))
        union all
        select format('rule %s of %s', rulename, relowner::regrole), id from pg_rewrite join tables on ev_class = id where not trusted
        union all
        select format('%s with %s', what, pg_describe_object(refclassid, refobjid, 0)), id
            from expressions join pg_depend on classid = class and objid = object and objsubid = sub
                left join pg_proc f on refclassid = 'pg_proc'::regclass and f.oid = refobjid
                left join pg_operator o on refclassid = 'pg_operator'::regclass and o.oid = refobjid
                left join pg_type t on refclassid = 'pg_type'::regclass and t.oid = refobjid
            where not tactus.adopt_trusts(coalesce(proowner, oprowner, typowner))
        union all
        select format('%s with function %s', what, f.oid::regprocedure), id
            from called join tables using (id) left join pg_operator o on by_operator and o.oid = called
                join pg_proc f on f.oid = case when by_operator then oprcode::oid else called end
            where not tactus.adopt_trusts(proowner) or provolatile <> 'i' and not trusted
        union all
        select format('index %s of column %s with a type of others', indexrelid::regclass, attname), c.id
            from pg_index join columns c on indrelid = c.id and attnum = any (indkey) where of_others and not enum
        union all
        select format('column %s with a type of others', attname), c.id from columns c where written and of_others
        union all
        select 'partition key of columns that are written', p.partrelid
            from pg_partitioned_table p where partrelid in (select id from tables) and exists (select from tables where not trusted)
                and (0 = any (partattrs) or exists (select from columns c where c.id = partrelid and written and attnum = any (partattrs)))
        union all
        select format('foreign key %s of columns that are written or have a type of others', conname), conrelid from keys
            where exists (select from columns c where written and (c.id = conrelid and attnum = any (conkey) or c.id = confrelid and attnum = any (confkey)))
                or exists (select from pg_attribute join pg_type t on t.oid = atttypid
                    where (attrelid = conrelid and attnum = any (conkey) or attrelid = confrelid and attnum = any (confkey)) and not tactus.adopt_trusts(typowner))
    ) told order by 1
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Raises unless the rows of a table can be written without running anybody's code. The lock keeps it so until the transaction
-- ends.
create function tactus.adopt_check_writing(source text, kind text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
declare
    found text;
begin
    perform tactus.adopt_check_table(source, kind, '');
    if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
        raise exception using errcode = 'invalid_transaction_state', message = format('%s is to be written by a transaction at %s, which does not see how the table is now',
            source, current_setting('transaction_isolation'));
    end if;
    select string_agg(told, ', ') into found from tactus.adopt_foreign_code(tactus.adopted_relation(source, '')) as told;
    if found is not null then
        raise exception using errcode = 'insufficient_privilege', message = format('each row is to say when it ran last, and this would run with the rights of '
            'tactus'' role: %s. Look at it, and accept it by --trust-triggers', left(found, 2000));
    end if;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.adopt_foreign_code(regclass), tactus.adopt_check_writing(text, text) from public;
