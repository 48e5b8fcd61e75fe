package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
)

// Catalog reads from a pool that it is lent.
type Catalog struct{ pool *pgxpool.Pool }

// New returns a catalog over a pool.
func New(pool *pgxpool.Pool) *Catalog { return &Catalog{pool} }

// Entry is a schedule with what is known of its runs.
type Entry struct {
	domain.Schedule
	LastRunAt *time.Time       `json:"last_run_at"`
	NextRunAt *time.Time       `json:"next_run_at"`
	Warnings  []domain.Warning `json:"warnings,omitempty"`
	Record
}

// Record is how the newest runs of a schedule went, at most a hundred of them; what was skipped or missed is no run.
type Record struct {
	TotalRunCount *int64            `json:"total_run_count,omitempty" doc:"How many runs the history has; in the answer about one schedule."`
	LastStatus    *domain.RunStatus `json:"last_status,omitempty" doc:"Of the newest run."`
	LastError     *string           `json:"last_error,omitempty" doc:"Of the newest run that has one."`
	SuccessRate   *float64          `json:"success_rate,omitempty" doc:"Of the newest runs whose end is known, the part that succeeded."`
}

// Filter chooses schedules; zero members do not.
type Filter struct {
	Enabled  *bool
	Category string
	Tag      string
	Name     string // the whole name
	Query    string // a part of the name, in either case
	Limit    int
	Offset   int
}

// List returns the chosen schedules, newest first, and how many there are in all.
func (c *Catalog) List(ctx context.Context, f Filter) (entries []Entry, total int64, err error) {
	args := pgx.NamedArgs{"enabled": f.Enabled, "category": f.Category, "tag": f.Tag, "name": f.Name, "query": f.Query, "limit": f.Limit, "offset": f.Offset}
	rows, err := c.pool.Query(ctx, listSchedules, args)
	if err != nil {
		return nil, 0, fmt.Errorf("list schedules: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entryRow])
	if err != nil {
		return nil, 0, fmt.Errorf("list schedules: %w", err)
	}
	if err := c.pool.QueryRow(ctx, countSchedules, args).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count schedules: %w", err)
	}
	entries = make([]Entry, 0, len(found))
	for _, row := range found {
		entry, err := row.entry()
		if err != nil {
			return nil, 0, fmt.Errorf("list schedules: %w", err)
		}
		entries = append(entries, entry)
	}
	return entries, total, nil
}

// Get returns a living schedule, or domain.ErrNotFound.
func (c *Catalog) Get(ctx context.Context, id domain.ID) (Entry, error) {
	rows, err := c.pool.Query(ctx, getSchedule, pgx.NamedArgs{"id": id})
	if err != nil {
		return Entry{}, fmt.Errorf("read schedule: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entryRow])
	if err != nil {
		return Entry{}, fmt.Errorf("read schedule: %w", err)
	}
	if len(found) == 0 {
		return Entry{}, domain.ErrNotFound
	}
	entry, err := found[0].entry()
	if err != nil {
		return Entry{}, err
	}
	var total int64
	if err := c.pool.QueryRow(ctx, countRuns, id).Scan(&total); err != nil {
		return Entry{}, fmt.Errorf("count runs: %w", err)
	}
	entry.TotalRunCount = &total
	return entry, nil
}

const countRuns = `select count(*) from tactus.runs where schedule_id = $1 and status not in ('missed', 'skipped')`

type entryRow struct {
	ID            domain.ID
	Version       int64
	Definition    []byte
	InvalidReason string
	ManagedBy     string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	EffectiveFrom time.Time
	TriggerSetAt  time.Time
	LastRunAt     *time.Time
	LastStatus    *domain.RunStatus
	LastError     *string
	SuccessRate   *float64
	Exhausted     bool // max_runs has been reached
	Now           time.Time
}

const entryColumns = `
select s.id, s.version, s.definition, coalesce(s.invalid_reason, ''), coalesce(s.managed_by, ''), s.created_at, s.updated_at, s.effective_from, s.trigger_set_at,
    r.fired_at, r.status, (select error from tactus.runs where id = r.failed_id and due_at = r.failed_at), r.success_rate,
    coalesce(n.fired >= (s.policy::json->>'max_runs')::bigint, false), clock_timestamp()
from tactus.schedules s
left join lateral (
    select (array_agg(fired_at order by due_at desc))[1] as fired_at, (array_agg(status order by due_at desc))[1] as status,
        (array_agg(id order by due_at desc) filter (where failed))[1] as failed_id, max(due_at) filter (where failed) as failed_at,
        (count(*) filter (where status = 'succeeded'))::float8 / nullif(count(*) filter (where status in ('succeeded', 'failed', 'revoked', 'expired')), 0) as success_rate
    from (
        select id, due_at, fired_at, status, error is not null as failed from tactus.runs
        where schedule_id = s.id and status not in ('missed', 'skipped') and not waiting order by due_at desc limit 100
    ) newest
) r on true
left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.deleted_at is null`

const chosen = `
    and (@enabled::boolean is null or s.enabled = @enabled::boolean)
    and (@category::text = '' or s.category = @category)
    and (@tag::text = '' or @tag = any (s.tags))
    and (@name::text = '' or s.name = @name)
    and (@query::text = '' or strpos(lower(s.name), lower(@query)) > 0)`

const (
	getSchedule    = entryColumns + ` and s.id = @id`
	listSchedules  = entryColumns + chosen + ` order by s.created_at desc, s.id desc limit @limit::bigint offset @offset::bigint`
	countSchedules = `select count(*) from tactus.schedules s where s.deleted_at is null` + chosen
)

func (r entryRow) entry() (Entry, error) {
	e := Entry{Schedule: domain.Schedule{
		ID: r.ID, Version: r.Version, InvalidReason: r.InvalidReason, ManagedBy: r.ManagedBy, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
		EffectiveFrom: r.EffectiveFrom.UTC(), TriggerSetAt: r.TriggerSetAt.UTC(),
	}}
	if err := json.Unmarshal(r.Definition, &e.Definition); err != nil {
		return Entry{}, fmt.Errorf("read definition of %s: %w", r.ID, err)
	}
	e.Warnings = e.Definition.Warnings()
	e.LastStatus, e.LastError, e.SuccessRate = r.LastStatus, r.LastError, r.SuccessRate
	if r.LastRunAt != nil {
		last := r.LastRunAt.UTC()
		e.LastRunAt = &last
	}
	if next, ok := e.Next(r.Now); ok && !r.Exhausted {
		e.NextRunAt = &next
	}
	return e, nil
}
