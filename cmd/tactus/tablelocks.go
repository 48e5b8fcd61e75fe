package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

// longestLock is how long a statement of a relay or a beat waits for a lock, unless the statement sets another limit
// itself.
const longestLock = time.Second

// watchLocks looks for sessions that have locked a whole table of tactus, until ctx ends, and reports them to health,
// log and metrics.
func watchLocks(ctx context.Context, pool *pgxpool.Pool, health *telemetry.Health, log *slog.Logger,
	registry prometheus.Registerer,
) error {
	w := tablelocks.NewWatch(pool, log)
	health.Say("locked_tables", w.Lasting)
	err := registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tactus_locked_tables",
		Help: "Tables and partitions of tactus that somebody has locked as a whole, or waits to lock, for 5 seconds and " +
			"more; /readyz and the log name them, and who it is",
	}, func() float64 {
		n, known := w.Tables()
		return ifKnown(known, float64(n))
	}))
	if err != nil {
		return err
	}
	return w.Run(ctx)
}
