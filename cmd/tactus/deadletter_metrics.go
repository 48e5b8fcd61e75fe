package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/deadletter"
)

// letterMetrics collects the number of dead letters at each scrape.
type letterMetrics struct{ box *deadletter.Box }

var letterCount = prometheus.NewDesc("tactus_deadletters",
	"Dead letters that were neither put back nor dropped; tactus deadletter list shows them", []string{"source"}, nil)

// register registers the metric, unless it is registered already: one process may be both relay and beat.
func (m letterMetrics) register(with prometheus.Registerer) error {
	err := with.Register(m)
	if _, twice := errors.AsType[prometheus.AlreadyRegisteredError](err); twice {
		return nil
	}
	return err
}

// Describe implements prometheus.Collector.
func (m letterMetrics) Describe(to chan<- *prometheus.Desc) { to <- letterCount }

const countTimeout = time.Second

// Collect implements prometheus.Collector. It leaves out the sources whose server does not answer.
func (m letterMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, _ := m.box.Count(ctx) // the health check reports the error
	for source, n := range counts {
		to <- prometheus.MustNewConstMetric(letterCount, prometheus.GaugeValue, float64(n), source)
	}
}
