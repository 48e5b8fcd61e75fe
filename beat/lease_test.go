package beat

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/beat/memory"
)

// TestTakeoverInTime steps two beats exactly when they want to, and ends the leader at some instant. The standby leads
// at most a second after the lease has run out, and at most a second after a clean stop.
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
				w.setClock(lives)
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

// livesUntil steps beats whenever they want to, up to and including an instant.
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
			w.setClock(at)
		}
		wake, err := next.step(w.Context(), w.now.UnixMicro())
		if err != nil {
			w.Fatal(err)
		}
		wakes[next] = wake
	}
}

// TestPostgresClockGoesBack steps PostgreSQL's clock back by an hour. Nothing fires twice, and schedules that are
// created in the repeated hour fire in it, or after it.
func TestPostgresClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(`, "misfire_policy": "all"`))
	b, a := w.beat("a"), at{s}
	for n := range 3 {
		w.step(b, a.due(n+1))
	}
	w.endBeat(b, "crash")
	for n := -60; n < 3; n++ {
		w.setClock(a.due(n + 1))
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
