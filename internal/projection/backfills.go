package projection

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// backfillsAndEvents selects each backfill whose row differs from its newest event. Rows of what has ended are forgotten
// after a while, and events are not. What a beat has done of one that goes on is in no event.
const backfillsAndEvents = `
select coalesce(e.aggregate_id, b.id), coalesce(e.version, 0), coalesce(e.type, ''), coalesce(e.data::text, ''), b.id is not null,
    coalesce(b.outcome, '')
from (
    select distinct on (aggregate_id) aggregate_id, version, type, data
    from tactus.outbox where topic = 'backfill' order by aggregate_id, version desc, position desc
) e
full join tactus.backfills b on b.id = e.aggregate_id
where e.type is null or b.id is null and e.type = 'backfill.asked'
    or b.id is not null and e.type <> 'backfill.' || coalesce(b.outcome, 'asked')
    or b.id is not null and b.outcome is null and tactus.backfill_data(b)::jsonb - '{place,fired,ran,skipped}'::text[] <> e.data::jsonb - '{place,fired,ran,skipped}'::text[]
order by 1`

const anyBackfillEvents = `select to_regclass('tactus.outbox_backfill') is not null`

type backfillState struct {
	ID      domain.ID
	Version int64
	Type    string
	Data    string
	There   bool
	Outcome string // of the row; empty while it goes on
}

// BackfillDifference is a backfill whose row is not as its events say.
type BackfillDifference struct {
	Difference
	data json.RawMessage
}

// Backfills compares the backfills with their events. A schema of the release before has no such events.
func Backfills(ctx context.Context, q postgres.Querier) (all []BackfillDifference, err error) {
	if there, err := postgres.IsTrue(ctx, q, anyBackfillEvents); err != nil || !there {
		return nil, err
	}
	states, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[backfillState], backfillsAndEvents)
	if err != nil {
		return nil, fmt.Errorf("compare backfills: %w", err)
	}
	for _, s := range states {
		d := BackfillDifference{Difference: Difference{ID: s.ID, Version: s.Version}, data: json.RawMessage(s.Data)}
		if s.There {
			d.Is = max(s.Version, 1)
		}
		d.What = []string{"backfill " + s.ID.String() + ": " + s.differs()}
		all = append(all, d)
	}
	return all, nil
}

func (s backfillState) differs() string {
	switch {
	case s.Type == "":
		return "there is a row and no event"
	case !s.There:
		return "it was asked for, and there is no row"
	case s.Outcome == "":
		return "its row goes on, and is not as its event says (" + s.Type + ")"
	}
	return "its row has ended (" + s.Outcome + "), and its event says otherwise (" + s.Type + ")"
}

// mendBackfill makes a row what an event says. One that goes on does so behind the last of its due times that has a
// run; what the beat left out before is not counted any more.
const mendBackfill = `
with told as materialized (select @data::text::json as data),
due as materialized (
    select tactus.instant(value) as due_at, nth
    from told, json_array_elements_text(coalesce(data->'due_times', '[]')) with ordinality u (value, nth)
),
runs as materialized (
    select count(*) as fired, coalesce(max(nth), 0) as place
    from told join tactus.runs r on r.kind = 'backfill' and r.slot = @id and r.schedule_id = (data->>'schedule_id')::uuid
    left join due on due.due_at = r.due_at
)
insert into tactus.backfills as b (id, schedule_id, schedule_version, from_at, to_at, overlap, newest_first, max_active, again,
    due_times, total, place, fired, ran, skipped, excluded, actor, reason, created_at, ended_at, outcome, ended_by, end_reason)
select @id, (data->>'schedule_id')::uuid, (data->>'schedule_version')::bigint, tactus.instant(data->>'from'), tactus.instant(data->>'to'),
    data->>'execution_policy', data->>'order' = 'newest_first', (data->>'max_active')::integer, (data->>'again')::boolean,
    coalesce((select array_agg(due_at order by nth) from due), '{}'), (data->>'total')::integer,
    case when data->>'outcome' is null then runs.place else (data->>'place')::integer end, runs.fired,
    (data->>'ran')::integer, (data->>'skipped')::integer, (data->>'excluded')::integer, data->>'actor', data->>'reason',
    tactus.instant(data->>'created_at'), tactus.instant(data->>'ended_at'), data->>'outcome', data->>'ended_by', data->>'end_reason'
from told, runs
on conflict (id) do update set schedule_id = excluded.schedule_id, schedule_version = excluded.schedule_version,
    from_at = excluded.from_at, to_at = excluded.to_at, overlap = excluded.overlap, newest_first = excluded.newest_first,
    max_active = excluded.max_active, again = excluded.again, due_times = excluded.due_times, total = excluded.total,
    place = excluded.place, fired = excluded.fired, ran = excluded.ran, skipped = excluded.skipped, excluded = excluded.excluded,
    actor = excluded.actor, reason = excluded.reason, created_at = excluded.created_at, ended_at = excluded.ended_at,
    outcome = excluded.outcome, ended_by = excluded.ended_by, end_reason = excluded.end_reason`

// backfills compares the backfills with their events, and corrects them with config.Swap. A row without an event is
// left: nothing says what it should be.
func (r *Result) backfills(ctx context.Context, pool *pgxpool.Pool, config Config) error {
	all, err := Backfills(ctx, pool)
	if err != nil {
		return err
	}
	for _, d := range all {
		r.Different++
		if config.Tell != nil {
			if err := config.Tell(d.Difference); err != nil {
				return err
			}
		}
		if !config.Swap || d.Version == 0 {
			continue
		}
		tag, err := pool.Exec(ctx, mendBackfill, pgx.NamedArgs{"id": d.ID, "data": string(d.data)})
		if err != nil {
			return fmt.Errorf("mend backfill %s: %w", d.ID, err)
		}
		r.Replaced += tag.RowsAffected()
	}
	return nil
}
