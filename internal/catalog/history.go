package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Run is one run in the history. A missed range is one entry, from DueAt to Until.
type Run struct {
	TaskID     domain.ID        `json:"task_id" doc:"The run's id, which is the Celery task's id too."`
	ScheduleID domain.ID        `json:"schedule_id"`
	DueAt      time.Time        `json:"due_at"`
	Until      *time.Time       `json:"until,omitempty" doc:"Of a missed range: its last due time."`
	Kind       domain.RunKind   `json:"kind" enum:"scheduled,manual,backfill"`
	Status     domain.RunStatus `json:"status"`
	Version    int64            `json:"schedule_version"`
	Reason     *string          `json:"reason,omitempty"`
	ExecutedAt time.Time        `json:"executed_at" doc:"When it was fired."`
	ExpiresAt  *time.Time       `json:"expires_at,omitempty"`
	SentAt     *time.Time       `json:"sent_at,omitempty"`
	StartedAt  *time.Time       `json:"started_at,omitempty"`
	FinishedAt *time.Time       `json:"finished_at,omitempty"`
	Worker     *string          `json:"worker,omitempty"`
	Result     json.RawMessage  `json:"result"`
	Error      *string          `json:"error"`
	Traceback  *string          `json:"traceback,omitempty"`
}

var runColumns = `
select id, schedule_id, (` + sqlexpr.InYears("due_at") + `), ` + sqlexpr.InYears("until") + `, kind, status, schedule_version, reason,
    ` + sqlexpr.InYears("fired_at") + `, ` + sqlexpr.InYears("expires_at") + `, ` + sqlexpr.InYears("sent_at") + `,
    ` + sqlexpr.InYears("started_at") + `, ` + sqlexpr.InYears("finished_at") + `, worker, result, error, traceback
from tactus.runs where `

// runsOf is the condition for the runs of one schedule, which are read in the order of schedule_id and due_at.
// Condition and order have this form for the same reason as ofSource: if a schedule has a large part of all runs,
// PostgreSQL expects to find its runs soon among the newest runs of all schedules, and would scan all newer runs of the
// others.
func runsOf(schedule string) string {
	return `(schedule_id, due_at) >= (` + schedule + `, '-infinity'::timestamptz)
            and (schedule_id, due_at) <= (` + schedule + `, 'infinity'::timestamptz)`
}

var (
	historyOf = runColumns + runsOf("$1::uuid") + ` and ($4::timestamptz is null or due_at < $4)
order by runs.schedule_id desc, runs.due_at desc, runs.id desc limit $2::bigint offset $3::bigint`
	runOf = runColumns + `id = $1`
)

const countOf = `select count(*) from (select from tactus.runs where schedule_id = $1 limit $2::bigint) counted`

// History returns runs of a schedule, deleted or not, newest first, and the total, counted up to MaxRunCount. With
// before it returns only runs that were due before that time.
func (c *Catalog) History(ctx context.Context, schedule domain.ID, before *time.Time, limit, offset int) (runs []Run,
	total int64, err error,
) {
	if err := c.mayRead(ctx, schedule, domain.ErrNotFound); err != nil {
		return nil, 0, err
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		var err error
		if runs, err = bounded(ctx, tx, Run.size, historyOf, schedule, limit, offset, before); err != nil {
			return fmt.Errorf("read history: %w", err)
		}
		for i := range runs {
			runs[i].utc()
		}
		if err := tx.QueryRow(ctx, countOf, pgx.QueryExecModeExec, schedule, MaxRunCount).Scan(&total); err != nil {
			return fmt.Errorf("count history: %w", err)
		}
		return nil
	})
	return runs, total, err
}

// size returns about how many bytes a run takes.
func (r Run) size() int {
	size := len(r.Result)
	for _, text := range []*string{r.Reason, r.Worker, r.Error, r.Traceback} {
		if text != nil {
			size += len(*text)
		}
	}
	return size
}

// Run returns one run, or domain.ErrRunNotFound.
func (c *Catalog) Run(ctx context.Context, id domain.ID) (Run, error) {
	rows, err := c.pool.Query(ctx, runOf, id)
	if err != nil {
		return Run{}, fmt.Errorf("read run: %w", err)
	}
	runs, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Run])
	if err != nil {
		return Run{}, fmt.Errorf("read run: %w", err)
	}
	if len(runs) == 0 {
		return Run{}, domain.ErrRunNotFound
	}
	if err := c.mayRead(ctx, runs[0].ScheduleID, domain.ErrRunNotFound); err != nil {
		return Run{}, err
	}
	if err := Hold(ctx, runs[0].size()); err != nil {
		return Run{}, err
	}
	runs[0].utc()
	return runs[0], nil
}

func (r *Run) utc() {
	r.DueAt, r.ExecutedAt = r.DueAt.UTC(), r.ExecutedAt.UTC()
	for _, t := range []*time.Time{r.Until, r.ExpiresAt, r.SentAt, r.StartedAt, r.FinishedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
}
