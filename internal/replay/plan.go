package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Bound is an inclusive end of a range: a position in the log, or a time. The zero Bound is no bound.
type Bound struct {
	Position int64     `json:"position,omitempty"`
	Time     time.Time `json:"time,omitzero"`
}

// Range selects events.
type Range struct {
	From     Bound              `json:"from,omitzero"`
	To       Bound              `json:"to,omitzero"`
	Schedule domain.ID          `json:"schedule,omitzero"`
	Types    []domain.EventType `json:"types,omitempty"` // all types when empty
}

// Plan is a range at the instant when its replay began. It is stored in the stream's mark, as the mark's epoch.
type Plan struct {
	Range
	Snapshot outbox.Snapshot `json:"snapshot"` // the transactions that were committed then
	Began    time.Time       `json:"began"`
	Epoch    string          `json:"epoch"` // of the log
}

// Same reports whether the plan has the given range.
func (p Plan) Same(r Range) bool {
	return p.From.Position == r.From.Position && p.From.Time.Equal(r.From.Time) && p.To.Position == r.To.Position &&
		p.To.Time.Equal(r.To.Time) && p.Schedule == r.Schedule && slices.Equal(p.Types, r.Types)
}

// Count is the number of events of one type.
type Count struct {
	Type        domain.EventType
	N           int64
	First, Last int64 // positions
}

// chosen selects the rows of a plan. A condition whose argument is null or at its limit always holds.
const chosen = `
from tactus.outbox
where topic = 'schedule' and (pg_visible_in_snapshot(xid, @snapshot::text::pg_snapshot) or ` + sqlexpr.BeforeEpoch + `)
    and position > @after::bigint and position >= @from::bigint and position <= @to::bigint
    and (@since::timestamptz is null or occurred_at >= @since)
        and (@until::timestamptz is null or occurred_at <= @until)
    and (@schedule::text is null or aggregate_id = @schedule::text::uuid)
    and (@types::text[] is null or type = any (@types::text[]))`

const (
	countChosen = `select type, count(*), min(position), max(position)` + chosen + ` group by type order by type`
	readChosen  = `select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt + chosen + ` order by position limit @limit::int`
)

func (p Plan) args(after int64) pgx.NamedArgs {
	args := pgx.NamedArgs{
		"snapshot": string(p.Snapshot), "after": after, "from": p.From.Position, "to": int64(1<<63 - 1),
		"since": postgres.OrNull(p.From.Time), "until": postgres.OrNull(p.To.Time), "schedule": nil, "types": nil,
	}
	if p.To.Position > 0 {
		args["to"] = p.To.Position
	}
	if !p.Schedule.IsZero() {
		args["schedule"] = p.Schedule.String()
	}
	if len(p.Types) > 0 {
		types := make([]string, len(p.Types))
		for i, t := range p.Types {
			types[i] = string(t)
		}
		args["types"] = types
	}
	return args
}

// Count returns how many events of the plan come after a position, by type.
func (p Plan) Count(ctx context.Context, pool *pgxpool.Pool, after int64) ([]Count, error) {
	rows, err := pool.Query(ctx, countChosen, p.args(after))
	if err != nil {
		return nil, fmt.Errorf("count events: %w", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Count])
	if err != nil {
		return nil, fmt.Errorf("count events: %w", err)
	}
	return counts, nil
}

const now = `
select pg_current_snapshot()::text, clock_timestamp(),
    coalesce((select epoch from tactus.relay_sinks where topic = 'schedule' order by registered_at desc limit 1), '')`

// Begin returns a plan for the events of a range that are committed now.
func Begin(ctx context.Context, pool *pgxpool.Pool, r Range) (Plan, error) {
	for _, t := range r.Types {
		if err := replayable(t); err != nil {
			return Plan{}, err
		}
	}
	p := Plan{Range: r}
	if err := pool.QueryRow(ctx, now).Scan(&p.Snapshot, &p.Began, &p.Epoch); err != nil {
		return Plan{}, fmt.Errorf("begin a replay: %w", err)
	}
	p.Began = p.Began.UTC()
	return p, nil
}

func replayable(t domain.EventType) error {
	switch t {
	case domain.ScheduleCreated, domain.ScheduleUpdated, domain.ScheduleDeleted, domain.ScheduleEnabled, domain.ScheduleDisabled, domain.ScheduleInvalidated,
		domain.ScheduleCompleted,
		domain.CalendarUpdated, domain.CalendarDeleted:
		return nil
	case domain.RunDue:
		return &Refusal{"events of runs are not replayed: a replay never runs anything (to hand over again what a broker has lost: tactus redeliver)"}
	default:
		return &Refusal{fmt.Sprintf("unknown type of event %q: want schedule.created, updated, deleted, enabled, disabled, invalidated or completed, or calendar.updated or deleted", t)}
	}
}

// Refusal is the error for a replay that would be harmful or makes no sense.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

// marked is how the epoch of a replay's mark begins. The rest is the plan.
const marked = "replay "

func (p Plan) mark() (string, error) {
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode the plan: %w", err)
	}
	return marked + string(text), nil
}
