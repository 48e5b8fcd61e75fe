package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/relay"
)

// watchRelay adds a health check: a relay is ready when every sink is served.
func watchRelay(health *telemetry.Health, r server) {
	health.Add("sinks", func(context.Context) error {
		var problems []string
		for _, s := range r.Stats() {
			if s.Problem != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", s.Sink, s.Problem))
			}
		}
		if len(problems) > 0 {
			return fmt.Errorf("%s", strings.Join(problems, "; "))
		}
		return nil
	})
}

// server returns the figures of sinks.
type server interface{ Stats() []relay.Stats }

// allServed joins several servers.
type allServed []server

// Stats implements server.
func (all allServed) Stats() (stats []relay.Stats) {
	for _, one := range all {
		stats = append(stats, one.Stats()...)
	}
	return stats
}

// relayMetrics collects a relay's figures at each scrape.
type relayMetrics struct{ relay server }

var (
	relayAge = relayDesc("oldest_unpublished_age_seconds",
		"Age in seconds of the oldest event that is not published; 0 when all are, NaN when unknown")
	relayKnown = relayDesc("reading_age_seconds", "Seconds since the relay last knew whether events wait; grows "+
		"while PostgreSQL does not answer, +Inf before it first did")
	relayWaiting   = relayDesc("waiting_events", "Events that were read and are not published yet")
	relayServed    = relayDesc("served", "1 when the sink is served, 0 when there is a problem")
	relayFollows   = relayDesc("follows", "1 while another relay serves the sink, and this one stands by")
	relayBatches   = relayDesc("batches_total", "Batches cut, by this relay or another")
	relayPublished = relayDesc("published_events_total", "Events published")
	relayFailures  = relayDesc("failures_total", "Times that serving the sink failed, for any reason")
	relayAside     = relayDesc("set_aside_total", "Events set aside as dead letters")
)

func relayDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tactus_relay_"+name, help, []string{"sink"}, nil)
}

// Describe implements prometheus.Collector.
func (m relayMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m relayMetrics) Collect(to chan<- prometheus.Metric) {
	for _, s := range m.relay.Stats() {
		age, served, follows, known := unpublishedAge(s, time.Now()), 1.0, 0.0, math.Inf(1)
		if !s.Known.IsZero() {
			known = time.Since(s.Known).Seconds()
		}
		if s.Problem != nil {
			served = 0
		}
		if s.Follows {
			follows = 1
		}
		for d, value := range map[*prometheus.Desc]float64{
			relayAge: age, relayKnown: known, relayServed: served,
			relayWaiting: float64(s.Waiting), relayFollows: follows,
		} {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, s.Sink)
		}
		for d, value := range map[*prometheus.Desc]int64{
			relayBatches: s.Batches, relayPublished: s.Published, relayFailures: s.Failures, relayAside: s.SetAside,
		} {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), s.Sink)
		}
	}
}

// freshFor is how long the finding that nothing waits stays valid. A relay looks once a second.
const freshFor = 5 * time.Second

// unpublishedAge returns the age of the oldest unpublished event in seconds, or NaN when it is not known whether any
// event waits.
func unpublishedAge(s relay.Stats, now time.Time) float64 {
	switch {
	case !s.Unpublished.IsZero():
		return max(0, now.Sub(s.Unpublished).Seconds())
	case s.Unsure || now.Sub(s.Known) > freshFor:
		return math.NaN()
	}
	return 0
}
