package results

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain"
)

// metrics are the figures of a collector.
type metrics struct {
	answers    *prometheus.CounterVec
	unreadable prometheus.Counter
	missed     prometheus.Counter
	runtime    *prometheus.HistogramVec
	lag        prometheus.Histogram
}

func newMetrics() metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := metrics{
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tactus_runs_ended_total",
			Help: "Runs that reached a final state, by state.",
		}, []string{"status"}),
		unreadable: counter("tactus_results_unreadable_total",
			"Results and events that could not be read, or only in part."),
		missed: counter("tactus_results_missed_total",
			"Messages that came faster than the collector read them, whose results a sweep finds instead."),
	}
	m.runtime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tactus_run_duration_seconds",
		Help:    "Seconds from the start of a run on a worker to its end, by the state in which it ended.",
		Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 300, 1800, 7200}, NativeHistogramBucketFactor: 1.1,
		NativeHistogramMaxBucketNumber: 160,
	}, []string{"status"})
	m.lag = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tactus_results_lag_seconds",
		Help:    "Seconds from when a worker ended a run, by the worker's clock, to the record of it.",
		Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 60, 600, 3600}, NativeHistogramBucketFactor: 1.1,
		NativeHistogramMaxBucketNumber: 160,
	})
	for _, status := range []domain.RunStatus{
		domain.Succeeded, domain.Failed, domain.Revoked, domain.Expired, domain.Unknown,
	} { // a rate has to begin at 0, or it would not include the first one
		m.answers.WithLabelValues(string(status))
	}
	for _, status := range []domain.RunStatus{domain.Succeeded, domain.Failed} {
		m.runtime.WithLabelValues(string(status))
	}
	return m
}

// ended counts a run that has ended, and observes, where known, how long it took and how late the result was heard. A
// wrong clock of a worker does not make either negative.
func (m metrics) ended(status domain.RunStatus, runtime, lag *time.Duration) {
	m.answers.WithLabelValues(string(status)).Inc()
	if runtime != nil && (status == domain.Succeeded || status == domain.Failed) {
		m.runtime.WithLabelValues(string(status)).Observe(max(*runtime, 0).Seconds())
	}
	if lag != nil {
		m.lag.Observe(max(*lag, 0).Seconds())
	}
}

// Register registers the metrics.
func (c *Collector) Register(r prometheus.Registerer) error {
	var faults []error
	for _, m := range []prometheus.Collector{
		c.metrics.answers, c.metrics.unreadable, c.metrics.missed, c.metrics.runtime, c.metrics.lag,
	} {
		faults = append(faults, r.Register(m))
	}
	return errors.Join(faults...)
}
