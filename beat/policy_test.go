package beat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// minutely returns a definition that is due every full minute.
func minutely(members string) string {
	return `{"interval_seconds": 60, "interval_anchor": "2026-01-01T00:00:00Z", "task_name": "app.task"` + members + `}`
}

// at names due times by their number, from 1, as runs shows them.
type at struct{ s domain.Schedule }

func (a at) due(n int) time.Time {
	first, _ := a.s.Next(a.s.EffectiveFrom)
	return first.Add(time.Duration(n-1) * time.Minute)
}

func (a at) run(n int) string { return a.due(n).UTC().Format(time.RFC3339Nano) + " due" }

func (a at) missed(from, to int, reason string) string {
	return a.due(from).UTC().Format(time.RFC3339Nano) + " missed to " + a.due(to).UTC().Format(time.RFC3339Nano) + " " + reason
}

// TestPolicyOfTheMoment edits a policy while the beat sleeps through ten due times. What was missed is decided by the
// new policy, whether the beat polls before it decides or not; in the second case the statement refuses the decisions.
func TestPolicyOfTheMoment(t *testing.T) {
	t.Parallel()
	for _, polls := range []bool{true, false} {
		t.Run(fmt.Sprint("polls ", polls), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(``))
			b, a := w.beat("a"), at{s}
			w.step(b, a.due(1))
			w.setClock(a.due(11).Add(30 * time.Second))
			w.merge(s.ID, `{"misfire_policy": "none"}`)
			if !polls {
				b.polls.at = memory.Never
			}
			now := w.now.UnixMicro()
			if _, err := b.step(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			if refused := b.memory.NextFire() <= now; refused == polls {
				t.Errorf("refused: %v", refused)
			}
			w.step(b, w.now.Add(time.Second))
			if err := w.expect(s.ID, a.run(1), a.missed(2, 10, domain.ReasonPolicyNone), a.run(11)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestMaxRuns raises max_runs after some due times have passed without runs. The beat does not catch up with them.
func TestMaxRuns(t *testing.T) {
	t.Parallel()
	for _, while := range []string{"running", "down"} {
		t.Run(while, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.backdate(w.create(minutely(`, "max_runs": 2, "misfire_policy": "all"`)), 4*time.Minute+30*time.Second)
			b, a := w.beat("a"), at{s}
			if diff := cmp.Diff([]string{a.run(1), a.run(2)}, w.runs(s.ID)); diff != "" {
				t.Errorf("two of four that are due (-want +got):\n%s", diff)
			}
			if while == "down" {
				w.stop(b)
			}
			w.merge(s.ID, `{"max_runs": 3}`)
			if while == "down" {
				b = w.beat("b")
			}
			w.step(b, w.now.Add(2*time.Second))
			w.step(b, a.due(7))
			if diff := cmp.Diff([]string{a.run(1), a.run(2), a.run(5)}, w.runs(s.ID)); diff != "" {
				t.Errorf("a third is allowed (-want +got):\n%s", diff)
			}
			if n := w.count(`select fired from tactus.schedule_counts where schedule_id = $1`, s.ID); n != 3 {
				t.Errorf("%d counted", n)
			}
			w.merge(s.ID, `{"max_runs": null}`)
			w.step(b, a.due(7).Add(2*time.Second))
			w.step(b, a.due(8))
			if got := w.runs(s.ID); len(got) < 4 || got[len(got)-1] != a.run(8) {
				t.Errorf("without a limit: %v", got)
			}
		})
	}
}

// TestRunAtCompletes fires a schedule that is due once, which leaves memory then.
func TestRunAtCompletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.now.Add(time.Hour).UTC().Truncate(time.Second)
	s := w.create(fmt.Sprintf(`{"run_at": %q, "task_name": "app.task"}`, due.Format(time.RFC3339)))
	b := w.beat("a")
	w.step(b, due)
	want := []string{due.Format(time.RFC3339Nano) + " due"}
	if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.stop(b)
	w.merge(s.ID, `{"description": "done"}`)
	again := w.beat("b")
	w.step(again, due.Add(time.Minute))
	if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	if n := again.memory.Len(); n != 0 {
		t.Errorf("%d schedules in memory: one that is done for good is not kept", n)
	}
}

// TestJitter checks that a due time fires later by its jitter, under its nominal time, and is not missed because of
// that.
func TestJitter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s, due, fire := w.jittered()
	w.step(b, fire.Add(-time.Millisecond))
	if got := w.runs(s.ID); len(got) != 0 {
		t.Errorf("fired before its jitter: %v", got)
	}
	w.stop(b)
	b = w.beat("b")
	w.step(b, fire.Add(time.Millisecond))
	if diff := cmp.Diff([]string{due.UTC().Format(time.RFC3339Nano) + " due"}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSpread has schedules that are due at once fire one after another, each under its nominal due time and once,
// though the first beat crashes in the middle and another goes on.
func TestSpread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	type spread struct {
		domain.Schedule
		due, fire time.Time
	}
	var all []spread
	for range 40 {
		s := w.create(`{"interval_seconds": 3600, "interval_anchor": "2026-01-01T00:00:00Z", "spread_seconds": 3000, "misfire_policy": "none",
			"misfire_grace_seconds": 1, "task_name": "app.task"}`)
		due, _ := s.Next(s.CreatedAt)
		recurrence, err := s.Recurrence()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, spread{s, due, s.Policy().FireAt(s.ID, recurrence, due)})
	}
	slices.SortFunc(all, func(a, b spread) int { return a.fire.Compare(b.fire) })
	fired := func() int { return w.count(`select count(*) from tactus.runs where status = 'due'`) }
	for n, s := range all {
		if n > 0 && s.fire.Sub(all[n-1].fire) < 2*time.Millisecond {
			continue // fires with the one before
		}
		if w.step(b, s.fire.Add(-time.Millisecond)); fired() != n {
			t.Errorf("%d have fired before number %d", fired(), n)
		}
		if n == 20 {
			w.endBeat(b, "crash")
			b = w.beat("b")
		}
	}
	w.step(b, all[0].due.Add(3000*time.Second))
	for _, s := range all {
		if diff := cmp.Diff([]string{s.due.UTC().Format(time.RFC3339Nano) + " due"}, w.runs(s.ID)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", s.ID, diff)
		}
	}
}

// TestTakeoverAsConfigured fires a due time that is later than the default takeover, but not later than the configured
// one.
func TestTakeoverAsConfigured(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(`, "misfire_policy": "none", "misfire_grace_seconds": 1`))
	b, a := w.beatWith(w.pool, Config{Name: "a", Takeover: 50 * time.Second}), at{s}
	w.step(b, a.due(1).Add(40*time.Second))
	w.step(b, a.due(2).Add(55*time.Second))
	if err := w.expect(s.ID, a.run(1), a.missed(2, 2, domain.ReasonPolicyNone)); err != nil {
		t.Error(err)
	}
}

// jittered creates a schedule whose first due time fires some seconds late.
func (w *world) jittered() (s domain.Schedule, due, fire time.Time) {
	w.Helper()
	for fire.Sub(due) < 2*time.Second {
		s = w.create(`{"interval_seconds": 3600, "interval_anchor": "2026-01-01T00:00:00Z", "jitter_seconds": 3000, "misfire_policy": "none",
			"misfire_grace_seconds": 1, "task_name": "app.task"}`)
		due, _ = s.Next(s.CreatedAt)
		recurrence, err := s.Recurrence()
		if err != nil {
			w.Fatal(err)
		}
		fire = s.Policy().FireAt(s.ID, recurrence, due)
	}
	return s, due, fire
}

// TestRoutedRuns fires a run whose queue and expiry come from the route of its task.
func TestRoutedRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := outbox.PutRoute(t.Context(), w.pool, domain.Route{Pattern: "app.*", Queue: "fast", ExpiresSeconds: 90}, "", nil); err != nil {
		t.Fatal(err)
	}
	s := w.create(minutely(``))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1))
	var queue string
	var expires float64
	if err := w.pool.QueryRow(t.Context(), `select o.data->>'queue', extract(epoch from r.expires_at - r.fired_at)::float8
		from tactus.outbox o join tactus.runs r on r.id = o.aggregate_id where o.topic = 'run' order by o.position limit 1`).Scan(&queue, &expires); err != nil {
		t.Fatal(err)
	}
	if queue != "fast" || expires != 90 {
		t.Errorf("queue %q, expires after %v s", queue, expires)
	}
}
