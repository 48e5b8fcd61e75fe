package domain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

func TestFireAt(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	for _, c := range []struct {
		name   string
		jitter int32
		every  time.Duration
	}{
		{"none", 0, time.Minute},
		{"less than the interval", 20, time.Minute},
		{"as much as the interval", 60, time.Minute},
		{"much more than the interval", 3600, time.Minute},
		{"every second", 10, time.Second},
	} {
		p := domain.Policy{Jitter: c.jitter}
		r := domain.Interval{Anchor: start, Every: c.every}
		delays := map[time.Duration]bool{}
		due := start
		for range 1000 {
			next, _ := r.Next(due)
			fire := p.FireAt(scheduleID, r, due)
			switch delay := fire.Sub(due); {
			case delay < 0 || delay > 0 && delay >= time.Duration(c.jitter)*time.Second || !fire.Before(next):
				t.Fatalf("%s: %s fires at %s", c.name, due, fire)
			case !fire.Equal(p.FireAt(scheduleID, r, due)):
				t.Fatalf("%s: %s fires at another time when asked again", c.name, due)
			default:
				delays[delay] = true
			}
			due = next
		}
		if spread := len(delays); c.jitter > 0 && spread < 900 || c.jitter == 0 && spread != 1 {
			t.Errorf("%s: %d different delays of 1,000", c.name, spread)
		}
	}
}

// TestJitterEndsWithTheSchedule has due times less than the jitter before ends_at, and at it.
func TestJitterEndsWithTheSchedule(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	r := domain.Interval{Anchor: start, Every: time.Hour}
	moved := 0
	for _, left := range []time.Duration{0, 1, time.Second, 10 * time.Second, 59 * time.Minute} {
		p := domain.Policy{Jitter: 3600, EndsAt: start.Add(left)}
		fire := p.FireAt(scheduleID, r, start)
		if fire.Before(start) || fire.After(p.EndsAt) {
			t.Errorf("with %s left it fires at %s", left, fire)
		}
		if fire.After(start) {
			moved++
		}
	}
	if moved < 3 {
		t.Errorf("jitter moved %d of 5 firings", moved)
	}
}

// TestSpread has 10,000 schedules that are due each midnight: they fire all through the hour, each every night at the
// same time of it, whatever their jitter is.
func TestSpread(t *testing.T) {
	t.Parallel()
	midnight := at(t, "2026-01-01T00:00:00Z")
	daily := domain.Interval{Anchor: midnight, Every: 24 * time.Hour}
	p, both := domain.Policy{Spread: 3600}, domain.Policy{Spread: 3600, Jitter: 60}
	perMinute := map[int]int{}
	jitters := map[time.Duration]bool{}
	for n := range 10_000 {
		id := scheduleID
		id[14], id[15] = byte(n>>8), byte(n)
		delay := p.FireAt(id, daily, midnight).Sub(midnight)
		perMinute[int(delay/time.Minute)]++
		for night := range 3 {
			due := midnight.AddDate(0, 0, night)
			if got := p.FireAt(id, daily, due).Sub(due); got != delay || got < 0 || got >= time.Hour {
				t.Fatalf("%s: %s after midnight, and %s on night %d", id, delay, got, night)
			}
			jitter := both.FireAt(id, daily, due).Sub(due) - delay
			if jitter < 0 || jitter >= time.Minute {
				t.Fatalf("%s: the jitter is %s", id, jitter)
			}
			jitters[jitter] = true
		}
	}
	if len(perMinute) != 60 || len(jitters) < 29_000 {
		t.Errorf("they fire in %d minutes of the hour, with %d different jitters", len(perMinute), len(jitters))
	}
	for minute, n := range perMinute {
		if n < 100 || n > 250 { // 167 on average, with a standard deviation of 13
			t.Errorf("%d fire in minute %d", n, minute)
		}
	}
}

// TestSpreadStaysInside holds that what is spread fires before the next due time and not after ends_at, and that
// schedules stay apart where there is less room than they are spread over.
func TestSpreadStaysInside(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	hourly := domain.Interval{Anchor: start, Every: time.Hour}
	for name, c := range map[string]struct {
		policy domain.Policy
		room   time.Duration
	}{
		"until ends_at":       {domain.Policy{Spread: 3000, EndsAt: start.Add(time.Minute)}, time.Minute},
		"with jitter":         {domain.Policy{Spread: 3000, Jitter: 599, EndsAt: start.Add(time.Minute)}, time.Minute},
		"until the next one":  {domain.Policy{Spread: 7200}, time.Hour - 1},
		"until it, with both": {domain.Policy{Spread: 7200, Jitter: 7200}, time.Hour - 1},
		"nothing left":        {domain.Policy{Spread: 3000, Jitter: 5, EndsAt: start}, 0},
	} {
		latest, delays := time.Duration(0), map[time.Duration]bool{}
		for n := range 1000 {
			id := scheduleID
			id[14], id[15] = byte(n>>8), byte(n)
			delay := c.policy.FireAt(id, hourly, start).Sub(start)
			if delay < 0 || delay > c.room {
				t.Fatalf("%s: %s after its due time, want at most %s", name, delay, c.room)
			}
			latest, delays[delay] = max(latest, delay), true
		}
		if c.room > 0 && (len(delays) < 990 || latest < c.room*9/10) {
			t.Errorf("%s: %d different delays of 1,000, %s at most of %s", name, len(delays), latest, c.room)
		}
	}
}

// TestFireAtIsForEver holds the very values: another hash would fire some due time twice, or never, on an update.
func TestFireAtIsForEver(t *testing.T) {
	t.Parallel()
	p := domain.Policy{Jitter: 60}
	due := at(t, "2026-03-02T09:00:00Z")
	r := domain.Interval{Anchor: due, Every: time.Hour}
	other := scheduleID
	other[15]++
	got := []string{
		p.FireAt(scheduleID, r, due).Format(time.RFC3339Nano),
		p.FireAt(other, r, due).Format(time.RFC3339Nano),
		p.FireAt(scheduleID, domain.Once(due), due).Format(time.RFC3339Nano),
		domain.Policy{Spread: 60}.FireAt(scheduleID, r, due).Format(time.RFC3339Nano),
		domain.Policy{Spread: 60}.FireAt(other, r, due.Add(time.Hour)).Format(time.RFC3339Nano),
		domain.Policy{Spread: 60, Jitter: 60}.FireAt(scheduleID, r, due).Format(time.RFC3339Nano),
	}
	want := []string{
		"2026-03-02T09:00:33.881814481Z", "2026-03-02T09:00:19.706678946Z", "2026-03-02T09:00:33.881814481Z",
		"2026-03-02T09:00:24.203754009Z", "2026-03-02T10:00:50.452254899Z", "2026-03-02T09:00:58.08556849Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPolicyNext(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	hourly := domain.Interval{Anchor: start, Every: time.Hour}
	p := domain.Policy{StartsAt: start.Add(5 * time.Hour), EndsAt: start.Add(7 * time.Hour)}
	var dues []string
	for due, ok := p.Next(hourly, start); ok; due, ok = p.Next(hourly, due) {
		dues = append(dues, due.Format("15:04"))
	}
	if diff := cmp.Diff([]string{"05:00", "06:00", "07:00"}, dues); diff != "" {
		t.Errorf("both ends are included (-want +got):\n%s", diff)
	}
}

func TestPolicyText(t *testing.T) {
	t.Parallel()
	p := normalized(t, `{
		"task_name": "a", "cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo", "starts_at": "2026-04-01T00:00",
		"ends_at": "2027-04-01T00:00:00Z", "max_runs": 5, "jitter_seconds": 30, "spread_seconds": 600, "misfire_policy": "all", "expires_seconds": 7
	}`).Policy()
	const want = `{"starts_at":"2026-04-01T00:00:00+09:00","ends_at":"2027-04-01T09:00:00+09:00","max_runs":5,"jitter":30,"spread":600,"misfire":"all","window":86400,"grace":60,"expires":7}`
	if p.String() != want {
		t.Errorf("%s, want %s", p, want)
	}
	again, err := domain.ParsePolicy(p.String())
	if err != nil || again.String() != want {
		t.Errorf("read back as %s, %v", again, err)
	}
}
