package adopt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/wait"
)

// Upkeep keeps schedules equal to the rows of adopted tables. It retries what the triggers could not write, and
// compares rows with schedules in rounds, a few rows at a time, to find changes that no trigger saw. There are two ways
// to miss a change: an upstream at REPEATABLE READ that changes a crontab does not see rows that others have just
// inserted and that refer to it, and triggers may be switched off.
type Upkeep struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	logged   map[failure]bool // the failures that have been logged and are not yet repaired
	mended   prometheus.Counter
	failures prometheus.Gauge
}

// NewUpkeep returns an upkeep on a pool that the caller closes. Several may run at once.
func NewUpkeep(pool *pgxpool.Pool, log *slog.Logger) *Upkeep {
	return &Upkeep{
		pool: pool, log: log, logged: map[failure]bool{},
		mended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tactus_adopt_mended_total", Help: "Schedules of adopted tables that were corrected because they " +
				"differed from their rows and no trigger had noticed.",
		}),
		failures: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tactus_adopt_failures",
			Help: "Rows and tables that could not be adopted; tactus.adopt_failures lists them.",
		}),
	}
}

// Register registers the metrics.
func (u *Upkeep) Register(with prometheus.Registerer) error {
	return errors.Join(with.Register(u.mended), with.Register(u.failures))
}

const stepEvery = 5 * time.Second

// Run calls Step again and again until ctx ends, and logs its errors.
func (u *Upkeep) Run(ctx context.Context) error {
	failing := false
	for {
		more, err := u.Step(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			u.log.Warn("cannot compare adopted tables with their schedules; retrying", "err", err)
		case err == nil && failing:
			u.log.Info("comparing adopted tables with their schedules again")
		}
		failing = err != nil
		pause := stepEvery
		if more && err == nil {
			pause = 0
		}
		if wait.For(ctx, pause) != nil {
			return nil
		}
	}
}

const (
	mendAtMost = 100
	roundSize  = 500 // rows that are compared at a time
)

// Step retries what failed, then compares some rows of each table. more reports whether a table has to be compared as a
// whole at once, so that the next step should follow without a pause.
func (u *Upkeep) Step(ctx context.Context) (more bool, err error) {
	left, err := Mend(ctx, u.pool)
	if err != nil {
		return false, err
	}
	var mended int64
	err = u.pool.QueryRow(ctx, `select mended, more from tactus.adopt_round($1)`, roundSize).Scan(&mended, &more)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42883" {
		err = nil // the previous version of the schema has no rounds
	}
	if err != nil {
		return false, fmt.Errorf("compare adopted rows with their schedules: %w", err)
	}
	if mended > 0 {
		u.mended.Add(float64(mended))
		u.log.Warn("corrected schedules of adopted tables that differed from their rows", "rows", mended)
	}
	u.failures.Set(float64(left))
	return more, u.logFailures(ctx)
}

// failure is the reason why rows of a table, or the table, could not be adopted.
type failure struct{ Source, Reason string }

const failuresSQL = `
select source, reason, count(*) from tactus.adopt_failures where reason <> 'look again' group by source, reason
    order by min(id) limit 100`

// logFailures logs each failure once, and once more when it is repaired.
func (u *Upkeep) logFailures(ctx context.Context) error {
	rows, err := u.pool.Query(ctx, failuresSQL)
	if err != nil {
		return fmt.Errorf("read what could not be adopted: %w", err)
	}
	var f failure
	var count int64
	now := map[failure]bool{}
	_, err = pgx.ForEachRow(rows, []any{&f.Source, &f.Reason, &count}, func() error {
		if !u.logged[f] {
			u.log.Error("cannot adopt changes of a table; see tactus.adopt_failures", "source",
				f.Source, "rows", count, "err", f.Reason)
		}
		now[f] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what could not be adopted: %w", err)
	}
	for f := range u.logged {
		if !now[f] {
			u.log.Info("adopted the changes of a table that had failed", "source", f.Source)
		}
	}
	u.logged = now
	return nil
}

// Mend retries what the triggers could not write, and returns how many failures are left.
func Mend(ctx context.Context, pool *pgxpool.Pool) (left int64, err error) {
	if err := pool.QueryRow(ctx, `select tactus.adopt_mend($1)`, mendAtMost).Scan(&left); err != nil {
		return 0, fmt.Errorf("mend adoptions: %w", err)
	}
	return left, nil
}
