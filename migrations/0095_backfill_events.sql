-- +goose Up

-- What becomes of backfills: that they were asked for, and how they ended. No sink carries it, and it is kept.
create table tactus.outbox_backfill partition of tactus.outbox for values in ('backfill');
revoke usage on type tactus.outbox_backfill from public;

-- +goose StatementBegin
-- The data of the event that says what has become of a backfill: all of it, with its due times while it has any.
create function tactus.backfill_data(b tactus.backfills) returns json language sql stable parallel safe set search_path = pg_catalog, pg_temp as $$
    select json_strip_nulls(json_build_object('schedule_id', b.schedule_id, 'schedule_version', b.schedule_version,
        'from', tactus.iso(b.from_at), 'to', tactus.iso(b.to_at), 'execution_policy', b.overlap,
        'order', case when b.newest_first then 'newest_first' else 'oldest_first' end, 'max_active', b.max_active, 'again', b.again,
        'due_times', (select json_agg(tactus.iso(due_at) order by nth) from unnest(b.due_times) with ordinality u (due_at, nth)),
        'total', b.total, 'place', b.place, 'fired', b.fired, 'ran', b.ran, 'skipped', b.skipped, 'excluded', b.excluded,
        'actor', b.actor, 'reason', b.reason, 'created_at', tactus.iso(b.created_at),
        'outcome', b.outcome, 'ended_at', tactus.iso(b.ended_at), 'ended_by', b.ended_by, 'end_reason', b.end_reason))
$$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Tells that a backfill was asked for, or has ended, by an event of its next version. Who did it and why stand in its row.
create function tactus.tell_backfill() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
    begins constant boolean := tg_op = 'INSERT' and new.outcome is null;
begin
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'backfill', new.id, coalesce(max(version), 0) + 1, 'backfill.' || case when begins then 'asked' else new.outcome end,
        tactus.backfill_data(new), json_strip_nulls(json_build_object(
            'actor', case when begins then new.actor else coalesce(new.ended_by, 'role:' || session_user) end,
            'onbehalfof', nullif(left(current_setting('tactus.actor', true), 200), ''),
            'reason', case when begins then new.reason else new.end_reason end)),
        case when begins then new.created_at else new.ended_at end
    from tactus.outbox where topic = 'backfill' and aggregate_id = new.id;
    return null;
end
$$;
-- +goose StatementEnd

revoke all on function tactus.backfill_data(tactus.backfills), tactus.tell_backfill() from public;

create trigger backfill_asked after insert on tactus.backfills for each row execute function tactus.tell_backfill();
create trigger backfill_ended after update of ended_at on tactus.backfills for each row
    when (old.ended_at is null and new.ended_at is not null) execute function tactus.tell_backfill();

-- Those that are there have their events, too.
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'backfill', id, 1, 'backfill.asked', tactus.backfill_data(b), json_strip_nulls(json_build_object('actor', actor, 'reason', reason)), created_at
from tactus.backfills b order by id;
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'backfill', id, 2, 'backfill.' || outcome, tactus.backfill_data(b),
    json_strip_nulls(json_build_object('actor', coalesce(ended_by, 'role:' || session_user), 'reason', end_reason)), ended_at
from tactus.backfills b where ended_at is not null order by id;
