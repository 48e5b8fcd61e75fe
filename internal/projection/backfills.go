package projection

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// backfillsAndEvents selects the backfills whose rows may differ from their newest events, including open ones, which
// have to be compared column by column. Rows of ended backfills are deleted after a while, events are not.
const backfillsAndEvents = `
select coalesce(e.aggregate_id, b.id), coalesce(e.version, 0), coalesce(e.type, ''), coalesce(e.data::text, ''),
    b.id is not null, coalesce(b.outcome, ''),
    case when e.type = 'backfill.asked' and b.outcome is null then tactus.backfill_data(b)::text end
from (
    select distinct on (aggregate_id) aggregate_id, version, type, data
    from tactus.outbox where topic = 'backfill' order by aggregate_id, version desc, position desc
) e
full join tactus.backfills b on b.id = e.aggregate_id
where e.type is null or b.id is null and e.type = 'backfill.asked'
    or b.id is not null and (b.outcome is null or e.type <> 'backfill.' || b.outcome)
order by 1`

const anyBackfillEvents = `select to_regclass('tactus.outbox_backfill') is not null`

type backfillState struct {
	ID      domain.ID
	Version int64
	Type    string
	Data    string
	There   bool
	Outcome string  // of the row; empty while the backfill is open
	Row     *string // the data that an event of the row would have; for open backfills
}

// backfillData is the data of an event of a backfill.
type backfillData struct {
	ScheduleID      domain.ID   `json:"schedule_id"`
	ScheduleVersion int64       `json:"schedule_version"`
	From            time.Time   `json:"from"`
	To              time.Time   `json:"to"`
	Policy          string      `json:"execution_policy"`
	Order           string      `json:"order"`
	MaxActive       int         `json:"max_active"`
	Again           bool        `json:"again"`
	DueTimes        []time.Time `json:"due_times"`
	Total           int         `json:"total"`
	Place           int         `json:"place"`
	Fired           int         `json:"fired"`
	Ran             int         `json:"ran"`
	Skipped         int         `json:"skipped"`
	Excluded        int         `json:"excluded"`
	Actor           *string     `json:"actor"`
	Reason          *string     `json:"reason"`
	CreatedAt       time.Time   `json:"created_at"`
	Outcome         *string     `json:"outcome"`
	EndedAt         *time.Time  `json:"ended_at"`
	EndedBy         *string     `json:"ended_by"`
	EndReason       *string     `json:"end_reason"`
}

// BackfillDifference is a backfill whose row differs from its events.
type BackfillDifference struct {
	Difference
	told *backfillData // nil if its event cannot be read, or there is none
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
		told, differs := s.compare()
		if differs == "" {
			continue
		}
		d := BackfillDifference{Difference: Difference{ID: s.ID, Version: s.Version}, told: told}
		if s.There {
			d.Is = max(s.Version, 1)
		}
		d.What = []string{"backfill " + s.ID.String() + ": " + differs}
		all = append(all, d)
	}
	return all, nil
}

// compare returns the data of the newest event, and how the row differs from it; nothing if it does not differ. The
// progress of an open backfill is in no event, and is not compared.
func (s backfillState) compare() (told *backfillData, differs string) {
	if s.Type == "" {
		return nil, "there is a row and no event"
	}
	told = &backfillData{}
	if err := json.Unmarshal([]byte(s.Data), told); err != nil { // written by hand
		return nil, fmt.Sprintf("its event (%s) cannot be read: %v", s.Type, err)
	}
	switch {
	case !s.There:
		return told, "it was asked for, and there is no row"
	case s.Outcome != "":
		return told, "its row has ended (" + s.Outcome + "), and its event says otherwise (" + s.Type + ")"
	}
	var row backfillData
	if s.Row != nil && json.Unmarshal([]byte(*s.Row), &row) == nil && asAsked(row, *told) {
		return told, ""
	}
	return told, "its row goes on, and is not as its event says (" + s.Type + ")"
}

// asAsked reports whether two have the same data, except for the progress that a beat has made.
func asAsked(a, b backfillData) bool {
	for _, d := range []*backfillData{&a, &b} {
		d.Place, d.Fired, d.Ran, d.Skipped = 0, 0, 0, 0
	}
	one, err := json.Marshal(a)
	other, failed := json.Marshal(b)
	return err == nil && failed == nil && bytes.Equal(one, other)
}

// mendBackfill writes a row from an event. An open backfill continues behind the last of its due times that has a run;
// due times that the beat had left out before are no longer counted.
const mendBackfill = `
with due as materialized (select * from unnest(@due::timestamptz[]) with ordinality u (due_at, nth)),
runs as materialized (
    select count(*) as fired, coalesce(max(nth), 0) as place
    from tactus.runs r left join due on due.due_at = r.due_at
    where r.kind = 'backfill' and r.slot = @id and r.schedule_id = @schedule
)
insert into tactus.backfills as b (id, schedule_id, schedule_version, from_at, to_at, overlap, newest_first, max_active,
    again, due_times, total, place, fired, ran, skipped, excluded, actor, reason, created_at, ended_at, outcome,
    ended_by, end_reason)
select @id, @schedule, @version, @from_at, @to_at, @overlap, @newest_first, @max_active::integer, @again::boolean,
    @due::timestamptz[], @total::integer, case when @outcome::text is null then runs.place else @place::integer end,
    runs.fired, @ran::integer, @skipped::integer, @excluded::integer, @actor, @reason, @created_at, @ended_at,
    @outcome::text, @ended_by, @end_reason
from runs
on conflict (id) do update set schedule_id = excluded.schedule_id, schedule_version = excluded.schedule_version,
    from_at = excluded.from_at, to_at = excluded.to_at, overlap = excluded.overlap,
    newest_first = excluded.newest_first, max_active = excluded.max_active, again = excluded.again,
    due_times = excluded.due_times, total = excluded.total, place = excluded.place, fired = excluded.fired,
    ran = excluded.ran, skipped = excluded.skipped, excluded = excluded.excluded, actor = excluded.actor,
    reason = excluded.reason, created_at = excluded.created_at, ended_at = excluded.ended_at,
    outcome = excluded.outcome, ended_by = excluded.ended_by, end_reason = excluded.end_reason`

func (d BackfillDifference) columns() pgx.NamedArgs {
	t := d.told
	due := t.DueTimes
	if due == nil {
		due = []time.Time{}
	}
	return pgx.NamedArgs{
		"id": d.ID, "schedule": t.ScheduleID, "version": t.ScheduleVersion, "from_at": t.From, "to_at": t.To,
		"overlap": t.Policy, "newest_first": t.Order == "newest_first", "max_active": t.MaxActive, "again": t.Again,
		"due": due, "total": t.Total, "place": t.Place, "ran": t.Ran, "skipped": t.Skipped, "excluded": t.Excluded,
		"actor": t.Actor, "reason": t.Reason, "created_at": t.CreatedAt, "ended_at": t.EndedAt, "outcome": t.Outcome,
		"ended_by": t.EndedBy, "end_reason": t.EndReason,
	}
}

// backfills compares the backfills with their events, and corrects them with config.Swap. It leaves a row without a
// readable event as it is, because nothing says what the row should be.
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
		if !config.Swap || d.told == nil {
			continue
		}
		tag, err := pool.Exec(ctx, mendBackfill, d.columns())
		if err != nil {
			return fmt.Errorf("mend backfill %s: %w", d.ID, err)
		}
		r.Replaced += tag.RowsAffected()
	}
	return nil
}
