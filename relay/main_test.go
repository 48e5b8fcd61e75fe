package relay_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

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

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a log, and the servers that it is carried to.
type world struct {
	pool  *pgxpool.Pool
	redis *goredis.Client
	store *outbox.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return at(t, testenv.Database(t), testenv.Redis(t))
}

func at(t testing.TB, pool *pgxpool.Pool, client *goredis.Client) *world {
	t.Helper()
	return &world{pool, client, outbox.NewStore(pool, "", handover.Limits{}.Check)}
}

const (
	eventSink = "events"
	taskSink  = "celery"
)

// events returns the route of schedule events to the stream.
func (w *world) events() relay.Route {
	return relay.Route{
		Name: eventSink, Topic: outbox.Schedules, Sink: redis.NewEventSink(w.redis, redis.EventConfig{}),
		Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}
}

// tasks returns the route of runs to Celery's lists.
func (w *world) tasks(t testing.TB) relay.Route {
	t.Helper()
	sink, err := redis.NewTaskSink(w.redis, taskSink)
	if err != nil {
		t.Fatal(err)
	}
	return relay.Route{
		Name: taskSink, Topic: outbox.Runs, Sink: sink, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}
}

// carry runs a relay until stop is called, or the test ends.
func (w *world) carry(t testing.TB, routes ...relay.Route) (stop func()) {
	t.Helper()
	_, stop = w.relay(t, relay.Config{}, routes...)
	return stop
}

func (w *world) relay(t testing.TB, cfg relay.Config, routes ...relay.Route) (r *relay.Relay, stop func()) {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	r, err := relay.New(w.pool, routes, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return r, stop
}

func (w *world) put(t testing.TB, name string, changes int) {
	t.Helper()
	for range changes {
		d := domain.Definition{Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task", Description: rand.Text()}
		if _, _, err := w.store.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitEvents waits until every event is in the stream, once and in order.
func (w *world) awaitEvents(t testing.TB) *verify.Report {
	t.Helper()
	var report *verify.Report
	testenv.Eventually(t, "every event in the stream", func() (err error) {
		report, err = verify.Run(t.Context(), w.pool, w.redis, verify.Config{Stream: redis.EventStream, Sink: eventSink})
		if err == nil && (report.Found > int64(len(wentBack(report))) || report.Unpublished > 0) {
			err = fmt.Errorf("%+v", report)
		}
		return err
	})
	return report
}

// wentBack returns what a report says about lost ends of the log.
func wentBack(report *verify.Report) (told []string) {
	for _, p := range report.Problems {
		if p.Kind == verify.LogWentBack {
			told = append(told, p.Message)
		}
	}
	return told
}

func (w *world) sql(t testing.TB, text string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func (w *world) number(t testing.TB, text string, args ...any) (n int64) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), text, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return n
}

func (w *world) epoch(t testing.TB, sink string) (epoch string) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), `select epoch from tactus.relay_sinks where sink = $1`, sink).Scan(&epoch); err != nil {
		t.Fatal(err)
	}
	return epoch
}

var errNotYet = errors.New("not yet")

// ids returns the IDs of all entries of the event stream.
func (w *world) ids(t testing.TB) (all []string) {
	t.Helper()
	entries, err := w.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.ID)
	}
	return all
}

func sameEntry(a, b goredis.XMessage) bool {
	return a.ID == b.ID && fmt.Sprint(a.Values) == fmt.Sprint(b.Values)
}
