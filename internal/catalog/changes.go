package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Change is an event of the log, for readers that go backwards through it.
type Change struct {
	Position int64
	Schedule domain.ID
	Version  int64
	Type     domain.EventType
	At       time.Time
	Data     json.RawMessage
	By
}

// By tells who caused an event and why, as its headers say.
type By struct{ Actor, OnBehalfOf, Reason string }

// byOf reads headers. Unreadable ones, which only somebody can have written by hand, give an empty By.
func byOf(headers []byte) (by By) {
	if json.Unmarshal(headers, &by) != nil {
		return By{}
	}
	return by
}

// maxBack is the most events that one call goes back.
const maxBack = 5_000

// changesBack finds the chosen ones of schedules, calendars, routes and notification rules among the newest events
// before a position by their short columns, and reads only the documents of these. It finds the name of whoever made an
// event anywhere in its headers.
var changesBack = `
with looked_at as materialized (
    select position, topic, aggregate_id, type, case when @actor::text <> '' then headers::text end as said
    from tactus.outbox
    where topic = any ('{schedule,route,rule}') and position < @before::bigint
    order by position desc limit @back::bigint
),
chosen as materialized (
    select position, topic from looked_at
    where (@schedule::uuid is null or aggregate_id = @schedule) and (@type::text = '' or type = @type)
        and (@actor = '' or strpos(coalesce(said, ''), to_json(@actor)::text) > 0)
        and (cardinality(@scope_tags::text[]) + cardinality(@scope_names::text[]) = 0
            or exists (select from tactus.schedules s where s.id = aggregate_id and ` + sqlexpr.InScope + `))
    order by position desc limit @limit::bigint
)
select o.position, o.aggregate_id, o.version, o.type, ` + sqlexpr.InYears("o.occurred_at") + `, o.data, o.headers
from chosen c join tactus.outbox o on o.topic = c.topic and o.position = c.position
order by o.position desc`

const endOfLook = `
select coalesce(min(position), 0), count(*) from (
    select position from tactus.outbox
    where topic = any ('{schedule,route,rule}') and position < $1::bigint order by position desc limit $2::bigint
) looked_at`

// Changes returns the chosen events before a position (0: the newest), newest first, and the position to continue from,
// which is 0 at the beginning of the log. One call examines a bounded part of the log, of which it may choose nothing.
func (c *Catalog) Changes(
	ctx context.Context, f EventFilter, before int64, limit int,
) (all []Change, next int64, err error) {
	if before <= 0 {
		before = 1<<63 - 1
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		var end, looked int64
		if err := tx.QueryRow(ctx, endOfLook, pgx.QueryExecModeExec, before, maxBack).Scan(&end, &looked); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, changesBack, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{
			"before": before, "back": maxBack, "schedule": f.Schedule, "type": string(f.Type), "limit": limit, "actor": f.Actor,
		}))
		if err != nil {
			return err
		}
		bytes := 0
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Change, err error) {
			var headers []byte
			err = row.Scan(&e.Position, &e.Schedule, &e.Version, &e.Type, &e.At, &e.Data, &headers)
			e.By = byOf(headers)
			if bytes += len(e.Data); bytes > maxPage {
				e.Data = nil
			}
			return e, err
		})
		switch {
		case err != nil:
			return err
		case len(all) == limit:
			next = all[len(all)-1].Position
		case looked == maxBack:
			next = end
		}
		all = slices.DeleteFunc(all, func(e Change) bool { return f.Actor != "" && e.Actor != f.Actor })
		return nil
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read changes: %w", err)
	}
	return all, next, nil
}
