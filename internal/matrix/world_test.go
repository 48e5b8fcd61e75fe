package matrix

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// world is a database and a Redis. The test connects to them directly, and the tested programs through proxies.
type world struct {
	*testing.T
	pool   *pgxpool.Pool
	store  *outbox.Store
	client *goredis.Client

	postgres, redis *testenv.Proxy
	farPool         *pgxpool.Pool
	far             *outbox.Store
	farClient       goredis.UniversalClient
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t}
	database, events := testenv.DatabaseURL(t), testenv.RedisURL(t)
	w.pool, w.client = testenv.Connect(t, database), testenv.Client(t, events)
	w.store = outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	var through string
	w.postgres, through = testenv.Through(t, database)
	w.farPool = oneConnection(t, through)
	w.far = outbox.NewStore(w.farPool, "", handover.Limits{}.Check)
	w.redis, through = testenv.Through(t, events)
	client, err := redis.Connect(through)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	w.farClient = client
	return w
}

// oneConnection returns a pool on which a statement is one request that contains the statement's text: nothing is
// prepared, and statements that need a description have been described before the row's effect.
func oneConnection(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns, cfg.ConnConfig.DefaultQueryExecMode = 1, pgx.QueryExecModeExec
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// events returns the route of schedule events.
func (w *world) events() relay.Route {
	return relay.Route{
		Name: "events", Topic: outbox.Schedules, Sink: redis.NewEventSink(w.farClient, redis.EventConfig{}),
		Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}
}

// tasks returns the route of runs.
func (w *world) tasks() relay.Route {
	w.Helper()
	sink, err := redis.NewTaskSink(w.farClient, "celery")
	if err != nil {
		w.Fatal(err)
	}
	return relay.Route{
		Name: "celery", Topic: outbox.Runs, Sink: sink, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}
}

// relay starts a relay, and waits until everything is published.
func (w *world) relay(routes ...relay.Route) (stop func()) {
	w.Helper()
	stop = w.start(routes...)
	w.verify()
	return stop
}

func (w *world) start(routes ...relay.Route) (stop func()) {
	w.Helper()
	r, err := relay.New(w.farPool, routes, relay.Config{Log: w.log()})
	if err != nil {
		w.Fatal(err)
	}
	return w.run(func(ctx context.Context) error {
		r.Run(ctx)
		return nil
	})
}

// beat starts a beat with its feed, and waits until it leads.
func (w *world) beat() (*beat.Beat, *redis.Feed) {
	w.Helper()
	feed, err := redis.NewFeed(w.farClient, redis.EventStream, "one", w.log())
	if err != nil {
		w.Fatal(err)
	}
	b, err := beat.New(w.farPool, feed, beat.Config{Name: "one", Log: w.log()})
	if err != nil {
		w.Fatal(err)
	}
	w.run(b.Run)
	w.await("a leader", func() bool { return b.Stats().Leader })
	return b, feed
}

// run runs a function until the returned function is called or the test ends.
func (w *world) run(do func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := do(ctx); err != nil {
			w.Error(err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	w.Cleanup(stop)
	return stop
}

func (w *world) log() *slog.Logger { return slog.New(slog.NewTextHandler(w.Output(), nil)) }

func definition(name string) domain.Definition {
	return domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app." + name, Queue: "q"}
}

func (w *world) put(store *outbox.Store, name string) domain.Schedule {
	w.Helper()
	s, _, err := store.Put(w.Context(), definition(name))
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// fire fires a run of a schedule by hand.
func (w *world) fire(name string) {
	w.Helper()
	if _, err := w.store.Trigger(w.Context(), w.put(w.store, name).ID); err != nil {
		w.Fatal(err)
	}
}

// secondly makes a schedule that is due every second.
func (w *world) secondly() domain.Schedule {
	w.Helper()
	s, err := w.store.Create(w.Context(), domain.Definition{
		IntervalSeconds: 1, TaskName: "app.task", Queue: "q", MisfirePolicy: domain.MisfireAll,
	}, "", nil)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) runs(s domain.Schedule) int {
	w.Helper()
	return w.count(`select count(*) from tactus.runs where schedule_id = $1`, s.ID)
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), sql, args...).Scan(&n); err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) entries() int64 {
	w.Helper()
	n, err := w.client.XLen(w.Context(), redis.EventStream).Result()
	if err != nil {
		w.Fatal(err)
	}
	return n
}

func (w *world) queue() []string {
	w.Helper()
	all, err := w.client.LRange(w.Context(), "q", 0, -1).Result()
	if err != nil {
		w.Fatal(err)
	}
	return all
}

var errNotYet = errors.New("not yet")

func (w *world) await(what string, condition func() bool) {
	w.Helper()
	testenv.Eventually(w, what, func() error {
		if !condition() {
			return errNotYet
		}
		return nil
	})
}

// verify waits until all is published, and checks that no event is lost, twice or out of order.
func (w *world) verify() {
	w.Helper()
	testenv.Eventually(w, "verify finds no problem", func() error {
		report, err := verify.Run(w.Context(), w.pool, w.client, verify.Config{Stream: redis.EventStream, Sink: "events"})
		if err == nil && (report.Found > 0 || report.Unpublished > 0) {
			err = fmt.Errorf("%+v", report)
		}
		return err
	})
}
