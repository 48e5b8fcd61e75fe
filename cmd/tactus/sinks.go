package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// sinkMetrics collects figures that no single relay knows: the sinks that are registered, even those that no relay
// serves, and the notices that Redis refused.
type sinkMetrics struct {
	pool   *pgxpool.Pool
	events *redis.EventSink
}

var (
	sinkSilent = relayDesc("sink_silent_seconds", "Seconds since the newest batch of a registered sink was cut; "+
		"above 600 no relay serves the sink, and the log is kept for it")
	unpublished = prometheus.NewDesc("tactus_relay_unpublished_notices_total",
		"Pub/Sub notices that could not be published; the stream has their events", nil, nil)
)

// Describe implements prometheus.Collector.
func (m sinkMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m sinkMetrics) Collect(to chan<- prometheus.Metric) {
	to <- prometheus.MustNewConstMetric(unpublished, prometheus.CounterValue, float64(m.events.Unpublished()))
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	sinks, _ := ledger.Sinks(ctx, m.pool) // the health check reports the error
	for _, s := range sinks {
		to <- prometheus.MustNewConstMetric(sinkSilent, prometheus.GaugeValue, s.Silent.Seconds(), s.Name)
	}
}

// quietFor is how long a sink must have had no batch before it may be forgotten. A sink that is served gets a batch
// every ten minutes.
const quietFor = 20 * time.Minute

// forget unregisters a sink, and prints that it did.
func (f databaseFlags) forget(ctx context.Context, sink string, to console) error {
	if err := f.validate(); err != nil {
		return err
	}
	pool, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	err = ledger.Forget(ctx, pool, sink, quietFor)
	if errors.Is(err, ledger.ErrServed) {
		return fmt.Errorf("%w: stop what serves it, and try again %s after its last batch", err, quietFor)
	}
	if err == nil {
		say(to.out, "forgot %s: the log is no longer kept for it\n", sink)
	}
	return err
}
