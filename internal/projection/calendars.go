package projection

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

// differingCalendars selects the newest event of each calendar whose row differs from it, and the rows without an event.
const differingCalendars = `
with newest as (
    select distinct on (aggregate_id) aggregate_id as id, version, type, data
    from tactus.outbox where topic = 'schedule' and type like 'calendar.%' order by aggregate_id, version desc, position desc
),
differs as materialized (
    select coalesce(e.id, c.id) as id, coalesce(e.version, 0) as version, coalesce(c.version, 0) as is_version,
        coalesce(e.data->>'name', c.name) as name, e.type, e.data
    from newest e full join tactus.calendars c on c.id = e.id
    where (c.name, c.version, c.description, c.days::text, c.deleted_at is not null) is distinct from
        (e.data->>'name', e.version, e.data->>'description', (e.data->'days')::text, e.type = 'calendar.deleted')
)`

const tellCalendars = differingCalendars + ` select id, version, is_version, name from differs order by name`

// mendCalendars makes rows what the events say, and tells of it by an event of a new version, so that beats hear of it. A
// row without an event is left: nothing says what it should be.
const mendCalendars = differingCalendars + `,
put as (
    insert into tactus.calendars as c (id, name, version, description, days, created_at, updated_at, deleted_at)
    select id, data->>'name', greatest(version, is_version) + 1, data->>'description', data->'days', clock_timestamp(), clock_timestamp(),
        case when type = 'calendar.deleted' then clock_timestamp() end
    from differs where data is not null
    on conflict (id) do update set name = excluded.name, version = excluded.version, description = excluded.description,
        days = excluded.days, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at
    returning *
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, case when deleted_at is null then 'calendar.updated' else 'calendar.deleted' end,
        tactus.calendar_data(put), updated_at from put
    returning position
)
select count(*) from event`

// calendars compares the calendars with their events, and corrects them with config.Swap: before the schedules, which may
// name only calendars that are there.
func (r *Result) calendars(ctx context.Context, pool *pgxpool.Pool, config Config) error {
	rows, err := pool.Query(ctx, tellCalendars)
	if err != nil {
		return fmt.Errorf("compare calendars: %w", err)
	}
	type different struct {
		ID          domain.ID
		Version, Is int64
		Name        string
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[different])
	if err != nil {
		return fmt.Errorf("compare calendars: %w", err)
	}
	for _, d := range found {
		r.Different++
		if config.Tell == nil {
			continue
		}
		what := "calendar " + d.Name + ": its row differs from its events"
		if err := config.Tell(Difference{ID: d.ID, Version: d.Version, Is: d.Is, What: []string{what}}); err != nil {
			return err
		}
	}
	if len(found) == 0 || !config.Swap {
		return nil
	}
	var mended int64
	if err := pool.QueryRow(ctx, mendCalendars).Scan(&mended); err != nil {
		return fmt.Errorf("mend calendars: %w", err)
	}
	r.Replaced += mended
	return nil
}
