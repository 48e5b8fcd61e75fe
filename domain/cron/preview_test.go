package cron_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

func TestPreview(t *testing.T) {
	t.Parallel()
	const newYork, apia = "America/New_York", "Pacific/Apia"
	for _, c := range []struct {
		name, cron, zone string
		gap              cron.GapPolicy
		overlap          cron.OverlapPolicy
		after            string
		n                int
		want             []string
	}{
		{
			"plain days", "30 9 * * *", newYork, "", "", "2026-03-06T12:00:00-05:00", 2,
			[]string{"2026-03-07T09:30:00-05:00", "2026-03-08T09:30:00-04:00"},
		},
		{
			"gap, fixed", "30 2 * * *", newYork, "", "", "2026-03-06T12:00:00-05:00", 3,
			[]string{"2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00 moved 2026-03-08T02:30:00", "2026-03-09T02:30:00-04:00"},
		},
		{
			"gap, fixed, skip", "30 2 * * *", newYork, cron.GapSkip, "", "2026-03-06T12:00:00-05:00", 2,
			[]string{"2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00 skipped 2026-03-08T02:30:00", "2026-03-09T02:30:00-04:00"},
		},
		{
			"gap, moved onto a due time", "0 2,3 * * *", newYork, "", "", "2026-03-07T12:00:00-05:00", 2,
			[]string{"2026-03-08T03:00:00-04:00 moved 2026-03-08T02:00:00", "2026-03-09T02:00:00-04:00"},
		},
		{
			"gap, cadence", "*/30 * * * *", newYork, "", "", "2026-03-08T01:00:00-05:00", 2,
			[]string{"2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00 skipped 2026-03-08T02:00:00", "2026-03-08T03:00:00-04:00"},
		},
		{
			"gap, cadence, run after", "15 * * * *", newYork, cron.GapRunAfter, "", "2026-03-08T01:00:00-05:00", 3,
			[]string{"2026-03-08T01:15:00-05:00", "2026-03-08T03:00:00-04:00 moved 2026-03-08T02:15:00", "2026-03-08T03:15:00-04:00"},
		},
		{
			"overlap, fixed", "30 1 * * *", newYork, "", "", "2026-10-31T12:00:00-04:00", 2,
			[]string{"2026-11-01T01:30:00-04:00 repeated 1", "2026-11-02T01:30:00-05:00"},
		},
		{
			"overlap, fixed, second", "30 1 * * *", newYork, "", cron.OverlapSecond, "2026-10-31T12:00:00-04:00", 2,
			[]string{"2026-11-01T01:30:00-05:00 repeated 2", "2026-11-02T01:30:00-05:00"},
		},
		{
			"overlap, fixed, both", "30 1 * * *", newYork, "", cron.OverlapBoth, "2026-10-31T12:00:00-04:00", 3,
			[]string{"2026-11-01T01:30:00-04:00 repeated 1", "2026-11-01T01:30:00-05:00 repeated 2", "2026-11-02T01:30:00-05:00"},
		},
		{
			"overlap, cadence", "0 * * * *", newYork, "", "", "2026-11-01T00:00:00-04:00", 3,
			[]string{"2026-11-01T01:00:00-04:00 repeated 1", "2026-11-01T01:00:00-05:00 repeated 2", "2026-11-01T02:00:00-05:00"},
		},
		{
			"overlap, cadence, first", "0 * * * *", newYork, "", cron.OverlapFirst, "2026-11-01T00:00:00-04:00", 2,
			[]string{"2026-11-01T01:00:00-04:00 repeated 1", "2026-11-01T02:00:00-05:00"},
		},
		{
			"a day that never was", "0 9 * * *", apia, "", "", "2011-12-28T12:00:00-10:00", 2,
			[]string{"2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00 skipped 2011-12-30T09:00:00", "2011-12-31T09:00:00+14:00"},
		},
		{
			"a day that never was, although asked to run after", "0 9 30 12 *", apia, cron.GapRunAfter, "", "2011-06-01T00:00:00-10:00", 1,
			[]string{"2011-12-31T00:00:00+14:00 skipped 2011-12-30T09:00:00", "2012-12-30T09:00:00+14:00"},
		},
		{
			"nothing is said of gaps that swallow nothing", "0 9 1 6 *", newYork, "", "", "2026-01-01T00:00:00-05:00", 2,
			[]string{"2026-06-01T09:00:00-04:00", "2027-06-01T09:00:00-04:00"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			schedule := bound(t, c.cron, c.zone, c.gap, c.overlap)
			entries := []string{}
			for _, due := range cron.Preview(schedule, instant(t, c.after), c.n) {
				entries = append(entries, show(due))
			}
			if diff := cmp.Diff(c.want, entries); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func show(d cron.Due) string {
	text := d.At.Format(time.RFC3339)
	switch d.Mark {
	case cron.Repeated:
		text += fmt.Sprint(" repeated ", d.Copy)
	case cron.Moved, cron.Skipped:
		text += " " + d.Mark + " " + d.Wall
	}
	return text
}

// TestPreviewIsNext holds that the due times of a preview are those of Next, no more and no fewer than asked for.
func TestPreviewIsNext(t *testing.T) {
	t.Parallel()
	after := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 1000: 1000, 5000: cron.MaxPreview} {
		for _, expression := range []string{"30 2 * * *", "0 * * * *", "0 0 29 2 *"} {
			schedule := bound(t, expression, "America/New_York", "", "")
			var count int
			last := after
			for _, due := range cron.Preview(schedule, after, n) {
				if !due.IsDue() {
					continue
				}
				next, _ := schedule.Next(last)
				if !due.At.Equal(next) {
					t.Fatalf("%s: %s, want %s", expression, due.At, next)
				}
				last = next
				count++
			}
			if count != want {
				t.Errorf("%s: %d due times of %d, want %d", expression, count, n, want)
			}
		}
	}
}

func bound(t testing.TB, expression, name string, gap cron.GapPolicy, overlap cron.OverlapPolicy) cron.Schedule {
	t.Helper()
	spec, err := cron.Parse(expression, cron.Options{})
	if err != nil {
		t.Fatal(err)
	}
	location, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return spec.In(location, gap, overlap)
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
