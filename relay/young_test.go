package relay_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// restored makes the log look as if restored on another server, where the transactions of some rows have the number of
// one that is open there. It returns this open transaction, which has a change and a run of its own.
func (w *world) restored(t *testing.T, xids string) (open pgx.Tx, run string) {
	t.Helper()
	open, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	putIn(t, open, "late")
	if err := open.QueryRow(t.Context(), insertRun).Scan(&run); err != nil {
		t.Fatal(err)
	}
	var xid int64
	if err := open.QueryRow(t.Context(), `select pg_current_xact_id()::text::bigint`).Scan(&xid); err != nil {
		t.Fatal(err)
	}
	w.sql(t, `update tactus.relay_sinks set timeline = 'another'`)
	w.sql(t, `update tactus.outbox set xid = (`+xids+`)::text::xid8`, xid)
	return open, run
}

const insertRun = `
with s as (select * from tactus.schedules where name = 'q'),
r as (
    insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
    select gen_random_uuid(), id, now(), 'manual', 'due', version from s returning *
)
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'run', r.id, 1, 'run.due', tactus.run_due(s.id, s.name, s.task, r.id, r.due_at, r.kind) from s, r
returning aggregate_id::text`

// TestRunningNumber restores a log on another server, where an open transaction has the number of some of its rows, or
// of all. Restored rows are published at once, whatever their number, and those of the transaction when it commits.
func TestRunningNumber(t *testing.T) {
	t.Parallel()
	for name, xids := range map[string]string{
		"of some":        `$1::bigint - position % 3`,
		"of all":         `$1::bigint`,
		"and still ones": `$1::bigint + position % 7`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stop := w.carry(t, w.events(), w.tasks(t))
			w.put(t, "a", 20)
			tasks := w.fire(t, "q", 20)
			w.awaitEvents(t)
			w.awaitTasks(t, "q", tasks)
			stop()
			open, run := w.restored(t, xids)
			w.carry(t, w.events(), w.tasks(t))
			w.put(t, "a", 3)
			tasks = append(tasks, w.fire(t, "q", 3)...)
			w.awaitEvents(t)
			w.awaitTasks(t, "q", tasks)
			if err := open.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.awaitEvents(t)
			w.awaitTasks(t, "q", append(tasks, run))
			if _, followed := w.follow(t); !slices.ContainsFunc(slices.Collect(maps.Values(followed)), func(data string) bool {
				return strings.Contains(data, `"name":"late"`)
			}) {
				t.Error("what was committed late is not in the stream")
			}
		})
	}
}

// TestForgetsAtOnce has sinks whose newest batch has lost a row. No relay serves them until they are forgotten, which
// is possible at once.
func TestForgetsAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.events(), w.tasks(t))
	w.put(t, "a", 3)
	tasks := w.fire(t, "q", 3)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", tasks)
	stop()
	w.sql(t, `update tactus.relay_batches set row_count = row_count + 1 where number = 1`)
	w.sql(t, `update tactus.relay_sinks set opened = 1, confirmed_batch = 1, confirmed_place = 0`)
	w.sql(t, `delete from tactus.relay_batches where number > 1`)
	for _, key := range []string{redis.EventStream, "{" + redis.EventStream + "}:sink", "tactus:sink:" + taskSink} {
		w.redis.Del(t.Context(), key)
	}
	w.sql(t, `update tactus.runs set status = 'succeeded', finished_at = now()`)
	r, _ := w.relay(t, relay.Config{}, w.events(), w.tasks(t))
	for i, sink := range []string{eventSink, taskSink} {
		testenv.Eventually(t, "the alarm", func() error {
			if p := r.Stats()[i].Problem; p == nil || !strings.Contains(p.Error(), "was cut with") {
				return fmt.Errorf("%v", p)
			}
			return nil
		})
		testenv.Eventually(t, "forgotten", func() error { return ledger.Forget(t.Context(), w.pool, sink, 20*time.Minute) })
	}
	w.put(t, "a", 3)
	tasks = append(tasks, w.fire(t, "q", 3)...)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", tasks)
	if err := ledger.Forget(t.Context(), w.pool, eventSink, 20*time.Minute); !errors.Is(err, ledger.ErrServed) {
		t.Errorf("a sink that is served again: %v", err)
	}
}

// TestLargeNumbers has a sink with batch numbers beyond 2^31, as after a foreign ID of milliseconds. Epochs begin all
// the same.
func TestLargeNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const large = int64(1) << 41
	events := w.events()
	to := relay.Mark{Epoch: "stranger's", Last: relay.ID{Batch: large, Seq: large}}
	other := w.otherTasks(t)
	for _, sink := range []relay.Sink{events.Sink, other} {
		if err := sink.Begin(t.Context(), relay.Mark{}, to); err != nil {
			t.Fatal(err)
		}
	}
	tasks := w.tasks(t)
	tasks.Name, tasks.Sink = "other", other
	for range 3 {
		stop := w.carry(t, events, tasks)
		w.put(t, "a", 3)
		w.fire(t, "q", 2)
		w.awaitEvents(t)
		testenv.Eventually(t, "tasks", func() error {
			if w.number(t, `select count(*) from tactus.runs where status = 'due'`) > 0 {
				return errNotYet
			}
			return nil
		})
		stop()
		w.sql(t, `update tactus.relay_sinks set timeline = 'another'`)
	}
	if n := w.number(t, `select min(number) from tactus.relay_batches`); n <= large {
		t.Errorf("batch %d is behind the sink", n)
	}
}

// TestPutBackOnTheSameTimeline puts the volume back to a state before the last batches while a relay sleeps, and lets
// other relays cut further ones. The sleeping relay cuts nothing behind its old batch.
func TestPutBackOnTheSameTimeline(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.events())
	w.put(t, "a", 5)
	w.awaitEvents(t)
	stop()
	life, err := ledger.ReadState(t.Context(), w.pool, eventSink)
	if err != nil {
		t.Fatal(err)
	}
	asleep := life.Reader(w.pool, eventSink, outbox.Schedules, testenv.Patience)
	w.sql(t, `create table kept as select * from tactus.relay_batches`)
	w.put(t, "a", 1)
	k, cut, err := asleep.Next(t.Context(), life.Newest, false)
	if err != nil || !cut {
		t.Fatalf("%v, %v", cut, err)
	}
	nothing := func(what string) {
		t.Helper()
		if b, cut, err := asleep.Next(t.Context(), k, false); cut || !errors.Is(err, ledger.ErrNotCut) {
			t.Errorf("%s: %+v, %v", what, b, err)
		}
		if b, cut, err := asleep.Again(t.Context(), k, outbox.Nothing, time.Now()); cut || err != nil {
			t.Errorf("%s: again: %+v, %v", what, b, err)
		}
	}
	w.sql(t, `truncate tactus.relay_batches`)
	w.sql(t, `insert into tactus.relay_batches select * from kept`)
	w.put(t, "b", 2)
	nothing("put back")
	w.carry(t, w.events())
	w.put(t, "c", 2)
	w.awaitEvents(t)
	w.put(t, "c", 2)
	w.awaitEvents(t)
	nothing("others have cut")
}
