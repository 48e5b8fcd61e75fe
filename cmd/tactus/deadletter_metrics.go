package main

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/deadletter"
)

// letterMetrics shows how many dead letters there are, as it is when that is asked for.
type letterMetrics struct{ box *deadletter.Box }

var letterCount = prometheus.NewDesc("tactus_deadletters", "What was set aside and neither put back nor dropped: see tactus deadletter list", []string{"source"}, nil)

// register shows it once: a process may be a relay and a beat.
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

// Collect implements prometheus.Collector. Where Postgres or Redis does not answer, its letters are not told.
func (m letterMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	counts, _ := m.box.Count(ctx) // health tells what is the matter
	for source, n := range counts {
		to <- prometheus.MustNewConstMetric(letterCount, prometheus.GaugeValue, float64(n), source)
	}
}
