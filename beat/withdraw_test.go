package beat

import (
	"fmt"
	"testing"
	"time"
)

// TestGoesOnAfterAClockThatWasAhead sets PostgreSQL's clock ahead by an hour for half a minute, and then back. Due
// times that were missed by that clock fire when they are due, and those that fired early do not fire twice, whichever
// beat leads then.
func TestGoesOnAfterAClockThatWasAhead(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"leads on", "crash ahead", "crash back", "stop ahead", "stop back", "standby"} {
		for _, policy := range []string{"latest", "none", "all"} {
			t.Run(then+", "+policy, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				s := w.create(minutely(fmt.Sprintf(`, "misfire_policy": %q, "misfire_grace_seconds": 20`, policy)))
				b, a := w.beat("a"), at{s}
				early := w.create(fmt.Sprintf(`{"task_name": "app.task", "run_at": %q}`, a.due(60).Format(time.RFC3339Nano)))
				w.step(b, a.due(1))
				standby := w.beat("b")
				w.step(b, a.due(60).Add(10*time.Second))
				w.step(b, a.due(61))
				w.step(standby, a.due(61).Add(time.Second))
				if then == "crash ahead" || then == "stop ahead" {
					w.endBeat(b, then[:len(then)-len(" ahead")])
					b = nil
				}
				goBack := func(b *Beat) { // by the time that the beat has extrapolated
					if _, err := b.step(t.Context(), a.due(61).Add(5*time.Second).UnixMicro()); err != nil {
						t.Fatal(err)
					}
					w.step(b, w.now)
				}
				w.setClock(a.due(1).Add(40 * time.Second))
				switch then {
				case "leads on":
					goBack(b)
				case "crash back", "stop back":
					goBack(b)
					w.endBeat(b, then[:len(then)-len(" back")])
					b = nil
				case "standby":
					goBack(b)
					goBack(standby)
					for n := 2; n <= 5; n++ {
						w.stepPastLocks(b, a.due(n))
						w.step(standby, w.now)
					}
					w.endBeat(b, "crash")
					b = standby
				}
				if b == nil {
					w.execute(`update tactus.leases set expires_at = '-infinity'`)
					b = w.beat("c")
				}
				for n := 2; n <= 63; n++ {
					w.stepPastLocks(b, a.due(n).Add(time.Millisecond))
				}
				var want []string
				for n := 1; n <= 63; n++ {
					want = append(want, a.run(n))
				}
				if err := w.expect(s.ID, want...); err != nil {
					t.Error(err)
				}
				if n := w.count(`select count(*) from tactus.runs where schedule_id = $1`, early.ID); n != 1 {
					t.Errorf("what is due once and fired early: %v", w.runs(early.ID))
				}
			})
		}
	}
}

// stepPastLocks steps a beat at an instant, and again a little later for schedules that it has put off because a row
// was locked: judging or reading rows locks them for a moment, which is longer on a busy machine.
func (w *world) stepPastLocks(b *Beat, at time.Time) {
	w.Helper()
	w.step(b, at)
	for n := 1; len(b.locks.pauses) > 0 && n <= 10; n++ {
		w.step(b, at.Add(time.Duration(n)*time.Second))
	}
}

// TestNothingWaitsForHoursToComeAgain sets PostgreSQL's clock ahead by an hour, and then back. A backfill goes on at
// once, and does not wait for the instant that the beat had computed by the wrong clock.
func TestNothingWaitsForHoursToComeAgain(t *testing.T) {
	t.Parallel()
	w, b, s, hour := backfillWorld(t)
	right := w.now
	w.step(b, right.Add(time.Hour))
	w.setClock(right)
	if _, err := b.step(t.Context(), right.Add(time.Hour+5*time.Second).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	w.step(b, right)
	id := w.backfill(s, hour.Add(-2*time.Minute), hour.Add(-time.Minute))
	w.let(b, 2*time.Second)
	if len(w.backfilled(id)) == 0 {
		t.Errorf("the backfill waits: %s", w.outcome(id))
	}
}
