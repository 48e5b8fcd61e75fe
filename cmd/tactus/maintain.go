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

	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// retentionFlags say how long is kept what need not be kept for ever.
type retentionFlags struct {
	RunRetention    time.Duration `env:"TACTUS_RUN_RETENTION" default:"2160h" help:"How long runs are kept, by due time, in whole months (90 days)."`
	ShadowRetention time.Duration `env:"TACTUS_SHADOW_RETENTION" default:"168h" help:"How long is kept what was decided and sent in shadow mode (7 days)."`
	KeyRetention    time.Duration `env:"TACTUS_KEY_RETENTION" default:"168h" help:"How long an Idempotency-Key is known (7 days)."`
}

// leastRetention is longer than a due time can be missed and still fire, by which nothing that has fired fires again.
const leastRetention = 30 * 24 * time.Hour

func (f retentionFlags) validate() error {
	if f.RunRetention < leastRetention {
		return usage("TACTUS_RUN_RETENTION %s: at least %s, because a run that is kept is what stops its due time from firing again", f.RunRetention, leastRetention)
	}
	if f.KeyRetention < time.Hour {
		return usage("TACTUS_KEY_RETENTION %s: at least 1h, so that a repeated request is known", f.KeyRetention)
	}
	if f.ShadowRetention < leastShadow {
		return usage("TACTUS_SHADOW_RETENTION %s: at least %s, so that a due time has one record", f.ShadowRetention, leastShadow)
	}
	return nil
}

// leastShadow is as much as a due time can be missed and still be decided about.
const leastShadow = 24 * time.Hour

const (
	maintainEvery = time.Minute
	maintainAgain = 5 * time.Second // after an error, and after a table was in use; then twice as long each time
)

// maintain keeps partitions ready and drops old ones until ctx ends. Every process that writes does it, so that they
// are there whichever of them is down.
func maintain(ctx context.Context, pool *pgxpool.Pool, f retentionFlags, log *slog.Logger, to prometheus.Registerer) error {
	ready := newPartitionsReady()
	if err := to.Register(ready); err != nil {
		return err
	}
	var deferred []string // that the log was told of
	again := maintainAgain
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = maintainEvery
		if migrations.Ready(ctx, pool) != nil { // which /readyz tells
			wait = maintainAgain
			continue
		}
		did, err := f.maintain(ctx, pool)
		if len(did.Made)+len(did.Dropped) > 0 {
			log.Info("partitions changed", "made", did.Made, "dropped", did.Dropped)
		}
		for table, n := range did.Ready {
			ready.WithLabelValues(table).Set(float64(n))
		}
		if len(did.Deferred) > 0 {
			if !slices.Equal(did.Deferred, deferred) {
				log.Warn("partitions cannot be changed yet: their table is in use", "partitions", did.Deferred, "again_in", again)
			}
			wait, again = again, min(2*again, maintainEvery)
		} else {
			again = maintainAgain
		}
		deferred = did.Deferred
		err = errors.Join(err, shadow.Prune(ctx, pool, f.ShadowRetention))
		if err != nil && ctx.Err() == nil {
			log.Error("maintain partitions", "err", err)
			wait = maintainAgain
		}
	}
}

func newPartitionsReady() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "tactus_partitions_ready", Help: "Partitions that stand ready behind the one in use: 2 when all is well",
	}, []string{"table"})
}

// maintain goes by the slower of two clocks: one that is far ahead for a minute drops nothing that is young by the other.
func (f retentionFlags) maintain(ctx context.Context, pool *pgxpool.Pool) (did outbox.Upkeep, err error) {
	var now time.Time
	if err := pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return did, fmt.Errorf("read the clock: %w", err)
	}
	if here := time.Now(); here.Before(now) {
		now = here
	}
	return outbox.Maintain(ctx, pool, now, outbox.Retention{Runs: f.RunRetention, Keys: f.KeyRetention})
}
