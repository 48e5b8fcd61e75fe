package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Conditions collects at each scrape which conditions of readiness fail.
type Conditions struct{ Health *Health }

var conditionFailing = prometheus.NewDesc("tactus_condition_failing",
	"1 when a condition of the process's readiness fails, 0 when it holds; /readyz says why", []string{"condition"}, nil)

// Describe implements prometheus.Collector.
func (c Conditions) Describe(to chan<- *prometheus.Desc) { to <- conditionFailing }

// Collect implements prometheus.Collector.
func (c Conditions) Collect(to chan<- prometheus.Metric) {
	for name, fails := range c.Health.conditions(context.Background()) {
		value := 0.0
		if fails {
			value = 1
		}
		to <- prometheus.MustNewConstMetric(conditionFailing, prometheus.GaugeValue, value, name)
	}
}

// conditions returns the conditions by name, and whether they fail. While the process stops, only that is known.
func (h *Health) conditions(ctx context.Context) map[string]bool {
	failing := h.ready(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case failing["readyz"] != "": // nobody knows: too many ask
		return nil
	case h.stopping:
		return map[string]bool{"stopping": true}
	}
	all := map[string]bool{"stopping": false}
	for _, c := range h.checks {
		_, all[c.name] = failing[c.name]
	}
	return all
}
