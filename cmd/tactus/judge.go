package main

import (
	"context"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

const (
	judgeEvery  = 500 * time.Millisecond
	judgeAgain  = 5 * time.Second // the pause after an error
	forgetEvery = time.Minute
)

// judge checks the schedules that SQL functions have written, until ctx ends. The functions themselves cannot find
// every fault of a schedule.
func judge(ctx context.Context, pool *pgxpool.Pool, timezone string, workers celery.Config, log *slog.Logger) error {
	store := outbox.NewStore(pool, timezone, workers.Check)
	var forgot time.Time
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		wait = judgeEvery
		invalid, err := store.Judge(ctx)
		if err == nil && time.Since(forgot) > forgetEvery {
			forgot, err = time.Now(), store.ForgetClaims(ctx)
		}
		if invalid > 0 {
			log.Warn("schedules are invalid: list them with ?invalid=true", "schedules", invalid)
		}
		if err != nil && ctx.Err() == nil {
			wait = judgeAgain
			if migrations.Ready(ctx, pool) == nil { // otherwise /readyz reports the error
				log.Error("cannot check the schedules that SQL wrote; retrying", "err", err)
			}
		}
	}
}

// invalidMetric collects the number of invalid schedules at each scrape.
type invalidMetric struct{ catalog *catalog.Catalog }

var invalidSchedules = prometheus.NewDesc("tactus_schedules_invalid", "Schedules that cannot be scheduled as they "+
	"are (?invalid=true lists them), NaN when PostgreSQL does not answer", nil, nil)

// Describe implements prometheus.Collector.
func (m invalidMetric) Describe(to chan<- *prometheus.Desc) { to <- invalidSchedules }

// Collect implements prometheus.Collector.
func (m invalidMetric) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	n, err := m.catalog.Invalid(ctx)
	value := float64(n)
	if err != nil {
		value = math.NaN()
	}
	to <- prometheus.MustNewConstMetric(invalidSchedules, prometheus.GaugeValue, value)
}
