package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/redis"
)

// beatMetrics collects a beat's figures at each scrape.
type beatMetrics struct {
	beat *beat.Beat
	feed *redis.Feed // nil without a feed
}

var (
	beatLeader = desc("leader", "1 when this beat holds the lease, 0 when it does not, NaN when that is "+
		"unknown because PostgreSQL has not answered for as long as a lease lasts")
	beatEpoch = desc("lease_epoch",
		"Term of the lease that this beat holds, 0 when it holds none, NaN when that is unknown")
	beatAge = desc("database_age_seconds",
		"Seconds since PostgreSQL last answered all queries of the beat; the other figures are as old")
	beatRenewed = desc("lease_renewed_timestamp_seconds",
		"When the lease was last renewed, in Unix seconds; 0 when never")
	beatSchedules = desc("schedules", "Schedules in memory")
	beatPending   = desc("pending_schedules", "Schedules named by events that memory does not have yet")
	beatFeedLag   = desc("feed_lag_events", "Events of the stream that the beat has not acknowledged")
	beatSkew      = desc("clock_skew_seconds", "Seconds by which the local clock is ahead of PostgreSQL's")
	beatSteps     = desc("clock_steps_total", "Times that PostgreSQL's clock stepped")
	beatStep      = desc("clock_step_seconds",
		"Seconds by which PostgreSQL's clock stepped last, negative when it stepped back")
	beatWithdrawn = desc("withdrawn_total",
		"Records of due times without a run that were taken back, because PostgreSQL's clock had been ahead")
	beatWatermark = desc("watermark_timestamp_seconds",
		"The instant up to which all due times are settled, in Unix seconds; NaN when unknown")
	beatLag       = desc("watermark_lag_seconds", "Seconds by which the watermark is behind now; NaN when unknown")
	beatFired     = desc("fired_total", "Runs fired")
	beatShadow    = desc("shadow", "1 when this beat only records what it would fire")
	beatWouldFire = desc("would_fire_total", "Runs that this beat would have fired, in shadow mode")
	beatMissed    = desc("missed_ranges_total", "Ranges of due times recorded as missed")
	beatAside     = desc("set_aside_total", "Due times that cannot fire and were set aside as dead letters")
	beatBehind    = desc("handover_behind_runs",
		"Runs fired that a sink has not taken, while firing waits for it because "+
			"more is due than is handed over; 0 while it does not wait")
	beatHeavy = desc("handover_behind_bytes",
		"Bytes of large tasks that this beat has fired and a sink has not taken")
	beatLate = desc("firing_late_seconds",
		"Seconds by which the first due time is late that has not fired; 0 when all have")
	beatSyncs   = desc("syncs_total", "Times that the beat read schedules that events had named")
	beatResyncs = desc("resyncs_total", "Times that the beat compared memory with all schedules")
	beatGaps    = desc("feed_gaps_total", "Times that the feed may have missed changes, each followed by a "+
		"resync: a moved or missing group, events removed from the stream, an unreadable entry")
	beatLateness    = desc("fire_lateness_seconds", "Seconds from when a run was to fire to its commit")
	beatRecognition = desc("recognition_seconds", "Seconds from the commit of a change to its place in memory")
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
		beatLeader: ifKnown(s.Known, gauge(s.Leader)), beatEpoch: ifKnown(s.Known, float64(s.Term)),
		beatAge: s.Age.Seconds(), beatShadow: gauge(s.Shadow), beatSchedules: float64(s.Schedules),
		beatPending: float64(s.Pending), beatBehind: float64(s.Behind),
		beatHeavy: float64(s.Heavy), beatLate: s.Late.By.Seconds(),
		beatSkew: s.Skew.Seconds(), beatStep: s.Step.Seconds(),
		beatLag:     ifKnown(!s.Watermark.IsZero(), s.Lag.Seconds()),
		beatRenewed: unix(s.Renewed), beatWatermark: ifKnown(!s.Watermark.IsZero(), unix(s.Watermark)),
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	if lag, ok := m.feedLag(); ok {
		to <- prometheus.MustNewConstMetric(beatFeedLag, prometheus.GaugeValue, float64(lag))
	}
	for d, value := range map[*prometheus.Desc]int64{
		beatFired: s.Fired, beatWouldFire: s.WouldFire,
		beatMissed: s.Missed, beatAside: s.SetAside, beatSyncs: s.Syncs, beatResyncs: s.Resyncs, beatGaps: s.Gaps,
		beatSteps: s.Steps, beatWithdrawn: s.Withdrawn,
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value))
	}
	for d, h := range map[*prometheus.Desc]beat.Histogram{beatLateness: s.Lateness, beatRecognition: s.Recognition} {
		to <- histogram(d, h)
	}
}

// twofold is a histogram with classic buckets, and beside them native ones for servers that ask for those.
type twofold struct{ classic, native prometheus.Metric }

// histogram returns a beat's histogram for a scrape.
func histogram(d *prometheus.Desc, h beat.Histogram) prometheus.Metric {
	native, err := prometheus.NewConstNativeHistogram(d, h.Count, h.Sum.Seconds(), h.Fine, nil, h.Zero,
		beat.FineSchema, 0, time.Time{})
	if err != nil {
		return prometheus.NewInvalidMetric(d, err)
	}
	return twofold{prometheus.MustNewConstHistogram(d, h.Count, h.Sum.Seconds(), h.Cumulative()), native}
}

// Desc implements prometheus.Metric.
func (m twofold) Desc() *prometheus.Desc { return m.classic.Desc() }

// Write implements prometheus.Metric.
func (m twofold) Write(to *dto.Metric) error {
	if err := m.native.Write(to); err != nil {
		return err
	}
	fine := to.Histogram
	if err := m.classic.Write(to); err != nil {
		return err
	}
	fine.Bucket, to.Histogram = to.Histogram.Bucket, fine
	return nil
}

// gauge returns 1 for true and 0 for false.
func gauge(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// ifKnown returns NaN for a value that is not known, so that an alert does not see an outdated one.
func ifKnown(known bool, value float64) float64 {
	if known {
		return value
	}
	return math.NaN()
}

const lagTimeout = time.Second

// feedLag returns how many events of the stream the beat has not acknowledged. ok is false without a feed, and while
// Redis does not answer.
func (m beatMetrics) feedLag() (int64, bool) {
	if m.feed == nil {
		return 0, false
	}
	ctx, cancel := context.WithTimeout(context.Background(), lagTimeout)
	defer cancel()
	lag, err := m.feed.Lag(ctx)
	return lag, err == nil && lag >= 0
}

// unix returns an instant in seconds since 1970, or 0 for the zero time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

// worthSaying is how late due times have to be before /readyz reports it, and stuckFor is for how long they have to be
// later than a takeover before the beat is not ready.
const worthSaying, stuckFor = 5 * time.Second, 5 * time.Second

// behind returns a text that says how late due times are, and why; it is empty while they are not late.
func behind(s beat.Stats) string {
	switch {
	case s.Behind == 0 && s.Late.By > worthSaying:
		return s.Late.String()
	case s.Behind == 0:
		return ""
	}
	return fmt.Sprintf("more is due than is handed over: %d runs were fired that a sink has not taken, and what fires is %s late",
		s.Behind, s.Lag.Round(time.Millisecond))
}

// sayStep is for how long /readyz reports a step of PostgreSQL's clock.
const sayStep = time.Hour

// stepped returns a text about a step of PostgreSQL's clock within sayStep, and its effects; it is empty if there was
// none.
func stepped(s beat.Stats) string {
	if s.Steps == 0 || s.StepAge > sayStep {
		return ""
	}
	text := fmt.Sprintf("the clock of PostgreSQL stepped by %s, %s ago: what is due follows it",
		s.Step.Round(time.Millisecond), s.StepAge.Round(time.Second))
	if s.Withdrawn > 0 {
		text += fmt.Sprintf("; it was ahead: %d records of what was missed by it were taken back since the start", s.Withdrawn)
	}
	return text
}
