package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/slowclock"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// retentionFlags say how long old rows are kept.
type retentionFlags struct {
	RunRetention    time.Duration `env:"TACTUS_RUN_RETENTION" default:"2160h" help:"How long after their due times runs are kept (90 days). Runs are dropped by whole months."`
	ShadowRetention time.Duration `env:"TACTUS_SHADOW_RETENTION" default:"168h" help:"How long the records of shadow mode are kept (7 days)."`
	KeyRetention    time.Duration `env:"TACTUS_KEY_RETENTION" default:"168h" help:"How long an Idempotency-Key is remembered (7 days)."`
}

// leastRetention is longer than a due time can be late and still fire. A run that is kept prevents its due time from
// firing again.
const leastRetention = 30 * 24 * time.Hour

func (f retentionFlags) validate() error {
	if f.RunRetention < leastRetention {
		return usage("TACTUS_RUN_RETENTION %s: at least %s, because a run that is kept is what stops its due time "+
			"from firing again", f.RunRetention, leastRetention)
	}
	if f.KeyRetention < time.Hour {
		return usage("TACTUS_KEY_RETENTION %s: at least 1h, so that a repeated request is known", f.KeyRetention)
	}
	if f.ShadowRetention < leastShadow {
		return usage("TACTUS_SHADOW_RETENTION %s: at least %s, so that a due time has one record", f.ShadowRetention,
			leastShadow)
	}
	return nil
}

// leastShadow is longer than a due time can be late and still be decided in shadow mode.
const leastShadow = 24 * time.Hour

const (
	maintainEvery = time.Minute
	// after an error, and after a table was in use; doubled while the table stays in use
	maintainAgain = 5 * time.Second
)

// maintain creates partitions ahead of time and drops old ones until ctx ends. Every process that writes does this, so
// that partitions are ready whichever process is down.
func maintain(ctx context.Context, pool *pgxpool.Pool, f retentionFlags, log *slog.Logger,
	to prometheus.Registerer,
) error {
	ready := newPartitionsReady()
	detachedTables := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tactus_partitions_detached",
		Help: "Empty tables of old partitions that a view or a function of somebody else keeps",
	})
	if err := errors.Join(to.Register(ready), to.Register(detachedTables)); err != nil {
		return err
	}
	var deferred []string // the deferred partitions that were logged last
	var kept []string     // the detached ones
	var clock slowclock.Clock
	again := maintainAgain
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = maintainEvery
		if migrations.Ready(ctx, pool) != nil { // /readyz reports the error
			wait = maintainAgain
			continue
		}
		did, err := f.maintain(ctx, pool, &clock)
		if len(did.Made)+len(did.Dropped) > 0 {
			log.Info("partitions changed", "made", did.Made, "dropped", did.Dropped)
		}
		for table, n := range did.Ready {
			ready.WithLabelValues(table).Set(float64(n))
		}
		detachedTables.Set(float64(len(did.Detached)))
		if now := textsOf(did.Detached); !slices.Equal(now, kept) {
			kept = now
			if len(kept) > 0 {
				log.Warn("old partitions were emptied and detached, because something depends on them: drop that",
					"partitions", kept)
			}
		}
		if len(did.Deferred) > 0 {
			if !slices.Equal(did.Deferred, deferred) {
				log.Warn("partitions cannot be changed yet: their table is in use", "partitions", did.Deferred,
					"again_in", again)
			}
			wait, again = again, min(2*again, maintainEvery)
		} else {
			again = maintainAgain
		}
		deferred = did.Deferred
		if err != nil && ctx.Err() == nil {
			log.Error("maintain partitions", "err", err)
			wait = maintainAgain
		}
	}
}

func textsOf(all []detached.Table) []string {
	texts := make([]string, len(all))
	for i, d := range all {
		texts[i] = d.String()
	}
	return texts
}

func newPartitionsReady() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tactus_partitions_ready", Help: "Partitions that are ready after the one in use; 2 when all is well",
	}, []string{"table"})
}

// maintain judges the age of rows by the slowest clock, so that a clock which is far ahead for a minute cannot get
// young rows dropped.
func (f retentionFlags) maintain(ctx context.Context, pool *pgxpool.Pool, clock *slowclock.Clock) (did outbox.Upkeep,
	err error,
) {
	var now time.Time
	if err := pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return did, fmt.Errorf("read the clock: %w", err)
	}
	now = clock.Now(now, time.Now())
	did, err = outbox.Maintain(ctx, pool, now, outbox.Retention{Runs: f.RunRetention, Keys: f.KeyRetention})
	return did, errors.Join(err, shadow.Prune(ctx, pool, now.Add(-f.ShadowRetention)),
		access.PruneSessions(ctx, pool, now))
}
