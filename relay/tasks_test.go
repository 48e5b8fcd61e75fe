package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// fire makes manual runs of a schedule, and creates the schedule if needed.
func (w *world) fire(t testing.TB, name string, runs int) (ids []string) {
	t.Helper()
	d := domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app.task", Queue: name}
	s, _, err := w.store.Put(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	for range runs {
		id, err := w.store.Trigger(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String())
	}
	return ids
}

// handed returns the tasks in a queue, in the order in which a worker takes them.
func (w *world) handed(t testing.TB, queue string) (ids []string) {
	t.Helper()
	all, err := w.redis.LRange(t.Context(), queue, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	for _, text := range all {
		var m struct{ Headers struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.Headers.ID)
	}
	return ids
}

// awaitTasks waits until a queue has exactly these tasks, and their runs are recorded as sent.
func (w *world) awaitTasks(t testing.TB, queue string, want []string) {
	t.Helper()
	testenv.Eventually(t, "tasks in the queue", func() error {
		if got := w.handed(t, queue); !slices.Equal(got, want) {
			return fmt.Errorf("queue %s has %d tasks, want %d: %v, want %v", queue, len(got), len(want), got, want)
		}
		if n := w.number(t, `select count(*) from tactus.runs where status = 'due' and id = any($1::text[]::uuid[])`, want); n > 0 {
			return fmt.Errorf("%d of them are still due", n)
		}
		return nil
	})
}

// awaitAgain is awaitTasks for tasks that several relays have handed over again, in any order: each relay writes the
// events of those runs whose rows it has locked first.
func (w *world) awaitAgain(t testing.TB, queue string, want []string) {
	t.Helper()
	testenv.Eventually(t, "tasks in the queue", func() error {
		got, wanted := slices.Sorted(slices.Values(w.handed(t, queue))), slices.Sorted(slices.Values(want))
		if !slices.Equal(got, wanted) {
			return fmt.Errorf("queue %s has the tasks %v, want %v", queue, got, wanted)
		}
		if n := w.number(t, `select count(*) from tactus.runs where status = 'due' and id = any($1::text[]::uuid[])`, want); n > 0 {
			return fmt.Errorf("%d of them are still due", n)
		}
		return nil
	})
}

func TestTasksAreHandedOverOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := w.fire(t, "q", 3)
	stop := w.carry(t, w.tasks(t))
	w.carry(t, w.tasks(t))
	all = append(all, w.fire(t, "q", 700)...)
	w.awaitTasks(t, "q", all)
	stop()
	w.carry(t, w.tasks(t))
	all = append(all, w.fire(t, "q", 1)...)
	w.awaitTasks(t, "q", all)
}

// TestBrokerLosesTasks flushes the broker: only tasks that are not known to have started come again, with the same task
// ids.
func TestBrokerLosesTasks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.tasks(t))
	w.carry(t, w.tasks(t))
	all := w.fire(t, "q", 6)
	w.awaitTasks(t, "q", all)
	w.sql(t, `update tactus.runs set status = 'started' where id::text = $1`, all[0])
	w.sql(t, `update tactus.runs set status = 'succeeded', finished_at = now() where id::text = $1`, all[1])
	w.sql(t, `update tactus.runs set expires_at = now() - interval '1 second' where id::text = $1`, all[2])
	w.sql(t, `update tactus.outbox set occurred_at = now() - interval '2 hours' where aggregate_id::text = $1`, all[3])
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.awaitAgain(t, "q", all[4:])
	if n := w.number(t, `select count(*) from tactus.runs where redelivered = 1 and id::text = any ($1)`, all[4:]); n != 2 {
		t.Errorf("%d runs are counted as handed over again", n)
	}
	if n := w.number(t, `select sum(redelivered) from tactus.runs`); n != 2 {
		t.Errorf("%d times something was handed over again", n)
	}
	later := w.fire(t, "q", 2)
	w.awaitAgain(t, "q", append(all[4:], later...))
	if n := w.number(t, `select count(*) from tactus.relay_batches where kind = 'again'`); n != 1 {
		t.Errorf("%d batches hand over again", n)
	}
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.awaitAgain(t, "q", append(all[4:], later...))
}

// TestRepeatedLossesAreBounded makes the broker lose its data, and its mark alone, again and again. A run is handed
// over again after each loss while it is young, counted from its firing; the events that hand it over again do not make
// it young.
func TestRepeatedLossesAreBounded(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(context.Context, *goredis.Client) error{
		"all": func(ctx context.Context, c *goredis.Client) error { return c.FlushDB(ctx).Err() },
		"the tail": func(ctx context.Context, c *goredis.Client) error {
			return c.HSet(ctx, "tactus:sink:"+taskSink, "last", "1-1").Err()
		},
		"the mark": func(ctx context.Context, c *goredis.Client) error { return c.Del(ctx, "tactus:sink:"+taskSink).Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.carry(t, w.tasks(t))
			first := w.fire(t, "q", 1)
			w.awaitTasks(t, "q", first)
			all := w.fire(t, "q", 3)
			w.awaitTasks(t, "q", append(first, all...))
			old, young := all[0], all[1:]
			again := func(times int64) {
				t.Helper()
				if err := lose(t.Context(), w.redis); err != nil {
					t.Fatal(err)
				}
				testenv.Eventually(t, "the young are handed over again", func() error {
					if n := w.number(t, `select count(*) from tactus.runs where redelivered = $1 and status = 'sent' and id::text = any ($2)`, times, young); n != 2 {
						return fmt.Errorf("%d are", n)
					}
					return nil
				})
			}
			again(1)
			w.sql(t, `update tactus.runs set fired_at = fired_at - interval '2 hours' where id::text = $1`, old)
			again(2)
			again(3)
			if n := w.number(t, `select redelivered from tactus.runs where id::text = $1`, old); n != 1 {
				t.Errorf("a run that fired two hours ago is handed over %d times more", n)
			}
			if n := w.number(t, `select count(*) from tactus.outbox where topic = 'run'`); n > 4+4+3+3 {
				t.Errorf("there are %d events of runs", n)
			}
		})
	}
}

// TestExpiryCountsFromHandingOver hands over a run that has waited for a relay for longer than its time to expire, and
// hands runs over again. The first one expires as long after being handed over as any other, and message and row always
// have the same expiry.
func TestExpiryCountsFromHandingOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	began := w.clock(t)
	s, err := w.store.Create(t.Context(), domain.Definition{CronExpression: "0 0 1 1 *", TaskName: "app.task", Queue: "q", ExpiresSeconds: 1200}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 {
		id, err := w.store.Trigger(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id.String())
	}
	w.sql(t, `update tactus.runs set fired_at = fired_at - interval '40 min', expires_at = expires_at - interval '40 min' where id::text = $1`, ids[0])
	w.sql(t, `update tactus.outbox set occurred_at = occurred_at - interval '40 min' where aggregate_id::text = $1`, ids[0])
	w.carry(t, w.tasks(t))
	w.awaitTasks(t, "q", ids)
	ended := w.clock(t)
	w.expire(t, "q", began.Add(20*time.Minute), ended.Add(20*time.Minute))
	w.sql(t, `update tactus.runs set expires_at = expires_at - interval '10 min'`)
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.awaitTasks(t, "q", ids)
	w.expire(t, "q", began.Add(10*time.Minute), ended.Add(10*time.Minute))
}

// clock returns PostgreSQL's time.
func (w *world) clock(t testing.TB) (now time.Time) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), `select clock_timestamp()`).Scan(&now); err != nil {
		t.Fatal(err)
	}
	return now
}

// expire checks that the messages of all tasks in a queue have the expiry of their rows, which lies between two
// instants.
func (w *world) expire(t testing.TB, queue string, from, to time.Time) {
	t.Helper()
	all, err := w.redis.LRange(t.Context(), queue, 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range all {
		var m struct {
			Headers struct {
				ID      string
				Expires time.Time
			}
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		var row time.Time
		if err := w.pool.QueryRow(t.Context(), `select expires_at from tactus.runs where id::text = $1`, m.Headers.ID).Scan(&row); err != nil {
			t.Fatal(err)
		}
		if !m.Headers.Expires.Equal(row) || row.Before(from) || row.After(to) {
			t.Errorf("run %s expires at %s, not from %s to %s; its message says %s", m.Headers.ID, row, from, to, m.Headers.Expires)
		}
	}
}

// TestBrokerLosesItsMark deletes only the sink's own key, as an eviction does, or spoils the mark in it. Waiting tasks
// come at most twice.
func TestBrokerLosesItsMark(t *testing.T) {
	t.Parallel()
	const key = "tactus:sink:" + taskSink
	for name, lose := range map[string]func(context.Context, *goredis.Client) error{
		"deleted":    func(ctx context.Context, c *goredis.Client) error { return c.Del(ctx, key).Err() },
		"unreadable": func(ctx context.Context, c *goredis.Client) error { return c.HSet(ctx, key, "last", "garbage").Err() },
		"too large": func(ctx context.Context, c *goredis.Client) error {
			return c.HSet(ctx, key, "last", "1-99999999999999999999").Err()
		},
		"negative": func(ctx context.Context, c *goredis.Client) error { return c.HSet(ctx, key, "last", "-1-5").Err() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			losesItsMark(t, lose)
		})
	}
}

func losesItsMark(t *testing.T, lose func(context.Context, *goredis.Client) error) {
	t.Helper()
	w := newWorld(t)
	w.carry(t, w.tasks(t))
	all := w.fire(t, "q", 3)
	w.awaitTasks(t, "q", all)
	w.sql(t, `update tactus.runs set status = 'succeeded', finished_at = now()`)
	if err := lose(t.Context(), w.redis); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the loss noticed", func() error {
		if w.number(t, `select count(*) from tactus.relay_batches where kind = 'again'`) == 0 {
			return errNotYet
		}
		return nil
	})
	later := w.fire(t, "q", 2)
	w.awaitTasks(t, "q", append(all, later...))
}

// TestTasksDoNotComeAgainInANewEpoch changes the identity of the server, and restores the database. No task comes
// again, and runs that were made meanwhile are handed over.
func TestTasksDoNotComeAgainInANewEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.tasks(t))
	all := w.fire(t, "q", 3)
	w.awaitTasks(t, "q", all)
	for _, change := range []string{
		`update tactus.relay_sinks set timeline = 'another'`,
		`delete from tactus.relay_batches where number = (select max(number) from tactus.relay_batches)`,
		`update tactus.relay_sinks set epoch = 'unknown to the sink', opened = 1`,
	} {
		stop()
		w.sql(t, change)
		before := w.epoch(t, taskSink)
		all = append(all, w.fire(t, "q", 2)...)
		stop = w.carry(t, w.tasks(t))
		all = append(all, w.fire(t, "q", 2)...)
		w.awaitTasks(t, "q", all)
		if w.epoch(t, taskSink) == before {
			t.Errorf("%s: no new epoch", change)
		}
	}
}

// TestUnencodableRun has a run that cannot be encoded: it is set aside, and all others go on.
func TestUnencodableRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	route := w.tasks(t)
	encode := route.Encode
	var bad string
	route.Encode = func(row outbox.Row, epoch string) (*message.Message, error) {
		if row.Aggregate.String() == bad {
			return nil, fmt.Errorf("it is bad")
		}
		return encode(row, epoch)
	}
	all := w.fire(t, "q", 5)
	bad = all[2]
	w.carry(t, route)
	w.awaitTasks(t, "q", slices.Concat(all[:2], all[3:]))
	var reason, status, problem string
	if err := w.pool.QueryRow(t.Context(), `
select d.reason, r.status, r.error from tactus.deadletters d join tactus.runs r on d.reference = r.id || '/1' where source = $1`, taskSink).Scan(&reason, &status, &problem); err != nil {
		t.Fatal(err)
	}
	if reason != "it is bad" || status != "failed" || problem != "it could not be handed over: it is bad" {
		t.Errorf("%s, %s, %s", reason, status, problem)
	}
}

// TestQueueOfTheWrongType has a message, 250 of 500, whose queue is a key of another type.
func TestQueueOfTheWrongType(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.redis.Set(t.Context(), "bad", "not a list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	all := w.fire(t, "q", 249)
	w.fire(t, "bad", 1)
	all = append(all, w.fire(t, "q", 250)...)
	stop := w.carry(t, w.tasks(t))
	w.awaitTasks(t, "q", all)
	if n := w.number(t, `select count(*) from tactus.deadletters where source = $1 and reason like '%WRONGTYPE%'`, taskSink); n != 1 {
		t.Errorf("%d are set aside", n)
	}
	stop()
	w.carry(t, w.tasks(t))
	all = append(all, w.fire(t, "q", 1)...)
	w.awaitTasks(t, "q", all)
}

// interrupted is a sink whose relay dies as soon as a refused entry was set aside.
type interrupted struct {
	relay.Sink
	refused bool
}

func (s *interrupted) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if s.refused {
		<-ctx.Done()
		return at, ctx.Err()
	}
	now, err := s.Sink.Append(ctx, at, entries)
	_, s.refused = errors.AsType[*relay.Refused](err)
	return now, err
}

// TestSetAsideStaysAside lets a relay die between setting a run aside and moving the sink past it. Even if the cause is
// mended meanwhile, the run is not handed over, because somebody may put it back.
func TestSetAsideStaysAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.redis.Set(t.Context(), "bad", "not a list", 0).Err(); err != nil {
		t.Fatal(err)
	}
	all := w.fire(t, "q", 2)
	stop := w.carry(t, w.tasks(t))
	w.awaitTasks(t, "q", all)
	stop()
	w.fire(t, "bad", 1)
	all = append(all, w.fire(t, "q", 2)...)
	route := w.tasks(t)
	route.Sink = &interrupted{Sink: route.Sink}
	stop = w.carry(t, route)
	testenv.Eventually(t, "set aside", func() error {
		if w.number(t, `select count(*) from tactus.deadletters`) == 0 {
			return errNotYet
		}
		return nil
	})
	stop()
	w.redis.Del(t.Context(), "bad")
	w.carry(t, w.tasks(t))
	w.awaitTasks(t, "q", all)
	if ids := w.handed(t, "bad"); len(ids) != 0 {
		t.Errorf("handed over: %v", ids)
	}
}

// otherTasks returns a second sink of tasks.
func (w *world) otherTasks(t testing.TB) relay.Sink {
	t.Helper()
	sink, err := redis.NewTaskSink(w.redis, "other")
	if err != nil {
		t.Fatal(err)
	}
	return sink
}

// nothing is the encoder of a sink that no row is for.
func nothing(outbox.Row, string) (*message.Message, error) { return nil, nil }
