package telemetry

import (
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// buildInfo names what a process was built from.
func buildInfo() prometheus.Gauge {
	labels := prometheus.Labels{"version": "unknown", "commit": "unknown", "go": "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		labels["version"], labels["go"] = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				labels["commit"] = s.Value
			}
		}
	}
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tactus_build_info", Help: "1, with the version, commit and Go version of the program", ConstLabels: labels,
	})
	g.Set(1)
	return g
}

// PoolMetrics collects the figures of a process's connections to PostgreSQL at each scrape.
type PoolMetrics struct{ Pool *pgxpool.Pool }

var (
	poolConnections = prometheus.NewDesc("tactus_pool_connections",
		"Connections to PostgreSQL, by state (used, idle, opening)", []string{"state"}, nil)
	poolMost = prometheus.NewDesc("tactus_pool_max_connections",
		"The most connections to PostgreSQL that the process opens", nil, nil)
	poolWaits = prometheus.NewDesc("tactus_pool_waits_total",
		"Times that a connection was wanted while none was idle", nil, nil)
	poolWaited = prometheus.NewDesc("tactus_pool_acquire_seconds_total",
		"Seconds that connections were waited for", nil, nil)
	poolGivenUp = prometheus.NewDesc("tactus_pool_canceled_acquires_total",
		"Times that waiting for a connection was given up", nil, nil)
)

// Describe implements prometheus.Collector.
func (m PoolMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m PoolMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.Pool.Stat()
	for state, n := range map[string]int32{
		"used": s.AcquiredConns(), "idle": s.IdleConns(), "opening": s.ConstructingConns(),
	} {
		to <- prometheus.MustNewConstMetric(poolConnections, prometheus.GaugeValue, float64(n), state)
	}
	to <- prometheus.MustNewConstMetric(poolMost, prometheus.GaugeValue, float64(s.MaxConns()))
	for d, value := range map[*prometheus.Desc]float64{
		poolWaits: float64(s.EmptyAcquireCount()), poolWaited: s.EmptyAcquireWaitTime().Seconds(),
		poolGivenUp: float64(s.CanceledAcquireCount()),
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
	}
}
