package beat

import (
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// ahead sets PostgreSQL's clock ahead by an hour for half a minute, and then back. A beat either runs through all of
// this, or stops while the clock is ahead or after it is right again, and another beat starts. Then an hour passes.
// ahead returns the beat that leads. with makes beats.
func (w *world) ahead(b *Beat, a at, then string, with func(name string) *Beat) *Beat {
	w.Helper()
	w.step(b, a.due(1).Add(25*time.Second))
	w.step(b, a.due(60).Add(30*time.Second))
	w.step(b, a.due(61))
	if then == "stop ahead" {
		w.stop(b)
		b = nil
	}
	w.setClock(a.due(1).Add(40 * time.Second))
	if b != nil { // by the time that the beat has extrapolated
		if _, err := b.step(w.Context(), a.due(61).Add(5*time.Second).UnixMicro()); err != nil {
			w.Fatal(err)
		}
		w.step(b, w.now)
	}
	if then == "stop back" {
		w.stop(b)
		b = nil
	}
	if b == nil {
		b = with("then")
	}
	for n := 2; n <= 63; n++ {
		w.step(b, a.due(n).Add(time.Millisecond))
		w.step(b, a.due(n).Add(25*time.Second))
	}
	return b
}

// TestClockAheadOfKindsOfSchedules sets the clock ahead, under each misfire policy, while there are a schedule that
// counts its runs, one with jitter, and one that a calendar excludes for a while. The first one gets as many runs as it
// may have, and is completed; each due time of the others has a run, or is recorded as excluded.
func TestClockAheadOfKindsOfSchedules(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"leads on", "stop ahead", "stop back"} {
		for _, policy := range []string{"latest", "none", "all"} {
			t.Run(then+", "+policy, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.calendar("closed")
				of := func(name, more string) domain.Schedule {
					return w.create(minutely(fmt.Sprintf(`, "name": %q, "misfire_policy": %q, "misfire_grace_seconds": 30, %s`, name, policy, more)))
				}
				counted := of("counted", `"max_runs": 10`)
				jittered := of("jittered", `"jitter_seconds": 20`)
				closed := of("closed", `"exclude_calendars": ["closed"]`)
				w.calendar("closed", window(closed, 30, 40))
				b := w.ahead(w.beat("a"), at{closed}, then, w.beat)
				w.step(b, w.now.Add(2*syncEvery))
				runs := func(s domain.Schedule, status string) int {
					return w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = $2 and due_at >= $3`, s.ID, status, at{closed}.due(2))
				}
				if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due'`, counted.ID); n != 10 {
					t.Errorf("one of ten runs has %d: %v", n, w.runs(counted.ID))
				}
				if kept, err := w.store.Get(t.Context(), counted.ID); err != nil || kept.State() != domain.Completed {
					t.Errorf("it is %s, %v", kept.State(), err)
				}
				if n := runs(jittered, "due"); n != 62 {
					t.Errorf("with jitter %d of 62 due times have a run: %v", n, w.runs(jittered.ID))
				}
				if due, excluded := runs(closed, "due"), runs(closed, "excluded"); due != 52 || excluded < 1 {
					t.Errorf("with a calendar %d of 52 due times have a run, %d rows tell of the others: %v", due, excluded, w.runs(closed.ID))
				}
				if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due' and due_at >= $2 and due_at < $3`,
					closed.ID, at{closed}.due(30), at{closed}.due(40)); n != 0 {
					t.Errorf("%d runs are due on what is closed", n)
				}
			})
		}
	}
}

// TestClockAheadOfShadows sets the clock ahead under a shadow, and during the switch from a shadow to a beat that
// fires.
func TestClockAheadOfShadows(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"leads on", "stop ahead", "stop back"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.execute(`alter table tactus.shadow_runs alter column decided_at set default own.clock_timestamp()`)
			s := w.create(minutely(`, "misfire_grace_seconds": 30`))
			a := at{s}
			w.ahead(w.shadow("a"), a, then, w.shadow)
			if n := w.count(`select count(*) from tactus.shadow_runs where schedule_id = $1 and fate = 'fire' and due_at >= $2`, s.ID, a.due(2)); n != 62 {
				t.Errorf("%d of 62 are recorded as what fires: %v", n, w.decided(s.ID))
			}
			w.nothingFired()
		})
	}
	t.Run("switch", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		s := w.create(minutely(`, "misfire_grace_seconds": 30`))
		a, shadow := at{s}, w.shadow("a")
		w.step(shadow, a.due(1).Add(25*time.Second))
		w.step(shadow, a.due(60).Add(30*time.Second))
		w.stop(shadow)
		b := w.beat("real")
		w.step(b, a.due(61))
		w.setClock(a.due(1).Add(40 * time.Second))
		if _, err := b.step(t.Context(), a.due(61).Add(5*time.Second).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		for n := 2; n <= 63; n++ {
			w.step(b, a.due(n).Add(time.Millisecond))
		}
		if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due' and due_at >= $2`, s.ID, a.due(2)); n != 62 {
			t.Errorf("%d of 62 due times have a run: %v", n, w.runs(s.ID))
		}
	})
}
