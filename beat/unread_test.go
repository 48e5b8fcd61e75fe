package beat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// anotherPartition creates a second partition of the log of schedules, which is written to from now on, and a third one
// that stands ready.
func (w *world) anotherPartition() {
	w.Helper()
	for _, n := range []int64{1_000_000_000, 2_000_000_000} {
		w.execute(fmt.Sprintf(`create table if not exists tactus.outbox_schedule_%d partition of tactus.outbox_schedule
			for values from (%d) to (%d)`, n, n, n+1_000_000_000))
	}
	for _, topic := range []string{"run", "happening"} {
		w.execute(fmt.Sprintf(`create table tactus.outbox_%s_later partition of tactus.outbox_%[1]s
			for values from (1000000000) to (2000000000)`, topic))
	}
	w.execute(`select setval('tactus.outbox_position', 1000000000)`)
}

// TestLockedEvents locks a partition of the events of schedules. A running beat notices schedules that are created,
// changed and disabled, does not wait, and records due times that a change has overtaken. A beat that takes over
// settles schedules that changed after its predecessor's snapshot.
func TestLockedEvents(t *testing.T) {
	t.Parallel()
	for _, partition := range []string{"tactus.outbox_schedule_0", "tactus.outbox_schedule_2000000000"} {
		t.Run(partition, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, stopped := w.create(minutely("")), w.create(minutely(`, "misfire_policy": "all"`))
			b, log := w.bounded()
			a := at{s}
			w.step(b, a.due(1).Add(time.Second))
			w.anotherPartition()
			free := w.lock(partition)
			made := w.create(minutely(""))
			w.setClock(a.due(2).Add(time.Second / 2))
			w.merge(stopped.ID, `{"enabled": false}`)
			w.step(b, a.due(2).Add(time.Second)) // a step that fails ends the test
			w.step(b, a.due(3).Add(time.Second))
			if err := w.expect(s.ID, a.run(1), a.run(2), a.run(3)); err != nil {
				t.Error(err)
			}
			if err := w.expect(stopped.ID, a.run(1), a.missed(2, 2, domain.ReasonOvertaken)); err != nil {
				t.Errorf("what a change has overtaken: %v", err)
			}
			if n := len(w.runs(made.ID)); n < 2 {
				t.Errorf("what was made meanwhile has %d runs", n)
			}
			if told := strings.Contains(log.String(), "has locked the table "+partition); told != strings.HasSuffix(partition, "_0") {
				t.Errorf("that it is locked is told: %t\n%s", told, log)
			}

			unheard := w.create(minutely(`, "misfire_policy": "all"`))
			b.polls.at, b.lease.askAt = memory.Never, 0 // it settles due times, but does not hear of this change
			w.step(b, a.due(6).Add(time.Second))
			b.lease.askAt = 0
			w.step(b, a.due(6).Add(2*time.Second))
			if n := len(w.runs(unheard.ID)); n > 0 {
				t.Fatalf("it is heard of, and has %d runs", n)
			}
			next, _ := w.bounded()
			w.step(next, a.due(6).Add(leaseTime+2*time.Second))
			if !next.lease.leading {
				t.Fatal("it has not taken over")
			}
			u := at{unheard}
			if err := w.expect(unheard.ID, u.run(1), u.run(2), u.run(3)); err != nil {
				t.Errorf("after a takeover: %v", err)
			}
			free()
			w.setClock(a.due(7).Add(lastLeave))
			next.unread.notUntil = time.Time{}
			w.step(next, w.now)
			if next.unread.owed != nil {
				t.Error("what the takeover left is not done when the log is free")
			}
		})
	}
}
