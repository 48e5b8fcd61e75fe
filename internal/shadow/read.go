package shadow

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Fates of a due time in shadow mode.
const (
	Fire    = "fire"
	Skipped = "skipped"
	Missed  = "missed"
)

// Decision is what a shadow decided about a due time, or about a range of missed due times.
type Decision struct {
	Schedule domain.ID
	Due      time.Time
	Until    *time.Time // the last due time of a range; nil for a single one
	Fires    time.Time  // when it was to fire: the due time and its jitter
	Fate     string
	Reason   string
	Name     string
	Task     string
	Args     json.RawMessage // nil when they were too long to be kept
	Kwargs   json.RawMessage
}

// Sent is a task that some process sent.
type Sent struct {
	ID       string
	Task     string
	Args     string
	Kwargs   string
	Sender   string    // empty when only a worker reported the task
	At       time.Time // when it was sent, or received when only a worker reported it
	Received bool      // whether only a worker reported it
	To       string    // the queue, or exchange/routing key; empty when only a worker reported it
}

// Watch is a time in which a watcher listened.
type Watch struct{ Since, Until time.Time }

// Record is all that Compare needs.
type Record struct {
	Decisions []Decision
	Sent      []Sent
	Watches   []Watch
	Routes    map[string]domain.Route // by name of the task
	Schedules []domain.Schedule       // those that a decision names, and those whose task was sent; deleted ones last
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// Times are clamped to the years that Go can represent, because somebody may have changed a row by hand.
var (
	readDecisionsSQL = `
select schedule_id, (` + sqlexpr.InYears("due_at") + `), ` + sqlexpr.InYears("until") + `,
    ` + sqlexpr.InYears("fires_at") + `, fate, coalesce(reason, ''), schedule_name, task_name, args, kwargs
from tactus.shadow_runs where coalesce(until, fires_at) >= $1 order by fires_at`

	readSentSQL = `
select s.task_id, s.task_name, s.args, s.kwargs, s.sender,
    (` + sqlexpr.InYears("coalesce(s.sent_at, s.received_at)") + `) as at, s.sent_at is null, s.destination
from tactus.shadow_sent s
where coalesce(s.sent_at, s.received_at) >= $1 and not exists (
    select from tactus.runs r where r.id =
        case when s.task_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then s.task_id::uuid end)
order by at`

	readWatchesSQL = `select (` + sqlexpr.InYears("greatest(since, $1)") + `), ` + sqlexpr.InYears("until") +
		` from tactus.shadow_watches where until >= $1 order by since`

	readSchedulesSQL = `
select s.id, (` + sqlexpr.InYears("s.effective_from") + `), (` + sqlexpr.InYears("s.created_at") + `), s.enabled, coalesce(s.invalid_reason, ''),
    ` + sqlexpr.InYears("s.deleted_at") + `, s.definition from tactus.schedules s
where s.id in (select schedule_id from tactus.shadow_runs where decided_at >= $1)
    or ` + sqlexpr.TaskName + ` in (select task_name from tactus.shadow_sent where heard_at >= $1)
order by s.deleted_at is not null, s.id`
)

// Read reads the records of shadow mode since an instant.
func Read(ctx context.Context, q querier, since time.Time) (r Record, err error) {
	if r.Decisions, err = collect[Decision](ctx, q, "decided", readDecisionsSQL, since); err != nil {
		return r, err
	}
	if r.Sent, err = collect[Sent](ctx, q, "sent", readSentSQL, since); err != nil {
		return r, err
	}
	if r.Watches, err = collect[Watch](ctx, q, "watched", readWatchesSQL, since); err != nil {
		return r, err
	}
	rows, err := collect[scheduleRow](ctx, q, "scheduled", readSchedulesSQL, since)
	for _, row := range rows {
		s := domain.Schedule{
			ID: row.ID, EffectiveFrom: row.Effective, CreatedAt: row.Created, InvalidReason: row.Invalid,
		}
		// the row was changed by hand; the others can still be compared
		if err := json.Unmarshal(row.Definition, &s.Definition); err != nil {
			s.InvalidReason = cmp.Or(s.InvalidReason, fmt.Sprintf("its definition cannot be read: %v", err))
		}
		s.Enabled = &row.Enabled
		if row.Deleted != nil {
			s.DeletedAt = *row.Deleted
		}
		r.Schedules = append(r.Schedules, s)
	}
	if err != nil {
		return r, err
	}
	if err := readCalendars(ctx, q, r.Schedules); err != nil {
		return r, err
	}
	r.Routes, err = readRoutes(ctx, q, r.Schedules)
	return r, err
}

// readCalendars gives schedules the calendars that they name, as these are now.
func readCalendars(ctx context.Context, q querier, schedules []domain.Schedule) error {
	definitions := make([]domain.Definition, len(schedules))
	for i, s := range schedules {
		definitions[i] = s.Definition
	}
	sets, err := outbox.SetsOf(ctx, q, definitions...)
	if err != nil {
		return fmt.Errorf("read calendars: %w", err)
	}
	for i := range schedules {
		schedules[i].Sets = sets
	}
	return nil
}

const routesSQL = `
select name, r.queue, r.exchange, r.routing_key from unnest($1::text[]) name, tactus.route_of(name) r
    where r.pattern is not null`

// readRoutes reads the routes of the tasks that schedules run, by name of the task.
func readRoutes(ctx context.Context, q querier, schedules []domain.Schedule) (map[string]domain.Route, error) {
	var names []string
	for _, s := range schedules {
		names = append(names, s.TaskName)
	}
	rows, err := q.Query(ctx, routesSQL, names)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	routes := map[string]domain.Route{}
	var name string
	var queue, exchange, routingKey *string
	if _, err := pgx.ForEachRow(rows, []any{&name, &queue, &exchange, &routingKey}, func() error {
		routes[name] = domain.Route{Queue: orEmpty(queue), Exchange: orEmpty(exchange), RoutingKey: orEmpty(routingKey)}
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return routes, nil
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

type scheduleRow struct {
	ID         domain.ID
	Effective  time.Time
	Created    time.Time
	Enabled    bool
	Invalid    string
	Deleted    *time.Time
	Definition []byte
}

func collect[T any](ctx context.Context, q querier, what, sql string, since time.Time) ([]T, error) {
	rows, err := q.Query(ctx, sql, pooled, since)
	if err != nil {
		return nil, fmt.Errorf("read what was %s: %w", what, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("read what was %s: %w", what, err)
	}
	return all, nil
}
