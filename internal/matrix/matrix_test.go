package matrix

import (
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// row is an effect, in a world in which everything before the effect is done.
type row struct {
	over     *testenv.Proxy
	request  string      // text in the request that has the effect, and in no other
	cause    func()      // makes the program send that request
	happened func() bool // reports whether the server has the effect
	holds    func()      // checks what must hold once the server can be reached again
}

// effects prepares worlds in which only one effect is missing.
var effects = []struct {
	name    string
	prepare func(*world) row
}{
	{"commit of a change", change},
	{"commit of a batch", batch},
	{"append to the stream", appendEvent},
	{"append to a queue", appendTask},
	{"confirmation of a task", confirmation},
	{"acknowledgement of the beat's group", acknowledgement},
	{"commit of runs", runs},
	{"renewal of the lease", renewal},
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	for _, effect := range effects {
		for _, lost := range []testenv.Lost{testenv.Request, testenv.Answer} {
			t.Run(effect.name+" "+lost.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				r := effect.prepare(w)
				done := r.over.Lose(lost, r.request)
				r.cause()
				w.await("the request", func() bool {
					select {
					case <-done:
						return true
					default:
						return false
					}
				})
				if happened := r.happened(); happened != (lost == testenv.Answer) {
					t.Fatalf("the effect has happened: %v", happened)
				}
				r.over.Heal()
				r.holds()
				w.verify()
			})
		}
	}
}

// change checks that a change is written once, however often it is retried.
func change(w *world) row {
	w.put(w.far, "before")
	written := func(name string) int {
		return w.count(`select count(*) from tactus.outbox where data->>'name' = $1`, name)
	}
	return row{
		over: w.postgres, request: "insert into tactus.schedules",
		cause: func() {
			if _, _, err := w.far.Put(w.Context(), definition("changed")); err == nil {
				w.Error("the writer got no error")
			}
		},
		happened: func() bool { return written("changed") == 1 },
		holds: func() {
			if s := w.put(w.far, "changed"); s.Version != 1 || written("changed") != 1 {
				w.Errorf("after the retry the schedule has version %d and %d events", s.Version, written("changed"))
			}
			w.relay(w.events())
		},
	}
}

// batch checks that a batch is cut once, and published as it was cut.
func batch(w *world) row {
	w.put(w.store, "before")
	w.relay(w.events())()
	w.put(w.store, "changed")
	before := w.count(`select count(*) from tactus.relay_batches`)
	return row{
		over: w.postgres, request: "insert into tactus.relay_batches",
		cause:    func() { w.start(w.events()) },
		happened: func() bool { return w.count(`select count(*) from tactus.relay_batches`) > before },
		holds: func() {
			w.await("two entries", func() bool { return w.entries() == 2 })
			if n := w.count(`select count(*) from tactus.relay_batches where row_count > 0`); n != 2 {
				w.Errorf("%d batches have rows, want one", n)
			}
		},
	}
}

// appendEvent checks that an event is appended to the stream once.
func appendEvent(w *world) row {
	w.put(w.store, "before")
	w.relay(w.events())
	return row{
		over: w.redis, request: "changed",
		cause:    func() { w.put(w.store, "changed") },
		happened: func() bool { return w.entries() == 2 },
		holds: func() {
			w.put(w.store, "after")
			w.await("three entries", func() bool { return w.entries() == 3 })
		},
	}
}

// appendTask checks that a task is handed over once.
func appendTask(w *world) row {
	w.relay(w.events(), w.tasks())
	w.fire("before")
	w.await("a task", func() bool { return len(w.queue()) == 1 })
	return row{
		over: w.redis, request: `"task":"app.changed"`,
		cause:    func() { w.fire("changed") },
		happened: func() bool { return len(w.queue()) == 2 },
		holds: func() {
			w.fire("after")
			w.await("three tasks", func() bool { return len(w.queue()) == 3 })
		},
	}
}

// confirmation checks that a task that was handed over is confirmed in the end, and not handed over again.
func confirmation(w *world) row {
	sent := func() int { return w.count(`select count(*) from tactus.runs where status = 'sent'`) }
	w.relay(w.events(), w.tasks())
	w.fire("before")
	w.await("a task that is sent", func() bool { return sent() == 1 })
	return row{
		over: w.postgres, request: "set confirmed_batch",
		cause:    func() { w.fire("changed") },
		happened: func() bool { return sent() == 2 },
		holds: func() {
			w.await("both are sent", func() bool { return sent() == 2 })
			w.fire("after")
			w.await("three tasks", func() bool { return len(w.queue()) == 3 && sent() == 3 })
		},
	}
}

// acknowledgement checks that events are acknowledged in the end, and that the beat misses none.
func acknowledgement(w *world) row {
	w.relay(w.events())
	b, feed := w.beat()
	heard := func() bool {
		lag, err := feed.Lag(w.Context())
		return err == nil && lag == 0
	}
	w.put(w.store, "before")
	w.await("the beat has heard", func() bool { return b.Stats().Schedules == 1 && heard() })
	return row{
		over: w.redis, request: "xack",
		cause: func() { w.put(w.store, "changed") },
		happened: func() bool {
			pending, err := w.client.XPending(w.Context(), redis.EventStream, "beat:one").Result()
			if err != nil {
				w.Fatal(err)
			}
			return pending.Count == 0
		},
		holds: func() {
			w.put(w.store, "after")
			w.await("the beat has heard all", func() bool { return b.Stats().Schedules == 3 && heard() })
		},
	}
}

// runs checks that each due time gets one run.
func runs(w *world) row {
	b, _ := w.beat()
	before := w.secondly()
	w.await("a run", func() bool { return w.runs(before) > 0 })
	if err := w.store.Delete(w.Context(), before.ID, 0); err != nil {
		w.Fatal(err)
	}
	w.await("nothing to fire", func() bool { return b.Stats().Schedules == 0 })
	var s domain.Schedule
	return row{
		over: w.postgres, request: "insert into tactus.runs",
		cause:    func() { s = w.secondly() },
		happened: func() bool { return w.runs(s) > 0 },
		holds: func() {
			w.unbroken(s)
			w.relay(w.events(), w.tasks())
		},
	}
}

// renewal checks that the lease keeps its term, and that firing goes on.
func renewal(w *world) row {
	w.beat()
	s := w.secondly()
	w.await("a run", func() bool { return w.runs(s) > 0 })
	lease := func() (epoch int, expires time.Time) {
		if err := w.pool.QueryRow(w.Context(), `select epoch, expires_at from tactus.leases where name = 'beat'`).Scan(&epoch, &expires); err != nil {
			w.Fatal(err)
		}
		return epoch, expires
	}
	epoch, expires := lease()
	before := expires
	w.await("a renewal, so that the next one is seconds away", func() bool {
		epoch, expires = lease()
		return !expires.Equal(before)
	})
	return row{
		over: w.postgres, request: "update tactus.leases",
		cause: func() {},
		happened: func() bool {
			_, now := lease()
			return !now.Equal(expires)
		},
		holds: func() {
			w.await("a renewal", func() bool {
				_, now := lease()
				return now.Sub(expires) > 2*time.Second
			})
			w.unbroken(s)
			if now, _ := lease(); now != epoch {
				w.Errorf("the lease has term %d, and had %d", now, epoch)
			}
			w.relay(w.events(), w.tasks())
		},
	}
}

// unbroken waits for some more runs, and checks that every due time until then has one.
func (w *world) unbroken(s domain.Schedule) {
	w.Helper()
	until := w.runs(s) + 3
	w.await(fmt.Sprint(until, " runs"), func() bool { return w.runs(s) >= until })
	first, _ := s.Next(s.EffectiveFrom)
	if n := w.count(`
select count(*) from generate_series($2::timestamptz, (select max(due_at) from tactus.runs where schedule_id = $1), '1 s') due
where (select count(*) from tactus.runs where schedule_id = $1 and due_at = due and status <> 'missed') <> 1`, s.ID, first); n > 0 {
		w.Errorf("%d due times have no run, or more than one", n)
	}
}
