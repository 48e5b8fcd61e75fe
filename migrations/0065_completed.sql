-- +goose Up

-- A schedule that can fire no more is completed: it is not enabled, whatever its definition says, until a change of its trigger
-- or of max_runs revives it. Beats find those to delete by this index.
create index schedules_completed on tactus.schedules (completed_at) where completed_at is not null and deleted_at is null;

-- on_completed is one of the choices of a definition, and has no default in it. What an answer has of pauses, skips and
-- completion may come back in a request, and is not heard. A grace of 0 is no fault any more: what is late by no more than a
-- takeover fires under every policy. The functions stay as they are otherwise.
-- +goose StatementBegin
do $do$
declare
    edit record;
    was text;
begin
    for edit in select * from (values
        ('type_faults(jsonb)', $$('misfire_policy', 'a string'),$$,
            $$('misfire_policy', 'a string'), ('on_completed', 'a string'), ('paused_at', null), ('paused_until', null), ('paused_by', null),
        ('pause_reason', null), ('pause_group', null), ('skip_until', null), ('skipped_by', null), ('skip_reason', null),
        ('completed_at', null), ('state', null),$$),
        ('definition_faults(jsonb)', $$('misfire_policy', '{latest,all,none}'),$$,
            $$('misfire_policy', '{latest,all,none}'), ('on_completed', '{keep,delete}'),$$),
        ('definition_faults(jsonb)', $$if (d->>'misfire_grace_seconds')::numeric = 0 and (d->>'misfire_policy' = 'none' or (d->>'misfire_window_seconds')::numeric = 0) then
        faults := faults || tactus.fault('misfire_never_fires', '/misfire_grace_seconds', 'with a grace of 0 seconds every due time is missed, and '
            || case when d->>'misfire_policy' = 'none' then 'misfire_policy none fires nothing that was missed' else 'a window of 0 seconds leaves out all that was missed' end
            || ': nothing would ever fire; give a grace of at least 1 second');
    end if;
    $$, ''),
        ('complete_definition(jsonb, uuid, jsonb, timestamptz)', $$'stream', 'preset_name')$$, $$'stream', 'preset_name', 'on_completed')$$),
        ('policy_text(jsonb)', $$'"overlap":' || (d->'execution_policy')::text end$$,
            $$'"overlap":' || (d->'execution_policy')::text end, '"on_completed":' || (d->'on_completed')::text$$),
        ('write_schedule(uuid, jsonb, text, text)', $$then case when new.enabled then$$, $$then case when (d->>'enabled')::boolean then$$),
        ('write_schedule(uuid, jsonb, text, text)', $$    pauses := not$$, $$    if not timing and so_far->'max_runs' is not distinct from d->'max_runs' then
        new.completed_at := old.completed_at;
        new.enabled := new.enabled and old.completed_at is null;
    end if;
    pauses := not$$),
        ('write_schedule(uuid, jsonb, text, text)', $$paused_at = case when pauses$$, $$completed_at = new.completed_at, paused_at = case when pauses$$)
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
