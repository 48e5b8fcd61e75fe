package beat

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// minutely creates a schedule with the policy, and returns its first due times.
func (w *world) minutely(policy string, members ...string) (domain.Schedule, []time.Time) {
	w.Helper()
	s := w.create(minutely(fmt.Sprintf(`, "execution_policy": %q%s`, policy, strings.Join(members, ""))))
	var dues []time.Time
	for due, ok := s.Next(s.CreatedAt); ok && len(dues) < 10; due, ok = s.Next(due) {
		dues = append(dues, due)
	}
	return s, dues
}

// states returns the states of a schedule's runs, oldest first, with w for those that wait.
func (w *world) states(s domain.Schedule) string {
	w.Helper()
	var text string
	err := w.pool.QueryRow(w.Context(), `select coalesce(string_agg(status || case when waiting then ' w' else '' end, ', ' order by due_at), '')
		from tactus.runs where schedule_id = $1`, s.ID).Scan(&text)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

func (w *world) want(s domain.Schedule, states string) {
	w.Helper()
	if got := w.states(s); got != states {
		w.Errorf("runs are: %s\nwant:     %s", got, states)
	}
	fired := strings.Count(states, "due") - strings.Count(states, "due w") + strings.Count(states, "succeeded")
	events := w.count(`select count(*) from tactus.outbox where topic = 'run' and data->>'schedule_id' = $1`, s.ID.String())
	if fired != events {
		w.Errorf("%d runs have fired, there are %d events", fired, events)
	}
}

// finish makes the open runs of a schedule succeed.
func (w *world) finish(s domain.Schedule) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), `update tactus.runs set status = 'succeeded', finished_at = clock_timestamp()
		where schedule_id = $1 and status = 'due' and not waiting`, s.ID); err != nil {
		w.Fatal(err)
	}
}

// TestOverlapIsDecidedOnce settles due times again, as after a crash.
func TestOverlapIsDecidedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s, due := w.minutely("skip")
	b := w.beat("a")
	for _, at := range due[:3] {
		w.step(b, at)
	}
	w.finish(s)
	effective := s.EffectiveFrom.UnixMicro()
	var items []memory.Decision
	for _, at := range due[:4] {
		items = append(items, memory.Decision{Schedule: s.ID, Effective: effective, Due: at.UnixMicro(), Policy: s.Policy().String()})
	}
	out, err := b.settle(t.Context(), items)
	if err != nil || out.Recorded != 1 || out.Fired != 1 || out.Missed != 0 || b.Stats().Missed != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	w.want(s, "succeeded, skipped, skipped, due")
}

// TestLostResultBlocksForAWhileOnly checks that a silent run counts as finished after the lease, or, if it has started,
// after its time limit.
func TestLostResultBlocksForAWhileOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		members string
		lost    string // what is known of the run
		blocks  bool
	}{
		{"silent for less than the lease", ``, `fired_at = clock_timestamp() - interval '58 minutes'`, true},
		{"silent for longer", ``, `fired_at = clock_timestamp() - interval '61 minutes'`, false},
		{"heard of since", ``, `fired_at = clock_timestamp() - interval '61 minutes', heard_at = clock_timestamp() - interval '58 minutes', status = 'retrying'`, true},
		{"not started, with a short limit", `, "time_limit_seconds": 10`, `fired_at = clock_timestamp() - interval '58 minutes'`, true},
		{"not started, with a long limit", `, "time_limit_seconds": 7200`, `fired_at = clock_timestamp() - interval '61 minutes'`, true},
		{"started, within its limit", `, "time_limit_seconds": 600`, `status = 'started', heard_at = clock_timestamp() - interval '9 minutes'`, true},
		{"started, past its limit", `, "time_limit_seconds": 600`, `status = 'started', heard_at = clock_timestamp() - interval '12 minutes'`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			b := w.beat("a")
			s, due := w.minutely("skip", c.members)
			w.step(b, due[0])
			if _, err := w.pool.Exec(t.Context(), `update tactus.runs set `+c.lost+` where schedule_id = $1`, s.ID); err != nil {
				t.Fatal(err)
			}
			w.step(b, due[1])
			if got := w.states(s); strings.HasSuffix(got, ", skipped") != c.blocks {
				t.Errorf("%s", got)
			}
		})
	}
}

// TestManualRunsKeepScheduledOnesBack checks that manual runs block scheduled ones, and are not blocked themselves.
func TestManualRunsKeepScheduledOnesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s, due := w.minutely("skip")
	for range 2 {
		if _, err := w.store.Trigger(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
	}
	w.step(b, due[0])
	if got := strings.Split(w.states(s), ", "); !slices.Equal(got, []string{"due", "due", "skipped"}) {
		t.Errorf("%v", got)
	}
}
