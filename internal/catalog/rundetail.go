package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// RunDetail is everything that is known about a run.
type RunDetail struct {
	RunEntry
	Args      json.RawMessage `json:"args"`
	Kwargs    json.RawMessage `json:"kwargs"`
	TaskOf    string          `json:"task_of" enum:"run,schedule" doc:"Whose args, kwargs, task_name and queue these are: those that the run was fired with, or the ones that its schedule has now, because the log of the run is no longer kept, or it never fired."`
	Result    json.RawMessage `json:"result"`
	Traceback *string         `json:"traceback"`
	Attempts  int             `json:"attempts" doc:"How often a worker has begun it, as far as is known."`
	Steps     []Step          `json:"steps" doc:"What has become of it, in order, and what each step took."`
	Triggered

	Task json.RawMessage `json:"-"` // the whole task as the sink received it, for running it again
}

// Triggered tells who asked for a run, and why. It is empty for a scheduled run, and for a manual one whose log is no
// longer kept.
type Triggered struct {
	By         string     `json:"triggered_by,omitempty" doc:"Who asked for it, as long as the log is kept."`
	OnBehalfOf string     `json:"triggered_on_behalf_of,omitempty" doc:"For whom, as the writer says."`
	Why        string     `json:"trigger_reason,omitempty" doc:"Why, as whoever asked for it said."`
	RerunOf    *domain.ID `json:"rerun_of,omitempty" doc:"The run whose task it runs again."`
}

// Step is one of the steps of a run.
type Step struct {
	Step    string    `json:"step" enum:"due,recorded,handed_over,started,finished"`
	At      time.Time `json:"at"`
	Seconds *float64  `json:"seconds,omitempty" doc:"Since the step before; nothing less than 0, though a worker's clock may differ from PostgreSQL's."`
}

var runDetail = `
select r.id, r.schedule_id, s.name, ` + sqlexpr.TaskName + `, ` + sqlexpr.TaskQueue + `,
    ` + sqlexpr.TaskStream + `, r.kind, r.status, r.schedule_version, r.reason, r.error, r.worker, r.redelivered,
    ` + sqlexpr.InYears("r.due_at") + `, ` + sqlexpr.InYears("r.until") + `, ` + sqlexpr.InYears("r.fired_at") + `, ` + sqlexpr.InYears("r.expires_at") + `,
    ` + sqlexpr.InYears("r.sent_at") + `, ` + sqlexpr.InYears("r.started_at") + `, ` + sqlexpr.InYears("r.finished_at") + `,
    s.task::text, r.task is not null, r.result, r.traceback, coalesce(r.retried, 0),
    case when r.kind = 'backfill' then r.slot end
from tactus.runs r left join lateral (
    select name, coalesce(r.task, s.task) as task from tactus.schedules s where s.id = r.schedule_id
) s on true
where r.id = @id`

// RunDetail returns one run, or domain.ErrRunNotFound.
func (c *Catalog) RunDetail(ctx context.Context, id domain.ID) (run RunDetail, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		var own bool
		var task *string
		row := tx.QueryRow(ctx, runDetail, pgx.QueryExecModeExec, pgx.NamedArgs{"id": id})
		r := &run.RunEntry
		switch err := row.Scan(&r.ID, &r.ScheduleID, &r.ScheduleName, &r.TaskName, &r.Queue, &r.Stream,
			&r.Kind, &r.Status, &r.Version,
			&r.Reason, &r.Error, &r.Worker, &r.Redelivered, &r.DueAt, &r.Until, &r.RecordedAt, &r.ExpiresAt, &r.HandedOverAt,
			&r.StartedAt, &r.FinishedAt, &task, &own, &run.Result, &run.Traceback, &run.Attempts, &r.BackfillID); {
		case err == pgx.ErrNoRows:
			return domain.ErrRunNotFound
		case err != nil:
			return fmt.Errorf("read run: %w", err)
		}
		run.TaskOf = "run"
		if !own || run.Kind == domain.Manual {
			fired, by, err := firedTask(ctx, tx, run.RunEntry)
			switch {
			case err != nil:
				return fmt.Errorf("read run: %w", err)
			case fired == nil && !own:
				run.TaskOf = "schedule"
			case !own:
				task = fired
			}
			if run.Kind == domain.Manual {
				run.Triggered = by
			}
		}
		if run.Kind == domain.Backfill {
			row := tx.QueryRow(ctx, whoBackfills, pgx.QueryExecModeExec, run.BackfillID)
			if err := row.Scan(&run.By, &run.Why); err != nil && err != pgx.ErrNoRows {
				return fmt.Errorf("read the backfill of a run: %w", err)
			}
		}
		if task != nil {
			run.Task = json.RawMessage(*task)
		}
		return Hold(ctx, len(run.Task)+len(run.Result)+64<<10)
	})
	if err != nil {
		return run, err
	}
	if err := c.mayRead(ctx, run.ScheduleID, domain.ErrRunNotFound); err != nil {
		return RunDetail{}, err
	}
	run.fill()
	return run, nil
}

// whoBackfills selects who asked for a backfill, and why.
const whoBackfills = `select actor, coalesce(reason, '') from tactus.backfills where id = $1`

// firedEvent finds the event of a run's firing. A pruned event is not found, nor is one that was written by a statement
// which ran for very long.
const firedEvent = sqlexpr.NearFiring + `
select data::text, headers` + sqlexpr.FromNearFiring

// firedTask returns the task that a run was fired with, or nil if its event is no longer in the log, and who made the
// event.
func firedTask(ctx context.Context, tx pgx.Tx, run RunEntry) (task *string, by Triggered, err error) {
	if run.Status == domain.Skipped || run.Status == domain.MissedRun || run.Status == domain.Excluded {
		return nil, by, nil
	}
	var headers []byte
	args := pgx.NamedArgs{"id": run.ID, "fired_at": run.RecordedAt}
	err = tx.QueryRow(ctx, firedEvent, pgx.QueryExecModeExec, args).Scan(&task, &headers)
	if err == pgx.ErrNoRows {
		return nil, by, nil
	}
	if err != nil {
		return nil, by, err
	}
	var said struct {
		By
		RerunOf *domain.ID
	}
	if json.Unmarshal(headers, &said) == nil { // otherwise written by hand
		by = Triggered{By: said.Actor, OnBehalfOf: said.OnBehalfOf, Why: said.Reason, RerunOf: said.RerunOf}
	}
	return task, by, nil
}

// fill sets what follows from the columns.
func (run *RunDetail) fill() {
	defer run.complete()
	var task domain.Task
	if json.Unmarshal(run.Task, &task) == nil { // otherwise somebody changed it by hand
		run.Args, run.Kwargs = task.Args, task.Kwargs
		if run.TaskOf == "run" {
			name := task.TaskName
			run.TaskName, run.Queue, run.Stream = &name, postgres.OrNull(task.Queue), postgres.OrNull(task.Stream)
		}
	}
	run.Attempts += run.begun()
	run.Steps = run.steps()
}

// InQueue names the queue of a run that named none, and is for no stream and no exchange.
func (run *RunDetail) InQueue(ifNone string) {
	var task domain.Task
	if run.Queue == nil && json.Unmarshal(run.Task, &task) == nil && task.Stream == "" && !task.Through() {
		run.Queue = &ifNone
	}
}

// begun returns how often a worker has begun a run since it last announced a retry.
func (run *RunDetail) begun() int {
	switch run.Status {
	case domain.Retrying:
		return 0
	case domain.Started, domain.Succeeded:
		return 1
	}
	if run.StartedAt != nil || run.Traceback != nil {
		return 1
	}
	return 0
}

func (run *RunDetail) steps() (steps []Step) {
	at := run.DueAt
	steps = []Step{{Step: "due", At: at}}
	for _, next := range []struct {
		name string
		at   *time.Time
	}{{"recorded", &run.RecordedAt}, {"handed_over", run.HandedOverAt}, {"started", run.StartedAt}, {"finished", run.FinishedAt}} {
		if next.at == nil {
			continue
		}
		steps = append(steps, Step{next.name, *next.at, between(&at, next.at)})
		at = later(at, *next.at)
	}
	return steps
}
