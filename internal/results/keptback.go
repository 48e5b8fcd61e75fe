package results

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// releaseOrBisect releases runs by a statement. If PostgreSQL refuses the statement because of the data of a run or of
// its schedule, this run is found by bisection. It goes on waiting, and all others are released.
func (c *Collector) releaseOrBisect(ctx context.Context, sql string) (released int64, err error) {
	released, err = c.release(ctx, sql, nil)
	if !postgres.RefusedData(err) {
		return released, err
	}
	for after := (domain.ID{}); ; {
		ids, err := c.waitingAfter(ctx, after)
		if err != nil {
			return released, err
		}
		n, err := c.bisect(ctx, sql, ids)
		if released += n; err != nil || len(ids) < mostReleased {
			return released, err
		}
		after = ids[len(ids)-1]
	}
}

func (c *Collector) bisect(ctx context.Context, sql string, ids []domain.ID) (released int64, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	released, err = c.release(ctx, sql, ids)
	if !postgres.RefusedData(err) {
		return released, err
	}
	if len(ids) == 1 {
		c.refused.report(c.log, ids[0], err)
		return 0, nil
	}
	first, err := c.bisect(ctx, sql, ids[:len(ids)/2])
	if err != nil {
		return first, err
	}
	second, err := c.bisect(ctx, sql, ids[len(ids)/2:])
	return first + second, err
}

const waitingAfterSQL = `select id from tactus.runs where waiting and id > $1 order by id limit $2`

func (c *Collector) waitingAfter(ctx context.Context, after domain.ID) ([]domain.ID, error) {
	rows, err := c.pool.Query(ctx, waitingAfterSQL, pgx.QueryExecModeCacheDescribe, after, mostReleased)
	if err != nil {
		return nil, fmt.Errorf("read waiting runs: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[domain.ID])
	if err != nil {
		return nil, fmt.Errorf("read waiting runs: %w", err)
	}
	return ids, nil
}

// refused are the runs that PostgreSQL refuses to release. Each is logged once.
type refused map[domain.ID]struct{}

func (r refused) report(log *slog.Logger, id domain.ID, err error) {
	if _, told := r[id]; told {
		return
	}
	if len(r) >= mostRefused {
		clear(r)
	}
	r[id] = struct{}{}
	log.Error("a waiting run cannot be released: it waits until its schedule is mended, disabled or deleted",
		"run_id", id, "err", err)
}

// mostRefused is how many runs are remembered as logged.
const mostRefused = 10_000

// countsLock logs a lock on the whole table of the counts.
type countsLock struct {
	log    *slog.Logger
	locked bool
}

func (l *countsLock) note(locked bool) {
	switch {
	case locked && !l.locked:
		l.log.Warn("somebody has locked the table tactus.schedule_counts: see pg_locks; waiting runs of schedules with " +
			"max_runs or run_at are released when it is free")
	case !locked && l.locked:
		l.log.Info("the table tactus.schedule_counts is free again")
	}
	l.locked = locked
}
