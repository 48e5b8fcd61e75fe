package main

import (
	"context"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/redis"
)

// beatMetrics shows a beat's figures as they are when they are asked for.
type beatMetrics struct {
	beat *beat.Beat
	feed *redis.Feed // nil when Redis is not listened to
}

var (
	beatLeader      = desc("leader", "1 when this beat has the lease, NaN when nobody knows, because Postgres has not answered for as long as a lease lasts")
	beatEpoch       = desc("lease_epoch", "Epoch of the lease as this beat took it last, 0 when another has it, NaN when nobody knows")
	beatAge         = desc("database_age_seconds", "How long ago Postgres last answered all that was asked of it: the other figures are as old")
	beatRenewed     = desc("lease_renewed_timestamp_seconds", "When the lease was last renewed")
	beatSchedules   = desc("schedules", "Schedules in memory")
	beatPending     = desc("pending_schedules", "Schedules heard of that memory does not have yet")
	beatFeedLag     = desc("feed_lag_events", "Events of the stream that the beat has not acknowledged")
	beatSkew        = desc("clock_skew_seconds", "How far the local clock is ahead of Postgres'")
	beatSteps       = desc("clock_steps_total", "Times that Postgres' clock stepped")
	beatStep        = desc("clock_step_seconds", "By how much Postgres' clock stepped last, back when negative")
	beatWatermark   = desc("watermark_timestamp_seconds", "Everything due until then is settled")
	beatLag         = desc("watermark_lag_seconds", "How far the watermark is behind now")
	beatFired       = desc("fired_total", "Runs fired")
	beatShadow      = desc("shadow", "1 when this beat only records what it would fire")
	beatWouldFire   = desc("would_fire_total", "Runs that would have fired, in shadow mode")
	beatMissed      = desc("missed_ranges_total", "Ranges of due times recorded as missed")
	beatAside       = desc("set_aside_total", "Due times that cannot fire, set aside as dead letters")
	beatSyncs       = desc("syncs_total", "Times that changed schedules were read")
	beatResyncs     = desc("resyncs_total", "Times that memory was compared with all schedules")
	beatGaps        = desc("feed_gaps_total", "Times that the feed may not have brought every change, and all were compared: a moved or missing group, events taken out of the stream, an unreadable entry")
	beatLateness    = desc("fire_lateness_seconds", "From when a run was to fire to its commit")
	beatRecognition = desc("recognition_seconds", "From a change to memory having it")
)

func desc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("tactus_beat_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (m beatMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m beatMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.beat.Stats()
	for d, value := range map[*prometheus.Desc]float64{
		beatLeader: ifKnown(s.Known, gauge(s.Leader)), beatEpoch: ifKnown(s.Known, float64(s.Term)), beatAge: s.Age.Seconds(), beatShadow: gauge(s.Shadow), beatSchedules: float64(s.Schedules), beatPending: float64(s.Pending),
		beatSkew: s.Skew.Seconds(), beatStep: s.Step.Seconds(), beatLag: ifKnown(!s.Watermark.IsZero(), s.Lag.Seconds()),
		beatRenewed: unix(s.Renewed), beatWatermark: ifKnown(!s.Watermark.IsZero(), unix(s.Watermark)),
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	if lag, ok := m.feedLag(); ok {
		to <- prometheus.MustNewConstMetric(beatFeedLag, prometheus.GaugeValue, float64(lag))
	}
	for d, value := range map[*prometheus.Desc]int64{beatFired: s.Fired, beatWouldFire: s.WouldFire, beatMissed: s.Missed, beatAside: s.SetAside, beatSyncs: s.Syncs, beatResyncs: s.Resyncs, beatGaps: s.Gaps, beatSteps: s.Steps} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	for d, h := range map[*prometheus.Desc]beat.Histogram{beatLateness: s.Lateness, beatRecognition: s.Recognition} {
		to <- prometheus.MustNewConstHistogram(d, h.Count, h.Sum.Seconds(), h.Cumulative())
	}
}

// gauge is 1 for what is so.
func gauge(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// ifKnown is NaN for what is not: an alert on it is not fooled by what was so once.
func ifKnown(known bool, value float64) float64 {
	if known {
		return value
	}
	return math.NaN()
}

const lagTimeout = time.Second

// feedLag is not known while Redis is away.
func (m beatMetrics) feedLag() (int64, bool) {
	if m.feed == nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	lag, err := m.feed.Lag(ctx)
	return lag, err == nil && lag >= 0
}

// unix is an instant in seconds since 1970, 0 when there is none.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
