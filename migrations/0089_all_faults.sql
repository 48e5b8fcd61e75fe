-- +goose Up

-- +goose StatementBegin
-- What a member that there is not may have meant: one that differs in case, hyphens or a missing end, or what other
-- schedulers and the command line call it.
create function tactus.suggestion(name text) returns text language sql immutable parallel safe as $$
    select coalesce((
        select ': do you mean "' || known || '"?' from (
            select 0 as place, known from (values ('at', 'run_at'), ('cron', 'cron_expression'), ('crontab', 'cron_expression'),
                ('every', 'interval_seconds'), ('interval', 'interval_seconds'), ('task', 'task_name'), ('tz', 'timezone')) as meant (said, known)
            where said = lower(translate(name, '-_', ''))
            union all
            select 1, known from unnest('{args,auto_generated_name,category,cron_dialect,cron_expression,cron_seconds,description,dst_gap,
                dst_overlap,enabled,ends_at,exchange,exclude_calendars,execution_policy,expires_seconds,headers,ignore_result,ignore_routes,
                interval_anchor,interval_seconds,jitter_seconds,kwargs,max_runs,misfire_grace_seconds,misfire_policy,misfire_window_seconds,
                name,on_completed,on_excluded,only_calendars,preset_name,priority,queue,routing_key,rrule,run_at,shadow,
                soft_time_limit_seconds,starts_at,stream,tags,task_name,task_params,time_limit_seconds,timezone}'::text[]) as known
            where translate(known, '_', '') = lower(translate(name, '-_', ''))
                or length(translate(name, '-_', '')) > 3
                    and starts_with(translate(known, '_', ''), lower(translate(name, '-_', '')))
        ) as found order by place, known collate "C" limit 1), '')
$$;
-- +goose StatementEnd

revoke all on function tactus.suggestion(text) from public;

-- A definition with a member that there is not, or of the wrong type, is judged further: what else is wrong is told with
-- it, as the API does, but for what may follow from it. The functions stay as they are otherwise.
-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('type_faults(jsonb)', $$'there is no such member')$$, $$'there is no such member' || tactus.suggestion(key))$$),
        ('definition_faults(jsonb)', $$if faults <> '{}' then
        return faults;
    end if;$$, $$if faults <> '{}' then
        return (faults || coalesce((
            select array_agg(more order by n)
            from unnest(tactus.definition_faults(d - (select array_agg(substr(f->>'location', 2)) from unnest(faults) as f)))
                with ordinality as found (more, n)
            where more->>'location' <> '' and more->>'location' <> all (select f->>'location' from unnest(faults) as f)), '{}'))[:greatest(50, cardinality(faults))];
    end if;$$)
    ) as edits (name, part, put) loop
        was := pg_get_functiondef(('tactus.' || edit.name)::regprocedure);
        if strpos(was, edit.part) = 0 then
            raise exception 'tactus.% has no %', edit.name, edit.part;
        end if;
        execute replace(was, edit.part, edit.put);
    end loop;
end
$do$;
-- +goose StatementEnd
