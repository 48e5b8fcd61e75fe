package domain_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

// TestSettle is about due times every hour on the hour of 2026-01-01, which somebody looked at last at midnight,
// unless after says otherwise.
func TestSettle(t *testing.T) {
	t.Parallel()
	hourly := domain.Interval{Anchor: at(t, "2026-01-01T00:00:00Z"), Every: time.Hour}
	for _, c := range []struct {
		name        string
		policy      domain.Policy
		after, now  string
		fire        []string
		missed      []string
		starts, end string
	}{
		{"on time", misfire("none"), "11:00:00", "12:00:00", []string{"12:00"}, nil, "", ""},
		{"late by exactly the grace", misfire("none"), "11:00:00", "12:01:00", []string{"12:00"}, nil, "", ""},
		{"later than the grace by a nanosecond, none", misfire("none"), "11:00:00", "12:01:00.000000001", nil, []string{"12:00-12:00 " + domain.ReasonPolicyNone}, "", ""},
		{"later than the grace, latest", misfire("latest"), "11:00:00", "12:01:01", []string{"12:00"}, nil, "", ""},
		{"later than the grace, all", misfire("all"), "11:00:00", "12:01:01", []string{"12:00"}, nil, "", ""},
		{"half a day, latest", misfire("latest"), "00:00:00", "12:30:00", []string{"12:00"}, []string{"01:00-11:00 " + domain.ReasonSuperseded}, "", ""},
		{"half a day, latest, and one within the grace", misfire("latest"), "00:00:00", "12:00:30", []string{"12:00"}, []string{"01:00-11:00 " + domain.ReasonSuperseded}, "", ""},
		{"half a day, latest, and one within the takeover", misfire("latest"), "00:00:00", "12:00:15", []string{"12:00"}, []string{"01:00-11:00 " + domain.ReasonSuperseded}, "", ""},
		{"half a day, all, and one within the takeover", misfire("all"), "09:00:00", "12:00:15", []string{"10:00", "11:00", "12:00"}, nil, "", ""},
		{"some within the grace, which lets one of them through", grace("latest", 3*time.Hour), "08:00:00", "12:30:00", []string{"12:00"}, []string{"09:00-11:00 " + domain.ReasonSuperseded}, "", ""},
		{"some within the grace, none", grace("none", 3*time.Hour), "08:00:00", "12:30:00", []string{"12:00"}, []string{"09:00-11:00 " + domain.ReasonPolicyNone}, "", ""},
		{"some within a grace longer than the window, all", domain.Policy{Misfire: "all", Grace: 9000, Window: 60}, "08:00:00", "12:30:00", []string{"10:00", "11:00", "12:00"}, []string{"09:00-09:00 " + domain.ReasonBeyondWindow}, "", ""},
		{"late by a takeover, without a grace", grace("none", 0), "11:00:00", "12:00:15", []string{"12:00"}, nil, "", ""},
		{"later than a takeover, without a grace", grace("none", 0), "11:00:00", "12:00:15.000000001", nil, []string{"12:00-12:00 " + domain.ReasonPolicyNone}, "", ""},
		{"half a day, none, and one within the grace", misfire("none"), "00:00:00", "12:00:30", []string{"12:00"}, []string{"01:00-11:00 " + domain.ReasonPolicyNone}, "", ""},
		{"some hours, all", misfire("all"), "08:00:00", "12:30:00", []string{"09:00", "10:00", "11:00", "12:00"}, nil, "", ""},
		{"the window ends on a due time: it fires", window("all", 2*time.Hour+time.Hour/2), "00:00:00", "12:30:00", []string{"10:00", "11:00", "12:00"}, []string{"01:00-09:00 " + domain.ReasonBeyondWindow}, "", ""},
		{"the window ends just after a due time", window("all", 2*time.Hour+time.Hour/2-time.Second), "00:00:00", "12:30:00", []string{"11:00", "12:00"}, []string{"01:00-10:00 " + domain.ReasonBeyondWindow}, "", ""},
		{"latest on the edge of the window", window("latest", time.Hour/2), "11:00:00", "12:30:00", []string{"12:00"}, nil, "", ""},
		{"latest beyond the window", window("latest", time.Hour/2-time.Second), "10:00:00", "12:30:00", nil, []string{"11:00-12:00 " + domain.ReasonBeyondWindow}, "", ""},
		{"ends_at within what was missed", misfire("latest"), "00:00:00", "12:30:00", []string{"05:00"}, []string{"01:00-04:00 " + domain.ReasonSuperseded}, "", "05:30:00"},
		{"ends_at is a due time: the last", misfire("latest"), "00:00:00", "12:30:00", []string{"05:00"}, []string{"01:00-04:00 " + domain.ReasonSuperseded}, "", "05:00:00"},
		{"ends_at before what was missed", misfire("all"), "06:00:00", "12:30:00", nil, nil, "", "05:00:00"},
		{"starts_at within what was missed", misfire("all"), "00:00:00", "12:30:00", []string{"10:00", "11:00", "12:00"}, nil, "10:00:00", ""},
		{"starts_at just after a due time", misfire("latest"), "00:00:00", "12:30:00", []string{"12:00"}, []string{"11:00-11:00 " + domain.ReasonSuperseded}, "10:00:01", ""},
		{"starts_at to come", misfire("all"), "00:00:00", "12:30:00", nil, nil, "13:00:00", ""},
		{"nothing was due", misfire("all"), "12:00:00", "12:30:00", nil, nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := c.policy
			if c.starts != "" {
				p.StartsAt = onTheDay(t, c.starts)
			}
			if c.end != "" {
				p.EndsAt = onTheDay(t, c.end)
			}
			s := p.Settle(hourly, onTheDay(t, c.after), onTheDay(t, c.now), domain.DefaultTakeover, 1000)
			var fire, missed []string
			for _, due := range s.Fire {
				fire = append(fire, due.Format("15:04"))
			}
			for _, m := range s.Missed {
				missed = append(missed, m.From.Format("15:04")+"-"+m.To.Format("15:04")+" "+m.Reason)
			}
			if diff := cmp.Diff([][]string{c.fire, c.missed}, [][]string{fire, missed}); diff != "" {
				t.Errorf("fire and missed (-want +got):\n%s", diff)
			}
		})
	}
}

func misfire(policy string) domain.Policy { return window(policy, 24*time.Hour) }

func grace(policy string, grace time.Duration) domain.Policy {
	p := misfire(policy)
	p.Grace = int64(grace / time.Second)
	return p
}

func window(policy string, window time.Duration) domain.Policy {
	return domain.Policy{Misfire: policy, Grace: domain.DefaultGrace, Window: int64(window / time.Second)}
}

func onTheDay(t testing.TB, clock string) time.Time {
	t.Helper()
	return at(t, "2026-01-01T"+clock+"Z")
}

func TestSettleAllIsBounded(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	minutely := domain.Interval{Anchor: start, Every: time.Minute}
	s := misfire("all").Settle(minutely, start, start.Add(1201*time.Minute+10*time.Second), domain.DefaultTakeover, 5000)
	// 1,201 were due. The last is late by no more than a takeover; of the older 1,200 the newest 1,000 fire.
	if len(s.Fire) != domain.MaxCatchUp+1 || !s.Fire[0].Equal(start.Add(201*time.Minute)) {
		t.Errorf("%d fire, from %s", len(s.Fire), s.Fire[0])
	}
	want := []domain.Missed{{From: start.Add(time.Minute), To: start.Add(200 * time.Minute), Reason: domain.ReasonBeyondCatchUp}}
	if diff := cmp.Diff(want, s.Missed); diff != "" {
		t.Errorf("missed (-want +got):\n%s", diff)
	}
}

// TestSettleInPieces holds that a bounded call leaves the rest for the next one, from the last due time answered.
func TestSettleInPieces(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-01-01T00:00:00Z")
	secondly := domain.Interval{Anchor: start, Every: time.Second}
	var fired int
	for after := start; ; {
		s := misfire("none").Settle(secondly, after, start.Add(50*time.Second), time.Minute, 7)
		if len(s.Fire) == 0 {
			break
		}
		if len(s.Fire) > 7 || len(s.Missed) > 0 {
			t.Fatalf("%d fire, %v missed", len(s.Fire), s.Missed)
		}
		fired += len(s.Fire)
		after = s.Fire[len(s.Fire)-1]
	}
	if fired != 50 {
		t.Errorf("%d fired, want 50", fired)
	}
}

func TestSettleOnce(t *testing.T) {
	t.Parallel()
	due := at(t, "2026-01-01T10:00:00Z")
	for late, want := range map[time.Duration]int{-time.Second: 0, 0: 1, time.Hour: 1, 24 * time.Hour: 1, 24*time.Hour + 1: 0} {
		s := misfire("latest").Settle(domain.Once(due), due.Add(-time.Hour), due.Add(late), domain.DefaultTakeover, 10)
		missed := late > 24*time.Hour
		if len(s.Fire) != want || (len(s.Missed) == 1) != missed {
			t.Errorf("%s late: %d fire, %v missed", late, len(s.Fire), s.Missed)
		}
	}
}

// TestSettleLosesNothing draws policies and times: each due time either fires or is in one missed range, never both,
// and nothing else is.
func TestSettleLosesNothing(t *testing.T) {
	t.Parallel()
	start := at(t, "2026-03-07T00:00:00Z")
	rapid.Check(t, func(t *rapid.T) {
		seconds := func(name string, most int64) time.Duration {
			return time.Duration(rapid.Int64Range(0, most).Draw(t, name)) * time.Second
		}
		p := window(rapid.SampledFrom([]string{"latest", "all", "none"}).Draw(t, "policy"), seconds("window", 200_000))
		p.Grace = int64(seconds("grace", 10_000) / time.Second)
		if rapid.Bool().Draw(t, "bounded") {
			p.StartsAt = start.Add(seconds("starts", 100_000))
			p.EndsAt = p.StartsAt.Add(1 + seconds("ends", 100_000))
		}
		r := drawRecurrence(t, start)
		after := start.Add(seconds("after", 100_000))
		until := after.Add(seconds("until", 200_000))
		takeover := seconds("takeover", 1000)
		s := p.Settle(r, after, until, takeover, 1_000_000)

		var answered []string
		for due, ok := p.Next(r, after); ok && !due.After(until); due, ok = p.Next(r, due) {
			if in(s, due) != 1 {
				t.Fatalf("%s is answered %d times: %+v", due, in(s, due), s)
			}
			answered = append(answered, due.String())
		}
		for i, due := range s.Fire {
			if prev, ok := r.Prev(due.Add(1)); !ok || !prev.Equal(due) || i > 0 && !due.After(s.Fire[i-1]) {
				t.Fatalf("%s fires, which is not due, or out of order", due)
			}
		}
		if len(s.Fire) > len(answered) {
			t.Fatalf("%d fire of %d", len(s.Fire), len(answered))
		}
		old := slices.IndexFunc(s.Fire, func(due time.Time) bool { return !due.Before(until.Add(-takeover)) })
		switch {
		case p.Misfire == domain.MisfireAll:
		case old == -1 && len(s.Fire) > 1, old > 0:
			t.Fatalf("catches up more than once: %v fire of what is late by more than %s at %s", s.Fire, takeover, until)
		}
	})
}

func drawRecurrence(t *rapid.T, start time.Time) domain.Recurrence {
	if rapid.Bool().Draw(t, "interval") {
		return domain.Interval{Anchor: start, Every: time.Duration(rapid.Int64Range(30, 20_000).Draw(t, "every")) * time.Second}
	}
	expression := rapid.SampledFrom([]string{
		"30 2 * * *", "*/20 * * * *", "0 9 * * 1-5", "30 1 * * *", "* 30 2 * * *", "0,1 */5 * * * *", "58-1 0 * * * *",
	}).Draw(t, "cron")
	r, err := domain.Trigger{
		Cron: expression, Seconds: len(strings.Fields(expression)) == 6, Timezone: "America/New_York",
	}.Recurrence(time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// in counts how often a settlement answers a due time.
func in(s domain.Settlement, due time.Time) (times int) {
	for _, fire := range s.Fire {
		if fire.Equal(due) {
			times++
		}
	}
	for _, m := range s.Missed {
		if !due.Before(m.From) && !due.After(m.To) {
			times++
		}
	}
	return times
}
