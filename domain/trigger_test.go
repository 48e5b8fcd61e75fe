package domain_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

func TestInterval(t *testing.T) {
	t.Parallel()
	every := domain.Interval{Anchor: at(t, "2026-01-01T00:00:10.5Z"), Every: 90 * time.Second}
	for _, c := range []struct{ name, at, next, prev string }{
		{"on the anchor", "2026-01-01T00:00:10.5Z", "2026-01-01T00:01:40.5Z", "2025-12-31T23:58:40.5Z"},
		{"just before", "2026-01-01T00:00:10.499999999Z", "2026-01-01T00:00:10.5Z", "2025-12-31T23:58:40.5Z"},
		{"just after", "2026-01-01T00:00:10.500000001Z", "2026-01-01T00:01:40.5Z", "2026-01-01T00:00:10.5Z"},
		{"before the anchor", "2025-12-31T23:58:00Z", "2025-12-31T23:58:40.5Z", "2025-12-31T23:57:10.5Z"},
		{"centuries before", "1600-01-01T00:00:00Z", "1600-01-01T00:00:10.5Z", "1599-12-31T23:58:40.5Z"},
		{"centuries after", "2400-01-01T00:00:00Z", "2400-01-01T00:00:10.5Z", "2399-12-31T23:58:40.5Z"},
	} {
		next, _ := every.Next(at(t, c.at))
		prev, _ := every.Prev(at(t, c.at))
		got := []string{next.Format(time.RFC3339Nano), prev.Format(time.RFC3339Nano)}
		if diff := cmp.Diff([]string{c.next, c.prev}, got); diff != "" {
			t.Errorf("%s: next and prev (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestIntervalPhase draws intervals and instants: due times lie on the anchor's phase, whoever asks and when.
func TestIntervalPhase(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) time.Time {
			return time.Unix(rapid.Int64Range(0, 7_258_118_400).Draw(t, name), rapid.Int64Range(0, 999_999_999).Draw(t, name+" nanoseconds"))
		}
		every := rapid.Int64Range(1, 316_224_000).Draw(t, "every")
		i := domain.Interval{Anchor: draw("anchor"), Every: time.Duration(every) * time.Second}
		asked := draw("asked")
		next, _ := i.Next(asked)
		prev, _ := i.Prev(next)
		switch {
		case !next.After(asked) || prev.After(asked):
			t.Fatalf("%s and %s around %s", prev, next, asked)
		case next.Nanosecond() != i.Anchor.Nanosecond() || (next.Unix()-i.Anchor.Unix())%every != 0:
			t.Fatalf("%s is off the phase of %s", next, i.Anchor)
		case !prev.Add(i.Every).Equal(next):
			t.Fatalf("%s is not one interval before %s", prev, next)
		}
	})
}

func TestOnce(t *testing.T) {
	t.Parallel()
	noon := at(t, "2026-01-01T12:00:00Z")
	once := domain.Once(noon)
	for _, c := range []struct {
		asked      time.Time
		next, prev bool
	}{
		{noon.Add(-1), true, false}, {noon, false, false}, {noon.Add(1), false, true},
	} {
		next, nextOK := once.Next(c.asked)
		prev, prevOK := once.Prev(c.asked)
		if nextOK != c.next || prevOK != c.prev || nextOK && !next.Equal(noon) || prevOK && !prev.Equal(noon) {
			t.Errorf("at %s: next %v, prev %v", c.asked, nextOK, prevOK)
		}
	}
}

// TestTriggerText holds that the canonical text of a trigger is read back as the same trigger.
func TestTriggerText(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{
		`{"cron_expression": "@daily", "task_name": "a"}`:                           `{"cron":"0 0 * * *","dialect":"celery","timezone":"UTC","gap":"auto","overlap":"auto"}`,
		`{"interval_seconds": 90, "task_name": "a", "timezone": "Asia/Tokyo"}`:      `{"every":90}`,
		`{"cron_expression": "@every 90s", "task_name": "a"}`:                       `{"every":90}`,
		`{"run_at": "2026-03-09T09:00", "timezone": "Asia/Tokyo", "task_name":"a"}`: `{"once":true}`,
	} {
		trigger, anchor := normalized(t, definition).Trigger()
		if trigger.String() != want {
			t.Errorf("%s: %s, want %s", definition, trigger, want)
		}
		again, err := domain.ParseTrigger(trigger.String())
		if err != nil || again != trigger {
			t.Errorf("%s: read back as %s, %v", trigger, again, err)
		}
		if _, err := again.Recurrence(anchor); err != nil {
			t.Errorf("%s: %v", trigger, err)
		}
	}
}
