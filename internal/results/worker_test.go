package results

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/revoke"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// shop is a site with a broker, a worker, and a collector of the worker's results.
type shop struct {
	site
	client *redis.Client
}

func newShop(t *testing.T, args ...string) shop {
	t.Helper()
	app, err := os.ReadFile("testdata/app.py")
	if err != nil {
		t.Fatal(err)
	}
	broker := testenv.RedisServer(t, nil)
	s := shop{newSite(t), testenv.Client(t, broker.URL(0))}
	start(t, s.collector(t, s.client, s.client, Config{}))
	testenv.Worker(t, servers.CeleryConfig{App: string(app), BrokerURL: broker.URL(0), Args: args})
	return s
}

// send hands a run over as the relay does.
func (s shop) send(t *testing.T, task domain.Task) domain.ID {
	t.Helper()
	schedule := s.schedule(t, domain.Definition{IgnoreResult: task.IgnoreResult})
	id := s.run(t, schedule, domain.Sent, 0)
	run := domain.DueRun{ScheduleID: schedule, RunID: id, DueAt: time.Now(), HandedOver: time.Now(), Task: task}
	if task.ExpiresSeconds > 0 {
		run.HandedOver = run.HandedOver.Add(-time.Hour)
	}
	to, text, err := celery.Encode(run, uuid.NewString(), celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.LPush(t.Context(), to.Key, text).Err(); err != nil {
		t.Fatal(err)
	}
	return id
}

func args(text string) json.RawMessage { return json.RawMessage(text) }

// TestWhatWorkersAnswer follows runs on a worker that sends events: the result is in the key, and the rest is in the
// events.
func TestWhatWorkersAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t, "--events")
	t.Run("succeeded", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.echo", Args: args(`["値"]`), Kwargs: args(`{"a": null}`)})
		s.await(t, id, domain.Succeeded)
		testenv.Eventually(t, "the worker is told", func() error { return s.hasWorker(t, id) })
		if r := s.row(t, id); withoutBlanks(t, r.Result) != `{"args":["値"],"kwargs":{"a":null}}` || !r.Started ||
			!r.Finished {
			t.Errorf("%+v", r)
		}
	})
	t.Run("failed", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.fail", Args: args(`["bad 値"]`)})
		if r := s.await(t, id, domain.Failed); r.Err != "ValueError: bad 値" || r.Result != "" {
			t.Errorf("%+v", r)
		}
		if trace := s.traceback(t, id); !strings.HasPrefix(trace, "Traceback") || !strings.Contains(trace, "in fail") {
			t.Errorf("traceback: %s", trace)
		}
	})
	t.Run("not registered", func(t *testing.T) {
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.nobody"}),
			domain.Failed); r.Err != "NotRegistered: app.nobody" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("expired", func(t *testing.T) {
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.echo", ExpiresSeconds: 60}),
			domain.Expired); r.Err != "TaskRevokedError: expired" || r.Reason != "" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("retrying, then succeeded", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.again"})
		if r := s.await(t, id, domain.Retrying); !strings.Contains(r.Err, "no file") || r.Finished {
			t.Errorf("%+v", r)
		}
		if r := s.await(t, id, domain.Succeeded); r.Result != "1" || r.Err != "" || s.traceback(t, id) != "" {
			t.Errorf("%+v", r)
		}
		if detail, err := catalog.New(s.pool).RunDetail(t.Context(), id); err != nil || detail.Attempts != 2 {
			t.Errorf("%d attempts, %v", detail.Attempts, err)
		}
	})
	t.Run("started", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.wait", Args: args(`["go"]`)})
		if r := s.await(t, id, domain.Started); !strings.HasPrefix(r.Worker, "celery@") || !r.Started {
			t.Errorf("%+v", r)
		}
		behind := s.send(t, domain.Task{TaskName: "app.echo"})
		if got := s.cancel(t, behind, false); got.Outcome != revoke.Told {
			t.Errorf("cancelled behind another: %+v", got)
		}
		s.client.RPush(t.Context(), "go", 1)
		s.await(t, id, domain.Succeeded)
		if r := s.await(t, behind, domain.Revoked); !strings.HasPrefix(r.Err, "TaskRevokedError: ") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("cancelled while it runs", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.wait", Args: args(`["never"]`)})
		s.await(t, id, domain.Started)
		if got := s.cancel(t, id, true); got.Outcome != revoke.Told {
			t.Errorf("%+v", got)
		}
		s.await(t, id, domain.Revoked)
		if got := s.cancel(t, id, true); got.Outcome != revoke.Finished {
			t.Errorf("once more: %+v", got)
		}
	})
	t.Run("killed by its time limit", func(t *testing.T) {
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.slow", TimeLimitSeconds: 1}),
			domain.Failed); !strings.HasPrefix(r.Err, "TimeLimitExceeded") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("ended by its soft time limit", func(t *testing.T) {
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.slow", SoftTimeLimitSeconds: 1}),
			domain.Failed); !strings.HasPrefix(r.Err, "SoftTimeLimitExceeded") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("without a result", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.echo", IgnoreResult: true})
		if r := s.await(t, id, domain.Succeeded); r.Result != `"{'args': [], 'kwargs': {}}"` &&
			r.Result != `"{'args': (), 'kwargs': {}}"` {
			t.Errorf("%+v", r)
		}
	})
	t.Run("ignored", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.ignore"})
		if r := s.await(t, id, domain.Unknown); !strings.Contains(r.Reason, "Ignore") || !r.Finished {
			t.Errorf("%+v", r)
		}
	})
	t.Run("what JSON does not have", func(t *testing.T) {
		id := s.send(t, domain.Task{TaskName: "app.odd"})
		if r := s.await(t, id, domain.Succeeded); withoutBlanks(t, r.Result) != `["NaN","Infinity","-Infinity",null]` {
			t.Errorf("%+v", r)
		}
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.nothing"}), domain.Succeeded); r.Result != "null" {
			t.Errorf("%+v", r)
		}
	})
	t.Run("rejected", func(t *testing.T) {
		if r := s.await(t, s.send(t, domain.Task{TaskName: "app.reject"}),
			domain.Failed); r.Err != "rejected by the task" {
			t.Errorf("%+v", r)
		}
	})
}

// TestWhatWorkersAnswerWithoutEvents follows runs on a worker that sends no events. The keys have everything but the
// worker's name.
func TestWhatWorkersAnswerWithoutEvents(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if r := s.await(t, s.send(t, domain.Task{TaskName: "app.echo"}), domain.Succeeded); r.Worker != "" {
		t.Errorf("%+v", r)
	}
	id := s.send(t, domain.Task{TaskName: "app.wait", Args: args(`["go"]`)})
	if r := s.await(t, id, domain.Started); !strings.HasPrefix(r.Worker, "celery@") {
		t.Errorf("%+v", r)
	}
	s.client.RPush(t.Context(), "go", 1)
	s.await(t, id, domain.Succeeded)
	s.await(t, s.send(t, domain.Task{TaskName: "app.fail", Args: args(`["no"]`)}), domain.Failed)
}

// cancel cancels a run, and tells its workers.
func (s shop) cancel(t *testing.T, id domain.ID, terminate bool) revoke.Cancelled {
	t.Helper()
	done, err := revoke.Cancel(t.Context(), s.pool, revoke.Order{IDs: []domain.ID{id}, Terminate: terminate})
	if err != nil || len(done) != 1 {
		t.Fatal(done, err)
	}
	teller := revoke.Teller{Pool: s.pool, Broker: s.client, Prefix: "/0.", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if _, err := teller.Tell(t.Context()); err != nil {
		t.Fatal(err)
	}
	return done[0]
}

func (s shop) hasWorker(t *testing.T, id domain.ID) error {
	if r := s.row(t, id); !strings.HasPrefix(r.Worker, "celery@") {
		return errors.New("no worker")
	}
	return nil
}

func (s shop) traceback(t *testing.T, id domain.ID) (text string) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select coalesce(traceback, '') from tactus.runs where id = $1`,
		id).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// withoutBlanks writes JSON without blanks.
func withoutBlanks(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}
