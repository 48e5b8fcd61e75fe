package relay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// putIn puts a schedule in a transaction that the caller commits.
func putIn(t *testing.T, tx pgx.Tx, name string) {
	t.Helper()
	if _, err := outbox.Put(t.Context(), tx, domain.Definition{Name: name, CronExpression: "* * * * *", TaskName: "app.task"}); err != nil {
		t.Fatal(err)
	}
}

// TestOpenTransactionsDelayNobody holds a write transaction and a prepared one open. All other events pass, and theirs
// come when they commit.
func TestOpenTransactionsDelayNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.events())
	w.put(t, "before", 1)
	conn, err := pgx.Connect(t.Context(), w.pool.Config().ConnString())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	late, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	putIn(t, late, "late")
	prepared, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	putIn(t, prepared, "prepared")
	name := fmt.Sprintf("relay_%d", time.Now().UnixNano())
	if _, err := conn.Exec(t.Context(), "prepare transaction '"+name+"'"); err != nil {
		t.Fatal(err)
	}
	w.put(t, "others", 5)
	if report := w.awaitEvents(t); report.StreamEntries != 6 {
		t.Errorf("%+v", report)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "commit prepared '"+name+"'"); err != nil {
		t.Fatal(err)
	}
	if report := w.awaitEvents(t); report.StreamEntries != 8 {
		t.Errorf("%+v", report)
	}
}

// TestPostgresCrashes kills the whole server while events are carried.
func TestPostgresCrashes(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	w := at(t, testenv.Connect(t, url), testenv.Redis(t))
	at(t, testenv.Connect(t, url), w.redis).carry(t, w.events(), w.tasks(t))
	var all []string
	for range 3 {
		w.put(t, "a", 5)
		all = append(all, w.fire(t, "q", 5)...)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.pool.Reset() // these writers' connections are gone
	}
	w.put(t, "a", 5)
	w.awaitEvents(t)
	w.awaitTasks(t, "q", all)
	if n := w.number(t, `select count(distinct epoch) from tactus.relay_batches`); n != 2 {
		t.Errorf("%d epochs of two sinks: a crash begins none", n)
	}
}

// TestRedisIsFull lets Redis run out of memory in the middle of publishing. Nothing is set aside because of that.
func TestRedisIsFull(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"maxmemory": "3mb", "maxmemory-policy": "noeviction"})
	w := at(t, testenv.Database(t), testenv.Client(t, server.URL(0)))
	w.sql(t, `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', gen_random_uuid(), 1, 'schedule.created', json_build_object('description', repeat('x', 2000)) from generate_series(1, 3000)`)
	r, _ := w.relay(t, relay.Config{}, w.events())
	testenv.Eventually(t, "no memory", func() error {
		if p := r.Stats()[0].Problem; p == nil || !strings.Contains(p.Error(), "OOM") {
			return fmt.Errorf("%v", p)
		}
		return nil
	})
	if err := w.redis.ConfigSet(t.Context(), "maxmemory", "100mb").Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "all of it", func() error {
		if n := w.redis.XLen(t.Context(), redis.EventStream).Val(); n != 3000 {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	if n := w.number(t, `select count(*) from tactus.deadletters`); n != 0 {
		t.Errorf("%d are set aside", n)
	}
}

// TestForeignEntry appends a foreign entry with a higher ID to the stream.
func TestForeignEntry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.events())
	w.put(t, "a", 3)
	w.awaitEvents(t)
	if err := w.redis.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, Values: []string{"who", "a stranger"}}).Err(); err != nil {
		t.Fatal(err)
	}
	w.put(t, "a", 3)
	w.awaitEvents(t)
}

// TestAnswersAreLost loses the answers to commands that have run: they are not run again.
func TestAnswersAreLost(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	w := at(t, testenv.Database(t), testenv.Client(t, url))
	proxy, through := testenv.Through(t, url)
	far, err := redis.Connect(through + "?read_timeout=300ms")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	events, tasks := w.events(), w.tasks(t)
	events.Sink = redis.NewEventSink(far, redis.EventConfig{})
	if tasks.Sink, err = redis.NewTaskSink(far, taskSink); err != nil {
		t.Fatal(err)
	}
	r, _ := w.relay(t, relay.Config{}, events, tasks)
	var all []string
	for round := range 3 {
		proxy.BlackHole(testenv.ToClient)
		w.put(t, "a", 5)
		all = append(all, w.fire(t, "q", 5)...)
		testenv.Eventually(t, "answers lost", func() error {
			for _, s := range r.Stats() {
				if s.Failures < int64(round+1) {
					return errNotYet
				}
			}
			return nil
		})
		proxy.Reset()
		proxy.Heal()
		w.awaitEvents(t)
		w.awaitTasks(t, "q", all)
	}
}

// TestRowsGone checks that a sink stops if rows of its batch are gone.
func TestRowsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.events())
	w.put(t, "a", 4)
	w.awaitEvents(t)
	w.put(t, "b", 1) // a batch of its own, which is empty afterwards
	w.awaitEvents(t)
	stop()
	w.sql(t, `delete from tactus.outbox where position = (select max(position) from tactus.outbox)`)
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	r, _ := w.relay(t, relay.Config{}, w.events())
	testenv.Eventually(t, "the alarm", func() error {
		if p := r.Stats()[0].Problem; p == nil || !strings.Contains(p.Error(), "was cut with") {
			return fmt.Errorf("%v", p)
		}
		return nil
	})
}
