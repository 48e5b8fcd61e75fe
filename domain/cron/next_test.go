package cron_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

func TestNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, expression, zone, after, want string
	}{
		{"29 February on a Monday", "0 0 29 2 1", "UTC", "2026-11-23T00:00:00Z", "2044-02-29T00:00:00Z"},
		{"the one after, across 2100", "0 0 29 2 1", "UTC", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z"},
		{"strictly later", "0 9 * * *", "UTC", "2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z"},
		{"a fraction of a second before", "0 9 * * *", "UTC", "2026-01-01T08:59:59.999999999Z", "2026-01-01T09:00:00Z"},
		{"a fraction of a second after", "0 9 * * *", "UTC", "2026-01-01T09:00:00.000000001Z", "2026-01-02T09:00:00Z"},
		{"seconds", "*/20 * * * * *", "UTC", "2026-01-01T09:00:20Z", "2026-01-01T09:00:40Z"},
		{"the last second of a year", "59 59 23 31 12 *", "UTC", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"},
		{"seconds in a gap, all at its end", "*/20 30 2 * * *", "America/New_York", "2026-03-08T01:00:00-05:00", "2026-03-08T03:00:00-04:00"},
		{"once only", "*/20 30 2 * * *", "America/New_York", "2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"},
		{"a cadence of seconds skips the gap", "30 59 * * * *", "America/New_York", "2026-03-08T01:59:00-05:00", "2026-03-08T01:59:30-05:00"},
		{"and goes on after it", "30 59 * * * *", "America/New_York", "2026-03-08T01:59:30-05:00", "2026-03-08T03:59:30-04:00"},
		{"no daylight saving: Tokyo", "30 2 * * *", "Asia/Tokyo", "2026-03-08T02:30:00+09:00", "2026-03-09T02:30:00+09:00"},
		{"no daylight saving: a fixed offset", "30 2 * * *", "Etc/GMT+7", "2026-03-08T02:30:00-07:00", "2026-03-09T02:30:00-07:00"},
		{"midnight that does not exist", "0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00", "2018-11-04T01:00:00-02:00"},
		{"a gap of 30 minutes", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00"},
		{"a day that never was", "0 0 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00-10:00", "2012-12-30T00:00:00+14:00"},
		{"the weekday nearest to a Sunday the 1st", "0 9 1W * *", "UTC", "2026-02-01T00:00:00Z", "2026-02-02T09:00:00Z"},
		{"the weekday nearest to a Saturday the 1st", "0 9 1W * *", "UTC", "2026-08-01T00:00:00Z", "2026-08-03T09:00:00Z"},
		{"the last weekday", "0 9 LW * *", "UTC", "2026-05-01T00:00:00Z", "2026-05-29T09:00:00Z"},
		{"the fifth Friday", "0 9 * * 5#5", "UTC", "2026-02-01T00:00:00Z", "2026-05-29T09:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			location, err := zone.Load(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			due, ok := parse(t, c.expression, cron.Celery).In(location, "", "").Next(instant(t, c.after))
			if got := due.Format(time.RFC3339); !ok || got != c.want {
				t.Errorf("%s, %v; want %s", got, ok, c.want)
			}
		})
	}
}

// TestNeverFires holds that what no date matches is refused when it is read, and not searched for ever.
func TestNeverFires(t *testing.T) {
	t.Parallel()
	_, err := cron.Parse("0 0 31 2 *", cron.Options{})
	if e, ok := errors.AsType[*cron.Error](err); !ok || e.Code != cron.CodeNeverFires {
		t.Errorf("%v, want %s", err, cron.CodeNeverFires)
	}
	// A wall time that one zone shows in one hour of the year only, and that is skipped there.
	if due, ok := bound(t, "30 2 8 3 *", "America/New_York", cron.GapSkip, "").Next(instant(t, "2026-01-01T00:00:00Z")); !ok || due.Year() != 2027 {
		t.Errorf("%s, %v", due, ok)
	}
}

// TestPrevLooksAsFarAsNext holds the longest gap there is: 29 February is no Monday for 40 years around 2100.
func TestPrevLooksAsFarAsNext(t *testing.T) {
	t.Parallel()
	schedule := parse(t, "0 0 29 2 1", cron.Celery).In(time.UTC, "", "")
	if due, ok := schedule.Prev(instant(t, "2112-02-29T00:00:00Z")); !ok || !due.Equal(instant(t, "2072-02-29T00:00:00Z")) {
		t.Errorf("%s, %v", due, ok)
	}
	if due, ok := schedule.Prev(instant(t, "2112-02-29T00:00:01Z")); !ok || due.Year() != 2112 {
		t.Errorf("%s, %v", due, ok)
	}
}

// TestFarAway asks at instants that no calendar has: nothing is due, and no sum overflows.
func TestFarAway(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "America/New_York"} {
		schedule := bound(t, "*/5 * * * *", name, "", "")
		yearly := parseIn(t, "0 */5 * * * ? 2027", name, cron.Options{Dialect: cron.Quartz})
		for _, unix := range []int64{math.MinInt64, -1 << 60, -1 << 41, 1 << 41, 1 << 60, math.MaxInt64} {
			at := time.Unix(unix, 1)
			if due, ok := schedule.Next(at); ok {
				t.Errorf("after %d: %d", unix, due.Unix())
			}
			if due, ok := schedule.Prev(at); ok {
				t.Errorf("before %d: %d", unix, due.Unix())
			}
			if due, ok := yearly.Next(at); ok {
				t.Errorf("in 2027, after %d: %d", unix, due.Unix())
			}
			if due, ok := yearly.Prev(at); ok && due.UTC().Year() > 2028 {
				t.Errorf("in 2027, before %d: %d", unix, due.Unix())
			}
		}
		if due, ok := schedule.Next(time.Time{}); !ok || due.Sub(time.Time{}) > 5*time.Minute {
			t.Errorf("after the zero time: %s, %v", due, ok)
		}
	}
}

// TestStrictlyLater visits every transition of every zone from 1970 to 2100: from a second before it, at it, and after
// it, due times are later than what was asked, and no earlier question has a later answer.
func TestStrictlyLater(t *testing.T) {
	t.Parallel()
	specs := []cron.Spec{parse(t, "*/20 * * * *", ""), parse(t, "30 0-3 * * *", ""), parse(t, "0 0 * * *", "")}
	for _, name := range zone.Names() {
		location, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for at := time.Unix(0, 0).In(location); at.Year() < 2100; {
			_, end := at.ZoneBounds()
			if end.IsZero() {
				break
			}
			if !end.After(at) {
				end = at.AddDate(0, 0, 2)
			}
			for _, spec := range specs {
				strictlyLater(t, spec.In(location, "", ""), end)
			}
			at = end
		}
	}
}

func strictlyLater(t *testing.T, schedule cron.Schedule, transition time.Time) {
	t.Helper()
	var last time.Time
	for _, seconds := range []int{-3601, -1, 0, 1, 3600} {
		asked := transition.Add(time.Duration(seconds) * time.Second)
		due, ok := schedule.Next(asked)
		if late := due.Sub(asked); !ok || late <= 0 || late > 49*time.Hour || due.Before(last) {
			t.Fatalf("%s in %s: %s after %s, %v", schedule.Spec(), transition.Location(), due, asked, ok)
		}
		last = due
	}
}

// TestLeapYearEnds holds off golang/go#81583: on 31 December of leap years after 2037 ZoneBounds gives an end that is
// not after its time.
func TestLeapYearEnds(t *testing.T) {
	t.Parallel()
	specs := []cron.Spec{parse(t, "*/5 * * * *", ""), parse(t, "30 2 * * *", ""), parse(t, "0 0 1 1 *", "")}
	for _, name := range zone.Names() {
		location, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for year := 2040; year <= 2096; year += 4 {
			for after := time.Date(year, 12, 30, 21, 0, 0, 0, time.UTC); after.Year() == year || after.Day() < 2; after = after.Add(3*time.Hour + 7*time.Second) {
				for _, spec := range specs {
					due, ok := spec.In(location, "", "").Next(after)
					if late := due.Sub(after); !ok || late <= 0 || late > 367*24*time.Hour {
						t.Fatalf("%s in %s: %s after %s, %v", spec, name, due, after, ok)
					}
				}
			}
		}
	}
}

// TestNextDoesNotAllocate is not parallel: what others allocate would count.
func TestNextDoesNotAllocate(t *testing.T) {
	for _, name := range []string{"UTC", "America/New_York", "Pacific/Apia"} {
		for _, expression := range append(benchmarkExpressions, "0 9 L,LW,15W * *", "0 9 * * 5#3,1L") {
			schedule := bound(t, expression, name, "", "")
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			allocations := testing.AllocsPerRun(100, func() {
				due, _ := schedule.Next(at)
				at = due
			})
			if allocations != 0 {
				t.Errorf("%s in %s: %v allocations", expression, name, allocations)
			}
		}
	}
}

// TestPrevAndBetweenAgreeWithNext draws a schedule and an instant, mostly near a change of the clocks.
func TestPrevAndBetweenAgreeWithNext(t *testing.T) {
	t.Parallel()
	expressions := append(slices.Clone(benchmarkExpressions), "30 2 * * *", "30 1 * * *", "0 0 * * *", "0 2,3 * * *", "* * * * *", "0 0 30 12 *", "0 9 LW * *", "0 0 13 * 5")
	names := append(zone.Names(), slices.Repeat([]string{"America/New_York", "Pacific/Apia", "Australia/Lord_Howe", "Europe/Dublin"}, 100)...)
	rapid.Check(t, func(t *rapid.T) {
		spec, err := cron.Parse(rapid.SampledFrom(expressions).Draw(t, "expression"), cron.Options{})
		if err != nil {
			t.Fatal(err)
		}
		location, err := zone.Load(rapid.SampledFrom(names).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		schedule := spec.In(location,
			rapid.SampledFrom([]cron.GapPolicy{cron.GapAuto, cron.GapRunAfter, cron.GapSkip}).Draw(t, "gap"),
			rapid.SampledFrom([]cron.OverlapPolicy{cron.OverlapAuto, cron.OverlapFirst, cron.OverlapSecond, cron.OverlapBoth}).Draw(t, "overlap"))
		at := time.Unix(rapid.Int64Range(0, 4102444800).Draw(t, "at"), 0).In(location)
		if _, end := at.ZoneBounds(); !end.IsZero() && rapid.Bool().Draw(t, "near a change") {
			at = end.Add(time.Duration(rapid.Int64Range(-100_000, 100_000).Draw(t, "seconds")) * time.Second)
		}
		agree(t, schedule, at)
	})
}

func agree(t *rapid.T, schedule cron.Schedule, at time.Time) {
	var forward, backward []time.Time
	due := at
	for range 20 {
		next, ok := schedule.Next(due)
		if !ok || !next.After(due) {
			t.Fatalf("Next(%s) is %s, %v", due, next, ok)
		}
		due = next
		forward = append(forward, due)
	}
	if diff := cmp.Diff(forward, slices.Collect(schedule.Between(at, due))); diff != "" {
		t.Fatalf("Next and Between:\n%s", diff)
	}
	for before := due.Add(time.Nanosecond); ; {
		previous, ok := schedule.Prev(before)
		if !ok || !previous.After(at) {
			break
		}
		backward = append(backward, previous)
		before = previous
	}
	slices.Reverse(backward)
	if diff := cmp.Diff(forward, backward); diff != "" {
		t.Fatalf("Next and Prev:\n%s", diff)
	}
}
