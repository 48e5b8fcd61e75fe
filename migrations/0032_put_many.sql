-- +goose Up

-- +goose StatementBegin
-- Writes a schedule. Its name is looked up by a statement that is planned for each call: a plan that is kept is made while
-- the table is small, when any index serves as well, and then reads the whole table for each of the thousands of schedules
-- that one transaction may write.
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
        execute 'select * from tactus.schedules where name = $1 and deleted_at is null for update' into living using tactus.trimmed(part.d->>'name');
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

-- +goose StatementBegin
-- Deletes the schedule of that name or id, each of which has an index; false when there is none.
create or replace function tactus.delete_schedule(schedule text) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    living tactus.schedules;
begin
    execute 'select * from tactus.schedules where name = $1 and deleted_at is null for update' into living using schedule;
    if living.id is null and schedule ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        select * into living from tactus.schedules where id = schedule::uuid and deleted_at is null for update;
    end if;
    if living.managed_by is not null then
        raise exception using errcode = 'object_not_in_prerequisite_state', message = 'tactus: managed_elsewhere: the schedule was adopted from ' || living.managed_by || ': delete it there';
    end if;
    return living.id is not null and tactus.remove_schedule(living.id);
end
$$;
-- +goose StatementEnd
