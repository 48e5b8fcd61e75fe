-- +goose Up

-- Several triggers in one definition hide no fault of one of them. Which is meant nobody knows, so none has its delays
-- judged, and a preset is called as it was given. An expression in a dialect that there is not is not judged at all. The
-- function stays as it is otherwise.
-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ($$case when cron <> '' or coalesce(d->>'preset_name', '') <> '' then 'cron_expression' end,$$,
            $$case when cron <> '' then 'cron_expression' when coalesce(d->>'preset_name', '') <> '' then 'preset_name' end,$$),
        ($$    elsif triggers[1] = 'rrule' then$$, $$    end if;
    if coalesce(d->>'rrule', '') <> '' then$$),
        ($$    elsif triggers[1] = 'cron_expression' and d->>'cron_dialect' = 'aws' and$$, $$    end if;
    if triggers && '{cron_expression,preset_name}' and d->>'cron_dialect' = 'aws' and$$),
        ($$    elsif triggers[1] = 'cron_expression' and cron <> '' and length(cron) <= 1000 then
        read := tactus.cron_read(cron, coalesce((d->>'cron_seconds')::boolean, false), d->>'cron_dialect');$$, $$    end if;
    if cron <> '' and length(cron) <= 1000 and coalesce(d->>'cron_dialect', '') in ('', 'celery', 'vixie', 'quartz', 'aws') then
        read := tactus.cron_read(cron, coalesce((d->>'cron_seconds')::boolean, false) and d->>'cron_dialect' is distinct from 'aws', d->>'cron_dialect');$$),
        ($$if read.every is not null then$$, $$if read.every is not null and cardinality(triggers) = 1 then$$),
        ($$if cardinality(triggers) <> 1 or every = 0 then$$, $$if every = 0 then$$),
        ($$    elsif (d->>'jitter_seconds')::numeric between every and max_seconds then$$, $$    elsif cardinality(triggers) <> 1 then
        null;
    elsif (d->>'jitter_seconds')::numeric between every and max_seconds then$$)
    ) as edits (part, put) loop
        was := pg_get_functiondef('tactus.definition_faults(jsonb)'::regprocedure);
        if strpos(was, edit.part) = 0 then
            raise exception 'tactus.definition_faults has no %', edit.part;
        end if;
        execute replace(was, edit.part, edit.put);
    end loop;
end
$do$;
-- +goose StatementEnd
