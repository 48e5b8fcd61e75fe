package poison

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/results"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const (
	queue = "q"
	tasks = "celery" // the sink

	notices = "notices" // the channel that tells of events
)

// world has everything that reads rows, over a database and a Redis of its own.
type world struct {
	*testing.T
	pool  *pgxpool.Pool
	redis *goredis.Client
	store *outbox.Store
	box   *deadletter.Box

	admin  *goredis.Client // whom Redis denies nothing; in a matrixWorld only
	logger *slog.Logger    // the test's own unless set
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, testenv.Database(t))
}

func newWorldOn(t *testing.T, pool *pgxpool.Pool) *world {
	t.Helper()
	w := &world{T: t, pool: pool, redis: testenv.Redis(t)}
	w.store = outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	w.box = &deadletter.Box{Pool: w.pool, Redis: w.redis, Stream: redis.EventStream, Events: w.events(), Tasks: []string{tasks}, Lease: time.Hour}
	return w
}

func (w *world) log() *slog.Logger {
	if w.logger != nil {
		return w.logger
	}
	return slog.New(slog.NewTextHandler(w.Output(), nil))
}

func (w *world) events() relay.Route {
	return relay.Route{
		Name: "events", Topic: outbox.Schedules, Sink: redis.NewEventSink(w.redis, redis.EventConfig{Channel: notices}),
		Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}
}

// run runs something until the function that it returns is called, or the test ends.
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

func (w *world) relay() (stop func()) {
	w.Helper()
	sink, err := redis.NewTaskSink(w.redis, tasks)
	if err != nil {
		w.Fatal(err)
	}
	r, err := relay.New(w.pool, []relay.Route{w.events(), {
		Name: tasks, Topic: outbox.Runs, Sink: sink, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}}, relay.Config{Log: w.log()})
	if err != nil {
		w.Fatal(err)
	}
	return w.run(func(ctx context.Context) error {
		r.Run(ctx)
		return nil
	})
}

func (w *world) beat(config beat.Config) (stop func()) {
	w.Helper()
	config.Name, config.Log = "one", w.log()
	b, err := beat.New(w.pool, nil, config)
	if err != nil {
		w.Fatal(err)
	}
	return w.run(b.Run)
}

func (w *world) collect() (stop func()) {
	w.Helper()
	c, err := results.New(w.pool, w.redis, nil, w.log(), results.Config{Every: 100 * time.Millisecond})
	if err != nil {
		w.Fatal(err)
	}
	return w.run(c.Run)
}

func (w *world) put(d domain.Definition) domain.Schedule {
	w.Helper()
	s, _, err := w.store.Put(w.Context(), d)
	if err != nil {
		w.Fatalf("%s: %v", d.Name, err)
	}
	return s
}

func (w *world) sql(text string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), text, args...); err != nil {
		w.Fatalf("%s: %v", text, err)
	}
}

func (w *world) count(sql string, args ...any) (n int) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), sql, args...).Scan(&n); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return n
}

// await waits until a query counts so many.
func (w *world) await(what string, want int, sql string, args ...any) {
	w.Helper()
	testenv.Eventually(w, what, func() error {
		if got := w.count(sql, args...); got != want {
			return fmt.Errorf("%d, want %d", got, want)
		}
		return nil
	})
}

// awaitQueue waits until so many messages are in the workers' queue.
func (w *world) awaitQueue(what string, want int) {
	w.Helper()
	testenv.Eventually(w, what, func() error {
		got, err := w.redis.LLen(w.Context(), queue).Result()
		if err == nil && int(got) != want {
			err = fmt.Errorf("%d messages, want %d", got, want)
		}
		return err
	})
}

// verify returns what the checker finds once everything is published.
func (w *world) verify() (r *verify.Report) {
	w.Helper()
	testenv.Eventually(w, "all is published", func() (err error) {
		r, err = verify.Run(w.Context(), w.pool, w.redis, verify.Config{Stream: redis.EventStream, Sink: "events"})
		if err == nil && r.Unpublished > 0 {
			err = fmt.Errorf("%d are not", r.Unpublished)
		}
		return err
	})
	return r
}

// get reads from the API.
func (w *world) get(path string, into any) {
	w.Helper()
	w.request(http.MethodGet, path, "", http.StatusOK, into)
}

// request asks the API, and fails unless the answer has that status. into may be nil.
func (w *world) request(method, path, body string, status int, into any) {
	w.Helper()
	server := httptest.NewServer(api.New(w.pool, "UTC", w.log(), celery.Config{}))
	defer server.Close()
	request, err := http.NewRequestWithContext(w.Context(), method, server.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status {
		w.Fatalf("%s: %s, %v: %.500s", path, response.Status, err, text)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(text, into); err != nil {
		w.Fatalf("%s: %v: %.500s", path, err, text)
	}
}
