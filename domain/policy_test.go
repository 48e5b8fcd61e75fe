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
		jitter int64
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
	}
	want := []string{"2026-03-02T09:00:33.881814481Z", "2026-03-02T09:00:19.706678946Z", "2026-03-02T09:00:33.881814481Z"}
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
		"ends_at": "2027-04-01T00:00:00Z", "max_runs": 5, "jitter_seconds": 30, "misfire_policy": "all", "expires_seconds": 7
	}`).Policy()
	const want = `{"starts_at":"2026-04-01T00:00:00+09:00","ends_at":"2027-04-01T09:00:00+09:00","max_runs":5,"jitter":30,"misfire":"all","window":86400,"grace":60,"expires":7}`
	if p.String() != want {
		t.Errorf("%s, want %s", p, want)
	}
	again, err := domain.ParsePolicy(p.String())
	if err != nil || again.String() != want {
		t.Errorf("read back as %s, %v", again, err)
	}
}
