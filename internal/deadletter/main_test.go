package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const tasks = "celery"

// world is a log, the Redis that it is published to, and a box of dead letters.
type world struct {
	*testing.T
	pool   *pgxpool.Pool
	redis  *goredis.Client
	store  *outbox.Store
	events relay.Route
	box    *deadletter.Box
}

func newWorld(t *testing.T) *world {
	t.Helper()
	pool, client := testenv.Database(t), testenv.Redis(t)
	events := relay.Route{
		Name: "events", Topic: outbox.Schedules, Sink: redis.NewEventSink(client, redis.EventConfig{}),
		Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}
	return &world{t, pool, client, outbox.NewStore(pool, "", handover.Limits{}.Check), events, &deadletter.Box{
		Pool: pool, Redis: client, Stream: redis.EventStream, Events: events, Tasks: []string{tasks}, Lease: time.Hour,
	}}
}

// carry runs the real relay until the function that it returns is called.
func (w *world) carry() (stop func()) {
	w.Helper()
	return w.carryTo(w.broker())
}

func (w *world) broker() relay.Sink {
	w.Helper()
	sink, err := redis.NewTaskSink(w.redis, tasks)
	if err != nil {
		w.Fatal(err)
	}
	return sink
}

func (w *world) carryTo(sink relay.Sink) (stop func()) {
	w.Helper()
	r, err := relay.New(w.pool, []relay.Route{w.events, {
		Name: tasks, Topic: outbox.Runs, Sink: sink, Tasks: true, Redeliver: time.Hour,
		Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
			return redis.EncodeRun(row, epoch, celery.Config{})
		},
	}}, relay.Config{Log: slog.New(slog.NewTextHandler(w.Output(), nil))})
	if err != nil {
		w.Fatal(err)
	}
	return w.run(r.Run)
}

func (w *world) run(do func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	var running sync.WaitGroup
	running.Go(func() { do(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	w.Cleanup(stop)
	return stop
}

func (w *world) put(name string, change ...func(*domain.Definition)) domain.Schedule {
	w.Helper()
	d := domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app.task", Queue: name}
	for _, c := range change {
		c(&d)
	}
	s, _, err := w.store.Put(w.Context(), d)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func describe(text string) func(*domain.Definition) {
	return func(d *domain.Definition) { d.Description = text }
}

func (w *world) trigger(s domain.Schedule) string {
	w.Helper()
	id, err := w.store.Trigger(w.Context(), s.ID)
	if err != nil {
		w.Fatal(err)
	}
	return id.String()
}

func (w *world) sql(text string, args ...any) {
	w.Helper()
	if tag, err := w.pool.Exec(w.Context(), text, args...); err != nil || tag.RowsAffected() == 0 {
		w.Fatalf("%s: %v, %v", text, tag, err)
	}
}

func (w *world) text(sql string, args ...any) (found string) {
	w.Helper()
	if err := w.pool.QueryRow(w.Context(), sql, args...).Scan(&found); err != nil {
		w.Fatalf("%s: %v", sql, err)
	}
	return found
}

// letters waits until there are n letters, and returns them.
func (w *world) letters(n int) (all []deadletter.Letter) {
	w.Helper()
	testenv.Eventually(w, fmt.Sprintf("%d letters", n), func() (err error) {
		all, err = w.box.List(w.Context(), deadletter.Filter{})
		if err == nil && len(all) != n {
			err = fmt.Errorf("the letters are %+v", all)
		}
		return err
	})
	return all
}

// retry puts letters back, and fails the test unless each has the given outcome.
func (w *world) retry(letters []deadletter.Letter, again bool, result string) {
	w.Helper()
	done, err := w.box.Retry(w.Context(), letters)
	if err != nil || len(done) != len(letters) {
		w.Fatalf("%d of %d: %v", len(done), len(letters), err)
	}
	for _, o := range done {
		if o.Again != again || !strings.Contains(o.Result, result) {
			w.Errorf("%s of %s: %v, %s", o.Reference, o.Source, o.Again, o.Result)
		}
	}
}

// handed returns the tasks in a queue, in the order in which a worker takes them.
func (w *world) handed(queue string) (ids []string) {
	w.Helper()
	all, err := w.redis.LRange(w.Context(), queue, 0, -1).Result()
	if err != nil {
		w.Fatal(err)
	}
	slices.Reverse(all)
	for _, text := range all {
		var m struct{ Headers struct{ ID string } }
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			w.Fatal(err)
		}
		ids = append(ids, m.Headers.ID)
	}
	return ids
}

func (w *world) awaitTasks(queue string, want ...string) {
	w.Helper()
	testenv.Eventually(w, "tasks in "+queue, func() error {
		if got := w.handed(queue); !slices.Equal(got, want) {
			return fmt.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// awaitEvents waits until every event is in the stream, once and in order, except for n that are set aside.
func (w *world) awaitEvents(aside int64) {
	w.Helper()
	testenv.Eventually(w, "every event in the stream", func() error {
		r, err := verify.Run(w.Context(), w.pool, w.redis, verify.Config{Stream: redis.EventStream, Sink: "events"})
		if err == nil && (r.Found > 0 || r.Unpublished > 0 || r.SetAside != aside) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
}

var errNotYet = errors.New("not yet")
