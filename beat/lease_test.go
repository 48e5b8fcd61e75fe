package beat

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/beat/memory"
)

// TestOneLeads has two beats at once: one fires, the other takes over when the lease runs out.
func TestOneLeads(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	first, second := w.beat("a"), w.beat("b")
	a := at{s}
	last := a.due(3)
	for now := w.now; !now.After(last); now = now.Add(2 * time.Second) {
		w.step(second, now)
		w.step(first, now)
		if !first.lease.leading || second.lease.leading {
			t.Fatalf("leading: %v, %v", first.lease.leading, second.lease.leading)
		}
	}
	for now := last; now.Before(last.Add(leaseTime - renewEvery)); now = now.Add(time.Second) {
		w.step(second, now)
		if second.lease.leading {
			t.Fatalf("took a lease that still runs, after %s", now.Sub(last))
		}
	}
	w.step(second, last.Add(leaseTime+time.Second))
	if !second.lease.leading {
		t.Fatal("nobody leads a second after the lease has run out")
	}
	w.step(second, a.due(4))
	w.step(first, a.due(4))
	if first.lease.leading {
		t.Error("two lead")
	}
	if diff := cmp.Diff([]string{a.run(1), a.run(2), a.run(3), a.run(4)}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStoppedAndResumedFiresNothing pauses a leader between deciding what to fire and saying so.
func TestStoppedAndResumedFiresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	zombie, successor := w.beat("a"), w.beat("b")
	a := at{s}
	w.at(a.due(1))
	due, err := zombie.collect(t.Context(), a.due(1).UnixMicro())
	if err != nil || len(due.decisions) != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	w.step(successor, a.due(1).Add(leaseTime)) // it is late, and fires what the zombie was about to
	if _, err := w.pool.Exec(t.Context(), `delete from tactus.runs`); err != nil {
		t.Fatal(err) // so that the unique key cannot be what holds the zombie back
	}
	out, err := zombie.settleOrBisect(t.Context(), due.decisions)
	if err != nil || out.Held || out.Recorded != 0 {
		t.Errorf("resumed, it did %+v, %v", out, err)
	}
	if got := w.runs(s.ID); len(got) != 0 {
		t.Errorf("resumed, it fired %v", got)
	}
	zombie.putBack(&due)
	w.step(zombie, a.due(1).Add(leaseTime))
	if zombie.lease.leading {
		t.Error("resumed, it leads")
	}
}

// TestCleanStopHandsOver holds that a standby need not wait for the lease.
func TestCleanStopHandsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	first, second := w.beat("a"), w.beat("b")
	a := at{s}
	w.step(first, a.due(1))
	w.stop(first)
	w.step(second, a.due(1).Add(standbyEvery))
	if !second.lease.leading {
		t.Error("the standby has not taken over")
	}
	w.step(second, a.due(2))
	if diff := cmp.Diff([]string{a.run(1), a.run(2)}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestTakeoverInTime has two beats do what they do exactly when they want to, and ends the leader at some instant: the standby
// leads a second after the lease has run out, at the latest; and a second after a clean stop.
func TestTakeoverInTime(t *testing.T) {
	t.Parallel()
	for how, most := range map[string]time.Duration{"crash": leaseTime + time.Second, "stop": time.Second} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.create(minutely(``))
			random := rand.New(rand.NewPCG(1, uint64(most)))
			leader, standby := w.beat("a"), w.beat("b")
			wakes := map[*Beat]memory.Micros{leader: w.now.UnixMicro(), standby: w.now.UnixMicro()}
			for range 5 {
				lives := w.now.Add(time.Duration(random.Int64N(int64(2 * renewEvery))))
				w.livesUntil(lives, wakes)
				w.at(lives)
				if how == "stop" {
					w.stop(leader)
				}
				delete(wakes, leader)
				for !standby.lease.leading {
					w.livesUntil(time.UnixMicro(wakes[standby]), wakes)
					if took := w.now.Sub(lives); took > most {
						t.Fatalf("nobody leads %s after a %s", took, how)
					}
				}
				leader, standby = standby, w.beat("c")
				wakes[standby] = w.now.UnixMicro()
			}
		})
	}
}

// livesUntil has beats step whenever they want to, until and with an instant.
func (w *world) livesUntil(end time.Time, wakes map[*Beat]memory.Micros) {
	w.Helper()
	for {
		var next *Beat
		for b, wake := range wakes {
			if next == nil || wake < wakes[next] {
				next = b
			}
		}
		if wakes[next] > end.UnixMicro() {
			return
		}
		if at := time.UnixMicro(wakes[next]); at.After(w.now) {
			w.at(at)
		}
		wake, err := next.step(w.Context(), w.now.UnixMicro())
		if err != nil {
			w.Fatal(err)
		}
		wakes[next] = wake
	}
}

// TestPostgresClockGoesBack steps the clock that everybody goes by back by an hour: nothing fires twice, and what is made
// in the hour that comes again fires in it or, when the beat goes on, after it.
func TestPostgresClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(`, "misfire_policy": "all"`))
	b, a := w.beat("a"), at{s}
	for n := range 3 {
		w.step(b, a.due(n+1))
	}
	w.end(b, "crash")
	for n := -60; n < 3; n++ {
		w.at(a.due(n + 1))
		if n == -60 {
			b = w.beat("b")
		}
		w.step(b, a.due(n+1))
	}
	w.step(b, a.due(4))
	if diff := cmp.Diff([]string{a.run(1), a.run(2), a.run(3), a.run(4)}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
