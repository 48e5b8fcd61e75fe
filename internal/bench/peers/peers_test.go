package peers

import (
	"math"
	"testing"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

var zones = []string{"UTC", "Europe/Berlin"}

var expressions = []string{
	"*/5 * * * *", "0 * * * *", "0 9 * * 1-5", "30 2 1 * *", "15 14 1 * *",
	"*/10 8-18 * * 1-5", "0 0 * * 0", "5,35 * * * *", "0 */2 * * *", "23 4 29 2 *",
}

// most is the ratio to robfig/cron that the engine may have, as the geometric mean over everything.
const most = 0.5

// BenchmarkNext measures both in turns, so that what else the machine does slows both, and reports the ratio.
func BenchmarkNext(b *testing.B) {
	var logarithms float64
	for _, name := range zones {
		for _, expression := range expressions {
			var ratio float64
			b.Run(name+"/"+expression, func(b *testing.B) {
				ratio = measure(b, walk(ours(b, expression, name)), walk(theirs(b, expression, name)))
			})
			logarithms += math.Log(ratio)
		}
	}
	mean := math.Exp(logarithms / float64(len(zones)*len(expressions)))
	b.Run("geometric mean", func(b *testing.B) {
		for b.Loop() {
		}
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(mean, "ratio")
		if mean > most {
			b.Errorf("the ratio is %.2f, want at most %.2f", mean, most)
		}
	})
}

// turn is how many due times one of them steps through before it is the other's turn.
const turn = 100

func measure(b *testing.B, ours, theirs func()) (ratio float64) {
	var our, their time.Duration
	for b.Loop() {
		start := time.Now()
		ours()
		middle := time.Now()
		theirs()
		our, their = our+middle.Sub(start), their+time.Since(middle)
	}
	steps := float64(b.N * turn)
	ratio = float64(our) / float64(their)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(our)/steps, "tactus-ns")
	b.ReportMetric(float64(their)/steps, "robfig-ns")
	b.ReportMetric(ratio, "ratio")
	return ratio
}

// walk goes from due time to due time through four years from 2026 on, again and again, a turn at each call.
func walk(next func(time.Time) time.Time) func() {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(4, 0, 0)
	at := start
	return func() {
		for range turn {
			if at = next(at); at.After(end) {
				at = start
			}
		}
	}
}

func ours(t testing.TB, expression, name string) func(time.Time) time.Time {
	t.Helper()
	spec, err := cron.Parse(expression, cron.Options{})
	if err != nil {
		t.Fatal(err)
	}
	schedule := spec.In(location(t, name), "", "")
	return func(at time.Time) time.Time {
		due, _ := schedule.Next(at)
		return due
	}
}

// theirs runs in the zone of the time it is given.
func theirs(t testing.TB, expression, name string) func(time.Time) time.Time {
	t.Helper()
	schedule, err := robfig.ParseStandard(expression)
	if err != nil {
		t.Fatal(err)
	}
	in := location(t, name)
	return func(at time.Time) time.Time { return schedule.Next(at.In(in)) }
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	l, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSameDueTimes holds that both do the same work, in UTC, where the peer is right.
func TestSameDueTimes(t *testing.T) {
	t.Parallel()
	for _, expression := range expressions {
		our, their := ours(t, expression, "UTC"), theirs(t, expression, "UTC")
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 1000 {
			a, b := our(at), their(at)
			if !a.Equal(b) && !b.IsZero() {
				t.Fatalf("%s: %s, robfig/cron says %s", expression, a, b)
			}
			at = a
		}
	}
}
