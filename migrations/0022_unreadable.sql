-- +goose Up

-- +goose StatementBegin
-- What workers would not read of the documents of a definition, which are JSON as text: the same as package celery finds. An
-- empty pair of brackets is a level of nesting: when the innermost ones are taken away a hundred times, nothing may be left.
create function tactus.unreadable_documents(documents jsonb) returns jsonb[] language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
declare
    faults jsonb[] := '{}';
    document record;
    bare text; -- without its strings
    brackets text;
begin
    for document in
        select '/' || key as field, value from jsonb_each_text(documents) where key <> 'headers'
        union all
        select '/headers/' || replace(replace(h.member, '~', '~0'), '/', '~1'), h.value from tactus.members((documents->>'headers')::json) h
            where documents ? 'headers' and left(documents->>'headers', 1) = '{'
        order by field
    loop
        continue when length(document.value) - length(translate(document.value, '[{', '')) <= 100 and length(document.value) <= 4300;
        bare := regexp_replace(document.value, E'"([^"\\\\]|\\\\.)*"', '""', 'g');
        brackets := translate(regexp_replace(bare, '[^][{}]+', '', 'g'), '{}', '[]');
        for level in 1 .. 100 loop
            exit when brackets = '';
            brackets := replace(brackets, '[]', '');
        end loop;
        if brackets <> '' then
            faults := faults || tactus.fault('value_unreadable', document.field, 'it is nested deeper than 100: workers read up to that');
        elsif length(bare) > 4300 and (select max(length(digits)) from regexp_split_to_table(bare, '[^0-9]+') as digits) > 4300 then
            faults := faults || tactus.fault('value_unreadable', document.field, 'a number has more than 4300 digits: workers read up to that');
        end if;
    end loop;
    return faults;
end
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Creates the schedule of that name, or replaces its definition (the members of the API's body), and returns its id. It is part of
-- the caller's transaction. Faults are an error, which an SQL savepoint survives: code 22023, detail the faults as JSON.
create or replace function tactus.put_body(body json) returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
    part record;
    complete jsonb;
    living tactus.schedules;
    so_far jsonb;
    schedule uuid;
    written tactus.schedules;
begin
    if body is null or json_typeof(body) <> 'object' then
        perform tactus.refuse(array[tactus.fault('json_invalid', '', 'want a JSON object')]);
    end if;
    if octet_length(body::text) > 262144 then
        perform tactus.refuse(array[tactus.fault('payload_too_large', '', 'at most 262144 bytes (256 KiB) are kept; store the data elsewhere and pass a reference')]);
    end if;
    part := tactus.parted(body);
    part.faults := part.faults || tactus.definition_faults(part.d);
    part.faults := part.faults || tactus.unreadable_documents(part.documents);
    if part.faults <> '{}' then
        perform tactus.refuse(part.faults);
    end if;
    part.d := tactus.with_canonical_trigger(part.d - '{args,kwargs,headers,task_params}'::text[]);
    loop
        select * into living from tactus.schedules where name = tactus.trimmed(part.d->>'name') and deleted_at is null for update;
        if living.managed_by is not null then
            raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': change it there';
        end if;
        schedule := coalesce(living.id, tactus.new_id());
        so_far := tactus.kept(living.definition);
        complete := tactus.complete_definition(part.d, schedule, so_far, clock_timestamp()) || tactus.stored_documents(part.documents, schedule);
        if tactus.write_schedule(schedule, complete, null, null) is not null then
            select * into written from tactus.schedules where id = schedule;
            if written.updated_at = written.trigger_set_at or written.enabled and written.updated_at = written.effective_from then
                if tactus.instant(complete->>'run_at') <= written.effective_from then
                    perform tactus.refuse(array[tactus.fault('at_in_past', '/run_at', (complete->>'run_at') || ' is past: give a time to come')]);
                elsif tactus.instant(complete->>'ends_at') <= written.effective_from then
                    perform tactus.refuse(array[tactus.fault('no_fire_in_window', '/ends_at', 'nothing is due between starts_at and ends_at (from now on): move one of them')]);
                end if;
            end if;
            return schedule;
        end if; -- another has just taken the name: change theirs
    end loop;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.unreadable_documents(jsonb) from public;
