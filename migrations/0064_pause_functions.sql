-- +goose Up

-- +goose StatementBegin
-- The data of a schedule's event: the schedule, as its row has it.
create or replace function tactus.schedule_data(s tactus.schedules) returns json language sql stable parallel safe as $$
    select ('{"created_at":"' || tactus.iso(s.created_at) || '","updated_at":"' || tactus.iso(s.updated_at)
        || '","effective_from":"' || tactus.iso(s.effective_from) || '","trigger_set_at":"' || tactus.iso(s.trigger_set_at)
        || coalesce('","deleted_at":"' || tactus.iso(s.deleted_at), '') || '","id":"' || s.id || '","version":' || s.version
        || coalesce(',"invalid_reason":' || to_json(s.invalid_reason), '') || coalesce(',"managed_by":' || to_json(s.managed_by), '')
        || coalesce(',"paused_at":"' || tactus.iso(s.paused_at) || '"', '') || coalesce(',"paused_until":"' || tactus.iso(s.paused_until) || '"', '')
        || coalesce(',"paused_by":' || to_json(s.paused_by), '') || coalesce(',"pause_reason":' || to_json(s.pause_reason), '')
        || coalesce(',"pause_group":' || to_json(s.pause_group), '') || coalesce(',"skip_until":"' || tactus.iso(s.skip_until) || '"', '')
        || coalesce(',"completed_at":"' || tactus.iso(s.completed_at) || '"', '')
        || coalesce(',"skipped_by":' || to_json(s.skipped_by), '') || coalesce(',"skip_reason":' || to_json(s.skip_reason), '')
        || ',' || ltrim(substr(ltrim(s.definition::text), 2)))::json
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- A policy under which due times up to an instant are skipped, in the canonical text that the beat reads.
create function tactus.policy_skipping(policy text, until timestamptz) returns text language sql stable parallel safe as $$
    select left(policy, -1) || ',"skip":"' || tactus.spelled_instant(until) || '"}'
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The write path: makes the schedule of this id what the complete definition says, unless it is already. Its name must be free.
-- A reason says why it cannot be scheduled, a manager which table it was adopted from. The row is locked before anything is
-- decided, and the event is selected from the changed row, so that its position is drawn after the lock.
create or replace function tactus.write_schedule(schedule uuid, d jsonb, reason text, manager text) returns bigint
language plpgsql volatile as $$
declare
    old tactus.schedules;
    new tactus.schedules;
    so_far jsonb;
    kind text;
    timing boolean; -- the due times are others
    pauses boolean; -- it was enabled, or deleted, and is not any more
    paused boolean; -- it stays disabled
begin
    select * into old from tactus.schedules where id = schedule for update;
    so_far := tactus.kept(old.definition);
    d := tactus.wrapped(d);
    if old.deleted_at is null and so_far = d and old.invalid_reason is not distinct from reason and old.managed_by is not distinct from manager then
        return old.version;
    end if;
    new.trigger := tactus.trigger_text(d);
    new.policy := tactus.policy_text(d);
    new.anchor := coalesce(d->>'run_at', case when d ? 'interval_seconds' then d->>'interval_anchor' end)::timestamptz;
    new.enabled := (d->>'enabled')::boolean and reason is null;
    new.tags := array(select jsonb_array_elements_text(coalesce(d->'tags', '[]')));
    if old.id is null then
        with moment as materialized (select clock_timestamp() as now),
        changed as (
            insert into tactus.schedules (id, name, version, enabled, invalid_reason, managed_by, trigger, anchor, policy, effective_from,
                trigger_set_at, created_at, updated_at, category, tags, definition, task, paused_at)
            select schedule, d->>'name', 1, new.enabled, reason, manager, new.trigger, new.anchor, new.policy, now, now, now, now,
                coalesce(d->>'category', ''), new.tags, tactus.spelled(d), tactus.task_document(d),
                case when not (d->>'enabled')::boolean then now end
            from moment
            on conflict (name) where deleted_at is null do nothing
            returning *
        )
        insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
        select 'schedule', id, version, case when reason is null then 'schedule.created' else 'schedule.invalidated' end, tactus.schedule_data(changed), updated_at
        from changed;
        return case when found then 1 end;
    end if;
    kind := case when reason <> coalesce(old.invalid_reason, '') then 'schedule.invalidated' when old.deleted_at is not null then 'schedule.created'
        when reason is null and old.invalid_reason is null and so_far - 'enabled' = d - 'enabled' and so_far <> d
            then case when new.enabled then 'schedule.enabled' else 'schedule.disabled' end
        else 'schedule.updated' end;
    timing := old.deleted_at is not null or old.anchor is distinct from new.anchor
        or old.trigger <> new.trigger and tactus.trigger_meaning(old.trigger) <> tactus.trigger_meaning(new.trigger)
        or tactus.timing(so_far) is distinct from tactus.timing(d);
    pauses := not (d->>'enabled')::boolean and (old.deleted_at is not null or (so_far->>'enabled')::boolean);
    paused := not (d->>'enabled')::boolean and not pauses;
    if not timing and old.skip_until is not null then
        new.policy := tactus.policy_skipping(new.policy, old.skip_until);
    end if;
    with moment as materialized (select clock_timestamp() as now),
    changed as (
        update tactus.schedules s set name = d->>'name', version = s.version + 1, enabled = new.enabled, invalid_reason = reason, managed_by = manager,
            trigger = new.trigger, anchor = new.anchor, policy = new.policy, category = coalesce(d->>'category', ''), tags = new.tags,
            definition = tactus.spelled(d), task = tactus.task_document(d),
            effective_from = case when timing or new.enabled and not old.enabled then now else s.effective_from end,
            trigger_set_at = case when timing then now else s.trigger_set_at end,
            created_at = case when old.deleted_at is null then s.created_at else now end, deleted_at = null, updated_at = now,
            paused_at = case when pauses then now when paused then s.paused_at end, paused_until = case when paused then s.paused_until end,
            paused_by = case when paused then s.paused_by end, pause_reason = case when paused then s.pause_reason end,
            pause_group = case when paused then s.pause_group end, skip_until = case when not timing then s.skip_until end,
            skipped_by = case when not timing then s.skipped_by end, skip_reason = case when not timing then s.skip_reason end
        from moment
        where s.id = schedule and s.version = old.version
        returning s.*
    )
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, kind, tactus.schedule_data(changed), updated_at from changed;
    return old.version + 1;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.policy_skipping(text, timestamptz) from public;
