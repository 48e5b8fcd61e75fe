package projection

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

// mendCalendar writes a row from an event, and adds an event with a new version, so that beats hear of the change.
const mendCalendar = `
with put as (
    insert into tactus.calendars as c (id, name, version, description, days, source, created_at, updated_at, deleted_at)
    select @id, @name, @version, @description, @days::text::json, @source, clock_timestamp(), clock_timestamp(),
        case when @gone::boolean then clock_timestamp() end
    on conflict (id) do update set name = excluded.name, version = excluded.version, description = excluded.description,
        days = excluded.days, source = excluded.source, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at
    where c.version = @is
    returning *
)
insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
select 'schedule', id, version, case when deleted_at is null then 'calendar.updated' else 'calendar.deleted' end,
    tactus.calendar_data(put), updated_at from put`

// mend writes the calendar of the newest event into its row, unless the row has changed since it was read.
func (s calendarState) mend(
	ctx context.Context, pool *pgxpool.Pool, told domain.Calendar, days string,
) (replaced int64, err error) {
	tag, err := pool.Exec(ctx, mendCalendar, pgx.NamedArgs{
		"id": s.ID, "name": told.Name, "version": max(s.Version, s.Is) + 1, "is": s.Is,
		"description": told.Description, "days": days, "source": told.Source, "gone": s.Gone,
	})
	return tag.RowsAffected(), err
}
