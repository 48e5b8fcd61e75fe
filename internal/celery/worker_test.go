package celery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// lab is a broker, with or without a worker.
type lab struct {
	broker *servers.Redis
	client *redis.Client
}

func newLab(t *testing.T) lab {
	t.Helper()
	broker := testenv.RedisServer(t, nil)
	return lab{broker, testenv.Client(t, broker.URL(0))}
}

// work starts a worker with one process.
func (l lab) work(t *testing.T, queues ...string) *servers.Celery {
	t.Helper()
	app, err := os.ReadFile("testdata/app.py")
	if err != nil {
		t.Fatal(err)
	}
	return testenv.Worker(t, servers.CeleryConfig{App: string(app), BrokerURL: l.broker.URL(0), Queues: queues, Args: []string{"--events"}})
}

// push hands over a task as a run that is due and handed over now, unless the run says otherwise.
func (l lab) push(t *testing.T, run domain.DueRun) domain.DueRun {
	t.Helper()
	run.ScheduleID, run.RunID = domain.ID(uuid.New()), domain.ID(uuid.New())
	if run.DueAt.IsZero() {
		run.DueAt = time.Now()
	}
	if run.HandedOver.IsZero() {
		run.HandedOver = time.Now()
	}
	to, text, err := celery.Encode(run, uuid.NewString(), celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.client.LPush(t.Context(), to.Key, text).Err(); err != nil {
		t.Fatal(err)
	}
	return run
}

// result waits for the final result of a run.
func (l lab) result(t *testing.T, run domain.DueRun) (r celery.Result) {
	t.Helper()
	testenv.Eventually(t, "the result of "+run.TaskName, func() error {
		text, err := l.client.Get(t.Context(), celery.ResultPrefix+run.RunID.String()).Bytes()
		if err != nil {
			return err
		}
		if r, err = celery.ParseResult(text); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if r.Status == celery.Retry {
			return errors.New("the task will be retried")
		}
		return nil
	})
	if r.TaskID != run.RunID.String() || time.Since(r.DoneAt).Abs() > time.Hour {
		t.Errorf("the result of %s: %+v", run.RunID, r)
	}
	return r
}

func TestWorkerRunsWhatWeSend(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	events := l.listen(t)
	worker := l.work(t, "celery", "never.declared")
	for name, test := range map[string]func(*testing.T, lab){
		"arguments arrive":        argumentsArrive,
		"escapes arrive":          escapesArrive,
		"a queue of its own":      queueOfItsOwn,
		"what self.request shows": requestShows,
		"what fails":              failures,
		"retried, then done":      retriedThenDone,
		"a result of NaN":         resultOfNaN,
		"a future expiry":         futureExpiry,
	} {
		t.Run(name, func(t *testing.T) { test(t, l) })
	}
	t.Run("ignored results", func(t *testing.T) { ignoredResult(t, l, events) })
	t.Run("events", func(t *testing.T) { eventsTell(t, l, events) })
	select {
	case <-worker.Ended():
		t.Error("the worker has exited")
	default:
	}
}

func argumentsArrive(t *testing.T, l lab) {
	for _, c := range []struct{ args, kwargs string }{
		{`[]`, `{}`},
		{``, ``},
		{`[1, -0.5, 1e100, 1.0, 12345678901234567890, true, null, ""]`, `{}`},
		{`["ラーメン 🍜 é ' \" \\ \n \u0000 <&>"]`, `{"名前": "ラーメン", "emoji": "🍜", "nested": {"a": [1, 2.5, null, true, {}, []]}}`},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), `{"n": ` + strings.Repeat("9", 4300) + `}`},
		{`["` + strings.Repeat("long ", 100000) + `"]`, `{}`},
	} {
		r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.echo", Args: raw(c.args), Kwargs: raw(c.kwargs)}}))
		if r.Status != celery.Success {
			t.Errorf("%.100s: %s %s", c.args, r.Status, r.Exception)
			continue
		}
		if c.args == "" {
			c.args, c.kwargs = "[]", "{}"
		}
		want, got := numbers(t, "["+c.args+","+c.kwargs+"]"), numbers(t, strings.ReplaceAll(string(r.Value), "1e+100", "1e100"))
		if !reflect.DeepEqual(want, got) { // cmp takes exponential time for what is deep
			t.Errorf("sent %.500v, arrived %.500v", want, got)
		}
	}
}

// numbers decodes JSON, keeping numbers as they are written.
func numbers(t *testing.T, text string) (value any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func queueOfItsOwn(t *testing.T, l lab) {
	if r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.echo", Queue: "never.declared"}})); r.Status != celery.Success {
		t.Errorf("%s %s", r.Status, r.Exception)
	}
}

const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

func requestShows(t *testing.T, l lab) {
	run := l.push(t, domain.DueRun{DueAt: time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC), HandedOver: time.Date(2026, 1, 2, 3, 4, 15, 6789, time.UTC), ScheduleName: "nightly", TraceParent: traceParent, Task: domain.Task{
		TaskName: "app.request", Priority: new(4), TimeLimitSeconds: 300, SoftTimeLimitSeconds: 200, Shadow: "shown", ExpiresSeconds: 1e9,
		Headers: map[string]json.RawMessage{
			"x_own":   raw(`{"a": [1, "é"]}`),
			"x_limit": raw(strings.Repeat("[", 100) + strings.Repeat("9", 4300) + strings.Repeat("]", 100)), // harms nobody
		},
	}})
	id := run.RunID.String()
	want := object{
		"id": id, "root_id": id, "parent_id": nil, "correlation_id": id, "reply_to": "", "timelimit": []any{300., 200.}, "ignore_result": false,
		"shadow": "shown", "expires": "2057-09-10T04:50:55.000006+00:00", "eta": nil, "origin": "tactus", "retries": 0.,
		"delivery_info":      object{"exchange": "", "routing_key": "celery", "priority": 4., "redelivered": nil},
		"periodic_task_name": "nightly", "properties.periodic_task_name": "nightly", "x_own": object{"a": []any{1., "é"}},
		"traceparent":          traceParent,
		"x-tactus-schedule-id": run.ScheduleID.String(), "x-tactus-run-id": id, "x-tactus-due-at": "2026-01-02T03:04:05.000006+00:00",
	}
	if diff := cmp.Diff(want, l.request(t, run)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

// request returns what app.request has recorded of a run.
func (l lab) request(t *testing.T, run domain.DueRun) (seen object) {
	t.Helper()
	noted, err := l.client.BLPop(t.Context(), testenv.Patience, "request:"+run.RunID.String()).Result()
	if err != nil {
		t.Fatalf("the task has not run: %v", err)
	}
	if err := json.Unmarshal([]byte(noted[1]), &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}

func failures(t *testing.T, l lab) {
	failed := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.fail", Args: raw(`["bad 値"]`)}}))
	if want := (celery.Exception{Type: "ValueError", Module: "builtins", Message: "bad 値"}); failed.Status != celery.Failure || failed.Exception != want {
		t.Errorf("failed: %+v", failed)
	}
	if !strings.HasPrefix(failed.Traceback, "Traceback") || !strings.Contains(failed.Traceback, "ValueError: bad 値") {
		t.Errorf("traceback: %s", failed.Traceback)
	}
	unknown := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.nobody.has.it"}}))
	if unknown.Status != celery.Failure || unknown.Exception.String() != "NotRegistered: app.nobody.has.it" {
		t.Errorf("unknown task: %+v", unknown)
	}
	misfit := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.fail", Kwargs: raw(`{"no": "such"}`)}}))
	if misfit.Status != celery.Failure || misfit.Exception.Type != "TypeError" {
		t.Errorf("arguments that do not fit: %+v", misfit)
	}
}

func retriedThenDone(t *testing.T, l lab) {
	if r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.again"}})); r.Status != celery.Success || string(r.Value) != "1" {
		t.Errorf("%+v", r)
	}
}

func resultOfNaN(t *testing.T, l lab) {
	if r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.nan"}})); r.Status != celery.Success || string(r.Value) != `"NaN"` {
		t.Errorf("%+v", r)
	}
}

func futureExpiry(t *testing.T, l lab) {
	if r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.echo", ExpiresSeconds: 3600}})); r.Status != celery.Success {
		t.Errorf("%+v", r)
	}
}

// listener receives the events of the workers.
type listener struct {
	sub   *redis.PubSub
	heard []celery.Event
}

func (l lab) listen(t *testing.T) *listener {
	t.Helper()
	sub := l.client.PSubscribe(t.Context(), "/0.celeryev/*")
	t.Cleanup(func() { _ = sub.Close() })
	if _, err := sub.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &listener{sub: sub}
}

// await waits for an event of a run.
func (l *listener) await(t *testing.T, kind string, run domain.DueRun) celery.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testenv.Patience)
	defer cancel()
	for {
		for _, e := range l.heard {
			if e.Type == kind && e.TaskID == run.RunID.String() {
				return e
			}
		}
		m, err := l.sub.ReceiveMessage(ctx)
		if err != nil {
			t.Fatalf("wait for %s: %v", kind, err)
		}
		events, err := celery.ParseEvents([]byte(m.Payload))
		if err != nil {
			t.Fatalf("%v: %s", err, m.Payload)
		}
		l.heard = append(l.heard, events...)
	}
}

func ignoredResult(t *testing.T, l lab, events *listener) {
	run := l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.request", IgnoreResult: true}})
	if seen := l.request(t, run); seen["ignore_result"] != true {
		t.Errorf("ignore_result: %v", seen["ignore_result"])
	}
	events.await(t, "task-succeeded", run)
	if n := l.client.Exists(t.Context(), celery.ResultPrefix+run.RunID.String()).Val(); n != 0 {
		t.Error("there is a result, want none")
	}
}

func eventsTell(t *testing.T, l lab, events *listener) {
	run := l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.echo", Args: raw(`[1]`), Kwargs: raw(`{"a": "é"}`), ExpiresSeconds: 600}})
	received := events.await(t, "task-received", run)
	if received.Name != "app.echo" || received.Args != "[1]" || received.Kwargs != "{'a': 'é'}" || received.RootID != run.RunID.String() || received.Expires == "" {
		t.Errorf("received: %+v", received)
	}
	started, succeeded := events.await(t, "task-started", run), events.await(t, "task-succeeded", run)
	if succeeded.Result != "[(1,), {'a': 'é'}]" && succeeded.Result != "[[1], {'a': 'é'}]" || succeeded.Runtime <= 0 || succeeded.Hostname != received.Hostname {
		t.Errorf("succeeded: %+v", succeeded)
	}
	if !(received.Clock < started.Clock && started.Clock < succeeded.Clock) || time.Since(succeeded.Time).Abs() > time.Hour {
		t.Errorf("out of order: %+v %+v %+v", received, started, succeeded)
	}
	failed := events.await(t, "task-failed", l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.fail", Args: raw(`["no"]`)}}))
	if failed.Exception != "ValueError('no')" || !strings.Contains(failed.Traceback, "ValueError: no") {
		t.Errorf("failed: %+v", failed)
	}
}

// TestWorkerFindsWhatWasSentBefore hands tasks over while no worker is up.
func TestWorkerFindsWhatWasSentBefore(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for _, priority := range []int{9, 5, 0} {
		for n := range 3 {
			args := raw(fmt.Sprintf(`["%d/%d"]`, priority, n))
			l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.note", Args: args, Priority: &priority}})
		}
	}
	expired := l.push(t, domain.DueRun{HandedOver: time.Now().Add(-time.Hour), Task: domain.Task{TaskName: "app.note", Args: raw(`["expired"]`), ExpiresSeconds: 60}})
	events := l.listen(t)
	l.work(t)
	want := []string{"0/0", "0/1", "0/2", "5/0", "5/1", "5/2", "9/0", "9/1", "9/2"}
	testenv.Eventually(t, "every task that has not expired runs", func() error {
		noted, err := l.client.LRange(t.Context(), "noted", 0, -1).Result()
		if err == nil && !slices.Equal(noted, want) {
			err = fmt.Errorf("tasks run: %v", noted)
		}
		return err
	})
	if r := l.result(t, expired); r.Status != celery.Revoked || !r.Expired() {
		t.Errorf("expired: %+v", r)
	}
	if e := events.await(t, "task-revoked", expired); !e.Expired || e.Terminated {
		t.Errorf("expired: %+v", e)
	}
	testenv.Eventually(t, "every message is acknowledged", func() error {
		n, err := l.client.HLen(t.Context(), "unacked").Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d messages are not acknowledged", n)
		}
		return err
	})
}
