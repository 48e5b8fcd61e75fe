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
)

// Upkeep keeps schedules as the rows of adopted tables say: it tries again what the triggers could not write, and compares
// rows with schedules in rounds, some at a time, for what no trigger saw. An upstream at REPEATABLE READ that changes a
// crontab does not see the rows that others have just made to refer to it; and triggers may be switched off.
type Upkeep struct {
	pool     *pgxpool.Pool
	log      *slog.Logger
	told     map[failure]bool
	mended   prometheus.Counter
	failures prometheus.Gauge
}

// NewUpkeep returns an upkeep over a pool that it is lent. Several may run at once.
func NewUpkeep(pool *pgxpool.Pool, log *slog.Logger) *Upkeep {
	return &Upkeep{
		pool: pool, log: log, told: map[failure]bool{},
		mended: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tactus_adopt_mended_total", Help: "Schedules of adopted tables that were not as their rows said, without a trigger having told, and were mended.",
		}),
		failures: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tactus_adopt_failures", Help: "Rows and tables that could not be taken in, see tactus.adopt_failures.",
		}),
	}
}

// Register makes the metrics visible.
func (u *Upkeep) Register(with prometheus.Registerer) error {
	return errors.Join(with.Register(u.mended), with.Register(u.failures))
}

const stepEvery = 5 * time.Second

// Run keeps schedules so until ctx ends.
func (u *Upkeep) Run(ctx context.Context) error {
	failing := false
	for {
		more, err := u.Step(ctx)
		switch {
		case err != nil && !failing && ctx.Err() == nil:
			u.log.Warn("adopted tables cannot be looked after", "err", err)
		case err == nil && failing:
			u.log.Info("adopted tables are looked after again")
		}
		failing = err != nil
		pause := stepEvery
		if more && err == nil {
			pause = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

const (
	mendAtMost = 100
	roundSize  = 500 // rows that are compared at a time
)

// Step tries again what failed, then compares some rows of each table. more says that a table is to be gone through at once.
func (u *Upkeep) Step(ctx context.Context) (more bool, err error) {
	left, err := Mend(ctx, u.pool)
	if err != nil {
		return false, err
	}
	var mended int64
	err = u.pool.QueryRow(ctx, `select mended, more from tactus.adopt_round($1)`, roundSize).Scan(&mended, &more)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "42883" {
		err = nil // the schema of the version before has no rounds
	}
	if err != nil {
		return false, fmt.Errorf("compare adopted rows with their schedules: %w", err)
	}
	if mended > 0 {
		u.mended.Add(float64(mended))
		u.log.Warn("schedules of adopted tables were not as their rows say, and were mended", "rows", mended)
	}
	u.failures.Set(float64(left))
	return more, u.tell(ctx)
}

// failure is why rows of a table, or the table, could not be taken in.
type failure struct{ Source, Reason string }

const whatFailed = `
select source, reason, count(*) from tactus.adopt_failures where reason <> 'look again' group by source, reason order by min(id) limit 100`

// tell says each failure once, until it is mended.
func (u *Upkeep) tell(ctx context.Context) error {
	rows, err := u.pool.Query(ctx, whatFailed)
	if err != nil {
		return fmt.Errorf("read what could not be adopted: %w", err)
	}
	var f failure
	var count int64
	now := map[failure]bool{}
	_, err = pgx.ForEachRow(rows, []any{&f.Source, &f.Reason, &count}, func() error {
		if !u.told[f] {
			u.log.Error("changes of an adopted table could not be taken in: see tactus.adopt_failures", "source", f.Source, "rows", count, "err", f.Reason)
		}
		now[f] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what could not be adopted: %w", err)
	}
	for f := range u.told {
		if !now[f] {
			u.log.Info("changes of an adopted table were taken in", "source", f.Source)
		}
	}
	u.told = now
	return nil
}

// Mend tries again what triggers could not write, and returns how much is left.
func Mend(ctx context.Context, pool *pgxpool.Pool) (left int64, err error) {
	if err := pool.QueryRow(ctx, `select tactus.adopt_mend($1)`, mendAtMost).Scan(&left); err != nil {
		return 0, fmt.Errorf("mend adoptions: %w", err)
	}
	return left, nil
}
