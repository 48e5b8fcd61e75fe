-- +goose Up

-- +goose StatementBegin
-- Makes the schedule of one row what the row says; a row that is not there (any more) has none. The tables have been checked.
-- Of a definition that jsonb cannot hold, everything but its documents is read.
create or replace function tactus.adopt_one(adoption tactus.adoptions, key text) returns void language plpgsql volatile as $$
declare
    row_of record;
    living tactus.schedules;
    schedule uuid := tactus.adopted_id(adoption.source, key);
    so_far jsonb;
    documents jsonb;
    wanted text;
begin
    select * into row_of from tactus.adoptee(adoption.kind, adoption.source, adoption.timezone, key);
    select * into living from tactus.schedules s where s.id = schedule and s.deleted_at is null for update;
    if living.managed_by <> adoption.source then
        raise exception 'the schedule % is adopted from %', schedule, living.managed_by;
    end if;
    if row_of.origin is null then
        if living.managed_by is not null then
            perform tactus.remove_schedule(schedule);
        end if;
        return;
    end if;
    so_far := coalesce(tactus.jsonb_of(living.definition), (select d from tactus.parted(living.definition)));
    if so_far->'interval_seconds' = row_of.definition->'interval_seconds' then
        row_of.definition := row_of.definition || jsonb_build_object('interval_anchor', so_far->'interval_anchor');
    end if;
    row_of.definition := tactus.adopted_clocked(row_of.definition, row_of.origin, living, so_far);
    if row_of.definition ? 'max_runs' and (row_of.definition->>'enabled')::boolean and not (so_far->>'enabled')::boolean then
        -- A one-off that is enabled again runs once more: its runs are counted from here on.
        update tactus.schedules set trigger_set_at = clock_timestamp() where id = schedule;
    end if;
    wanted := left(trim(regexp_replace(row_of.definition->>'name', E'[\x01-\x1f\x7f]', ' ', 'g')), 200);
    if wanted ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' then
        wanted := 'schedule ' || wanted;
    end if;
    documents := coalesce((select jsonb_object_agg(d.key, d.value) from jsonb_each(row_of.definition) as d where left(d.key, 1) = '='), '{}');
    loop
        if exists (select from tactus.schedules s where s.name = wanted and s.deleted_at is null and s.id <> schedule) then
            wanted := left(wanted, 187) || '-' || right(schedule::text, 12);
        end if;
        row_of.definition := tactus.complete_definition(row_of.definition || jsonb_build_object('name', wanted), schedule, so_far, clock_timestamp()) || documents;
        exit when tactus.write_schedule(schedule, row_of.definition, row_of.reason, adoption.source) is not null;
    end loop;
end
$$;
-- +goose StatementEnd
