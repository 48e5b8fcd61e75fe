package beat

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestExpiryCountsFromHandingOver fires due times late in every possible way. Each run lives as long as it would have
// if it had fired on time, and its event, from which the expiry of the message counts, occurs at the fired_at of the
// row.
func TestExpiryCountsFromHandingOver(t *testing.T) {
	t.Parallel()
	const members = `, "expires_seconds": 5`
	for name, fire := range map[string]func(w *world) domain.Schedule{
		"grace": func(w *world) domain.Schedule {
			s, b := w.create(minutely(members)), w.beat("a")
			w.step(b, at{s}.due(1).Add(50*time.Second))
			return s
		},
		"catch-up": func(w *world) domain.Schedule {
			s, b := w.create(minutely(members+`, "misfire_policy": "all"`)), w.beat("a")
			w.step(b, at{s}.due(10))
			return s
		},
		"failover": func(w *world) domain.Schedule {
			s, b := w.create(minutely(members)), w.beat("a")
			w.step(b, at{s}.due(1).Add(-time.Second))
			w.endBeat(b, "crash")
			w.setClock(at{s}.due(1).Add(leaseTime))
			w.step(w.beat("b"), w.now)
			return s
		},
		"jitter": func(w *world) domain.Schedule {
			b := w.beat("a")
			s, _, fire := w.jittered()
			w.execute(`update tactus.schedules set policy = (policy::jsonb || '{"expires":5}')::text where id = $1`, s.ID)
			w.step(b, fire.Add(time.Millisecond))
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := fire(w)
			fired := w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'due'`, s.ID)
			lives := w.count(`select count(*) from tactus.runs r join tactus.outbox e on e.aggregate_id = r.id
				where schedule_id = $1 and r.expires_at = clock_timestamp() + interval '5 s' and e.occurred_at = r.fired_at and r.fired_at = clock_timestamp()`, s.ID)
			if fired == 0 || fired != lives {
				t.Errorf("%d of %d runs live for 5 seconds from now", lives, fired)
			}
		})
	}
}

// TestWaitingDoesNotExpire checks that a run that waits for another one has no expiry, and gets one when it is
// released.
func TestWaitingDoesNotExpire(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	s, due := w.minutely("queue", `, "expires_seconds": 5`)
	w.step(b, due[0])
	w.step(b, due[1])
	w.want(s, "due, due w")
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and waiting and expires_at is null`, s.ID); n != 1 {
		t.Error("it expires while it waits")
	}
}
