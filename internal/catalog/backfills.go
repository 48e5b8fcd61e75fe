package catalog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Backfill is a request to run past due times of a schedule, with its progress.
type Backfill struct {
	ID         domain.ID      `json:"id"`
	ScheduleID domain.ID      `json:"schedule_id"`
	Version    int64          `json:"schedule_version" doc:"By which the due times were found."`
	State      string         `json:"state" enum:"running,completed,cancelled,failed" doc:"It is completed when all of its runs have ended."`
	From       time.Time      `json:"from"`
	To         time.Time      `json:"to"`
	Policy     string         `json:"execution_policy" enum:"allow,queue"`
	Order      string         `json:"order" enum:"oldest_first,newest_first"`
	MaxActive  int            `json:"max_active"`
	Again      bool           `json:"again"`
	Total      int            `json:"total" doc:"How many are to run, or have."`
	Remaining  int            `json:"remaining" doc:"How many of them are still to come. Of a backfill that has ended: how many it has not come to."`
	Fired      int            `json:"fired" doc:"How many runs it has made."`
	LeftOut    domain.LeftOut `json:"left_out" doc:"Due times of the range that do not run, with those of which that turned out when it was their turn."`
	Actor      string         `json:"actor" doc:"Who asked for it."`
	Reason     *string        `json:"reason,omitempty" doc:"Why."`
	CreatedAt  time.Time      `json:"created_at"`
	EndedAt    *time.Time     `json:"ended_at,omitempty"`
	EndedBy    *string        `json:"ended_by,omitempty" doc:"Who cancelled it, or found that it failed."`
	EndReason  *string        `json:"end_reason,omitempty"`

	RunCounts map[domain.RunStatus]int64 `json:"run_counts,omitempty" doc:"How its runs stand, by their status: of one backfill alone, as far as its runs are kept."`
}

const backfillColumns = `f.id, f.schedule_id, f.schedule_version, coalesce(f.outcome, 'running'), ` +
	`f.from_at, f.to_at, f.overlap, f.newest_first, f.max_active, f.again, f.total, f.total - f.place, f.fired, f.ran, f.skipped, f.excluded,
    f.actor, f.reason, f.created_at, f.ended_at, f.ended_by, f.end_reason`

func scanBackfill(row pgx.CollectableRow) (f Backfill, err error) {
	var newestFirst bool
	err = row.Scan(&f.ID, &f.ScheduleID, &f.Version, &f.State, &f.From, &f.To, &f.Policy, &newestFirst, &f.MaxActive, &f.Again,
		&f.Total, &f.Remaining, &f.Fired, &f.LeftOut.Ran, &f.LeftOut.Skipped, &f.LeftOut.Excluded,
		&f.Actor, &f.Reason, &f.CreatedAt, &f.EndedAt, &f.EndedBy, &f.EndReason)
	if f.Order = domain.OldestFirst; newestFirst {
		f.Order = domain.NewestFirst
	}
	return f, err
}

const oneBackfill = `
select ` + backfillColumns + ` from tactus.backfills f
where f.id = @id::uuid and exists (select from tactus.schedules s where s.id = f.schedule_id and ` + sqlexpr.InScope + `)`

const runsOfBackfill = `select status, count(*) from tactus.runs where kind = 'backfill' and slot = $1::uuid group by status`

// Backfill returns a backfill with the states of its runs, or domain.ErrBackfillNotFound.
func (c *Catalog) Backfill(ctx context.Context, id domain.ID) (f Backfill, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, oneBackfill, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{"id": id.String()}))
		if err != nil {
			return err
		}
		if f, err = pgx.CollectExactlyOneRow(rows, scanBackfill); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, runsOfBackfill, pgx.QueryExecModeExec, id.String()); err != nil {
			return err
		}
		f.RunCounts = map[domain.RunStatus]int64{}
		var status domain.RunStatus
		var n int64
		_, err = pgx.ForEachRow(rows, []any{&status, &n}, func() error {
			f.RunCounts[status] = n
			return nil
		})
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return f, domain.ErrBackfillNotFound
	}
	if err != nil {
		return f, fmt.Errorf("read a backfill: %w", err)
	}
	return f, nil
}

const backfillsOf = `
select ` + backfillColumns + ` from tactus.backfills f
where f.schedule_id = @id::uuid and f.id < @before::uuid
    and exists (select from tactus.schedules s where s.id = f.schedule_id and ` + sqlexpr.InScope + `)
order by f.id desc limit @limit::bigint`

// LastBackfill sorts after every backfill.
var LastBackfill = domain.ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Backfills returns the backfills of a schedule that were requested before another one, newest first, and whether there
// are more.
func (c *Catalog) Backfills(
	ctx context.Context, schedule, before domain.ID, limit int,
) (found []Backfill, more bool, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, backfillsOf, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{
			"id": schedule.String(), "before": before.String(), "limit": limit + 1,
		}))
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, scanBackfill)
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("list backfills: %w", err)
	}
	if len(found) > limit {
		return found[:limit], true, nil
	}
	return found, false, nil
}

const openRunsOfBackfill = `
select id from tactus.runs where kind = 'backfill' and slot = $1::uuid and (finished_at is null) limit $2::bigint`

// OpenRuns returns the unfinished runs of a backfill.
func (c *Catalog) OpenRuns(ctx context.Context, id domain.ID) (open []domain.ID, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, openRunsOfBackfill, pgx.QueryExecModeExec, id.String(), 10*domain.MaxBackfillActive)
		if err != nil {
			return err
		}
		open, err = pgx.CollectRows(rows, pgx.RowTo[domain.ID])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the runs of a backfill: %w", err)
	}
	return open, nil
}
