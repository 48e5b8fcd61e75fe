package outage

import (
	"bytes"
	"context"
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
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a schedule that is due every second, with all the processes that serve it.
type world struct {
	*testing.T
	pool  *pgxpool.Pool
	redis *goredis.Client
	store *outbox.Store
	relay *relay.Relay
	api   string
	told  *log // the beat's log
	began time.Time
	tick  domain.Schedule
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	w := &world{T: t, pool: testenv.Connect(t, url), redis: testenv.Redis(t), told: &log{also: t.Output()}, began: time.Now()}
	w.store = outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	w.tick = w.put("tick")
	broker, err := redis.NewTaskSink(w.redis, "celery")
	if err != nil {
		t.Fatal(err)
	}
	w.relay, err = relay.New(w.pool, []relay.Route{
		{
			Name: "events", Topic: outbox.Schedules, Sink: redis.NewEventSink(w.redis, redis.EventConfig{}),
			Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
		},
		{
			Name: "celery", Topic: outbox.Runs, Sink: broker, Tasks: true, Redeliver: time.Hour,
			Encode: func(row outbox.Row, epoch string) (*message.Message, error) {
				return redis.EncodeRun(row, epoch, celery.Config{})
			},
		},
	}, relay.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	b, err := beat.New(w.pool, nil, beat.Config{Name: "one", Log: slog.New(slog.NewTextHandler(w.told, nil))})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(w.pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	w.api = server.URL + "/api/v1/schedules"
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.relay.Run(ctx) })
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		server.Close()
	})
	w.fires(2)
	return w
}

func (w *world) put(name string) domain.Schedule {
	w.Helper()
	s, _, err := w.store.Put(w.Context(), domain.Definition{Name: name, IntervalSeconds: 1, TaskName: "app.task"})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// fires waits until n more tasks are in the queue.
func (w *world) fires(n int64) {
	w.Helper()
	before, err := w.redis.LLen(w.Context(), "celery").Result()
	if err != nil {
		w.Fatal(err)
	}
	testenv.Eventually(w, "the beat fires", func() error {
		now, err := w.redis.LLen(w.Context(), "celery").Result()
		if err == nil && now < before+n {
			err = fmt.Errorf("there are %d tasks, want %d", now, before+n)
		}
		return err
	})
}

// says waits until relay, beat and API have each reported a reason.
func (w *world) says(reason, code string) {
	w.Helper()
	testenv.Eventually(w, "each process reports  "+reason, func() error {
		if !strings.Contains(w.told.String(), reason) {
			return fmt.Errorf("the beat's log: %s", w.told)
		}
		for _, s := range w.relay.Stats() {
			if s.Problem != nil && strings.Contains(s.Problem.Error(), reason) {
				return w.refused(code)
			}
		}
		return fmt.Errorf("the relay is at %+v", w.relay.Stats())
	})
}

// refused triggers the schedule, and checks that the API refuses with a reason.
func (w *world) refused(code string) error {
	response, err := http.Post(w.api+"/"+w.tick.ID.String()+"/trigger", "application/json", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), `"`+code+`"`)) {
		err = fmt.Errorf("the API answers %s %s", response.Status, body)
	}
	return err
}

// recovered waits until all works again and nothing is lost.
func (w *world) recovered() {
	w.Helper()
	w.fires(3)
	config := verify.Config{Stream: redis.EventStream, Sink: "events", Window: &verify.Window{From: w.began, To: time.Now(), Late: time.Second}}
	testenv.Eventually(w, "nothing is lost", func() error {
		r, err := verify.Run(w.Context(), w.pool, w.redis, config)
		if err == nil && (r.Found > 0 || r.Unpublished > 0 || r.DueTimes < 3) {
			err = fmt.Errorf("%+v", r)
		}
		return err
	})
	testenv.Eventually(w, "every sink is served", func() error {
		for _, s := range w.relay.Stats() {
			if s.Problem != nil {
				return fmt.Errorf("%s: %w", s.Sink, s.Problem)
			}
		}
		return nil
	})
}

func (w *world) sql(text string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), text, args...); err != nil {
		w.Fatalf("%s: %v", text, err)
	}
}

// log collects log lines.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
	also io.Writer
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	return l.also.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
