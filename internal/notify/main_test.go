package notify_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) {
	notify.Hurry()
	testenv.Main(m)
}

// world is a database with a service that sends notifications of what happens in it.
type world struct {
	*testing.T
	pool  *pgxpool.Pool
	redis *goredis.Client
	store *outbox.Store
	rules *notify.Store
	logs  *logs
}

// logs keeps what was logged.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// newWorld starts the service, which may connect to the given private networks.
func newWorld(t *testing.T, allStates bool, private ...string) *world {
	t.Helper()
	return newWorldOn(t, testenv.Database(t), allStates, private...)
}

func newWorldOn(t *testing.T, pool *pgxpool.Pool, allStates bool, private ...string) *world {
	t.Helper()
	w := &world{
		T: t, pool: pool, redis: testenv.Redis(t), rules: notify.NewStore(pool), logs: &logs{},
		store: outbox.NewStore(pool, "UTC", func(domain.Task) error { return nil }),
	}
	allowed, err := notify.ParsePrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.logs, nil))
	courier := notify.NewCourier(pool, notify.NewPublisher(allowed), log, prometheus.NewRegistry())
	var wanted *bool
	if allStates {
		wanted = &allStates
	}
	service, err := notify.NewService(pool, courier, notify.Config{
		Log: log, AllStates: wanted,
		Stream: relay.Route{
			To: "a stream", Sink: redis.NewEventSink(w.redis, redis.EventConfig{Stream: "tactus:runs"}),
			Announce: cloudevents.EpochStarted,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { service.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// rule makes a rule.
func (w *world) rule(name, body string) (secret string) {
	w.Helper()
	r, s, err := domain.DecodeNotificationRule(name, []byte(body))
	if err != nil {
		w.Fatal(err)
	}
	_, _, secret, err = w.rules.Put(w.Context(), r, s, 0)
	if err != nil {
		w.Fatal(err)
	}
	return secret
}

// schedule makes a schedule that does not fire by itself.
func (w *world) schedule(name string, tags ...string) domain.ID {
	w.Helper()
	s, err := w.store.Create(w.Context(), domain.Definition{
		Name: name, TaskName: "app." + name,
		CronExpression: "0 0 1 1 *", Tags: tags,
	}, "", nil)
	if err != nil {
		w.Fatal(err)
	}
	return s.ID
}

// ends inserts a new run of a schedule, as one that has ended.
const ends = `
with ended as (
    insert into tactus.runs as r (id, schedule_id, due_at, slot, kind, status, schedule_version, error, finished_at)
    select $1, $2, clock_timestamp(), $1, 'manual', $3, 1, nullif($4, ''), clock_timestamp() returning r as happened
),` + sqlexpr.Tell + `ended` + sqlexpr.Told + ` select`

func (w *world) ends(schedule domain.ID, status, err string) (run domain.ID) {
	w.Helper()
	run = outbox.NewID()
	if _, failed := w.pool.Exec(w.Context(), ends, run, schedule, status, err); failed != nil {
		w.Fatal(failed)
	}
	return run
}

// got is a request that a receiver was sent.
type got struct {
	method, path, body string
	header             http.Header
}

// data is the content of a notification.
type data struct {
	Rule       string
	Test       bool
	Count      int
	Summary    string
	Happenings []struct {
		What         string
		ScheduleName string `json:"schedule_name"`
		RunID        string `json:"run_id"`
		Error        string
	}
}

func (g got) data(t *testing.T) data {
	t.Helper()
	var sent struct{ Data data }
	if err := json.Unmarshal([]byte(g.body), &sent); err != nil {
		t.Fatalf("%v: %s", err, g.body)
	}
	return sent.Data
}

// receiver is a destination.
type receiver struct {
	url string
	all chan got
}

// receive starts a destination that answers each request by calling answer, with the request's number n.
func receive(t *testing.T, answer func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	t.Helper()
	r := &receiver{all: make(chan got, 1000)}
	var mu sync.Mutex
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		mu.Lock()
		n++
		nth := n
		mu.Unlock()
		r.all <- got{request.Method, request.URL.String(), string(body), request.Header}
		if answer != nil {
			answer(nth, w, request)
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// next awaits a request.
func (r *receiver) next(t *testing.T) got {
	t.Helper()
	select {
	case g := <-r.all:
		return g
	case <-time.After(time.Minute):
		t.Fatal("nothing was sent")
		return got{}
	}
}
