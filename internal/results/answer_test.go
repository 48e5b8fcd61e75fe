package results

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/outbox"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
		t.Errorf("%s: want (-), got (+):\n%s", what, diff)
	}
}

func TestFromResult(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	for name, c := range map[string]struct {
		result celery.Result
		want   answer
	}{
		"success": {
			celery.Result{Status: celery.Success, Value: json.RawMessage(`{"a":1}`), DoneAt: noon, Worker: "w"},
			answer{
				status: domain.Succeeded, final: true, result: json.RawMessage(`{"a":1}`), finished: noon,
				worker: "w",
			},
		},
		"failure": {
			celery.Result{
				Status: celery.Failure, Exception: celery.Exception{Type: "E", Message: "no\x00\xff"},
				Traceback: "T", DoneAt: noon,
			},
			answer{status: domain.Failed, final: true, err: "E: no\ufffd\ufffd", traceback: "T", finished: noon},
		},
		"retry": {
			celery.Result{Status: celery.Retry, Exception: celery.Exception{Type: "E"}},
			answer{status: domain.Retrying, err: "E"},
		},
		"started": {
			celery.Result{Status: celery.Started, Value: json.RawMessage(`{"pid":1}`), Worker: "w"},
			answer{status: domain.Started, worker: "w"},
		},
		"own": {
			celery.Result{Status: "PROGRESS", Value: json.RawMessage(`{"done":10}`)},
			answer{status: domain.Started},
		},
		"revoked": {
			celery.Result{Status: celery.Revoked, Exception: celery.Exception{
				Type:    "TaskRevokedError",
				Message: "terminated",
			}},
			answer{status: domain.Revoked, final: true, err: "TaskRevokedError: terminated"},
		},
		"expired": {
			celery.Result{Status: celery.Revoked, Exception: celery.Exception{
				Type:    "TaskRevokedError",
				Message: "expired",
			}},
			answer{status: domain.Expired, final: true, err: "TaskRevokedError: expired"},
		},
	} {
		c.result.TaskID, c.want.run = id.String(), id
		got, ok := fromResult(c.result, noon)
		if !ok {
			t.Errorf("%s tells nothing", name)
		}
		equal(t, name, c.want, got)
	}
	if _, ok := fromResult(celery.Result{TaskID: "not a run's", Status: celery.Success}, noon); ok {
		t.Error("a task of others is taken for a run")
	}
}

func TestFromEvent(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	for _, c := range []struct {
		event celery.Event
		want  answer
	}{
		{celery.Event{Type: "task-started"}, answer{status: domain.Started, started: noon}},
		{
			celery.Event{Type: "task-retried", Exception: "E()", Traceback: "T"},
			answer{status: domain.Retrying, err: "E()", traceback: "T"},
		},
		{
			celery.Event{Type: "task-succeeded", Result: `{'a': "b"}`, Runtime: 1.5},
			answer{
				status: domain.Succeeded, final: true, result: json.RawMessage(`"{'a': \"b\"}"`),
				started: noon.Add(-1500 * time.Millisecond), finished: noon,
			},
		},
		{celery.Event{Type: "task-failed", Exception: "E()", Traceback: "T"}, answer{
			status: domain.Failed, final: true,
			err: "E()", traceback: "T", finished: noon,
		}},
		{celery.Event{Type: "task-revoked", Terminated: true}, answer{
			status: domain.Revoked, final: true, err: "TaskRevokedError: revoked",
			finished: noon,
		}},
		{celery.Event{Type: "task-revoked", Expired: true}, answer{
			status: domain.Expired, final: true, err: "TaskRevokedError: expired",
			finished: noon,
		}},
		{celery.Event{Type: "task-rejected"}, answer{
			status: domain.Failed, final: true, err: "rejected by the task",
			finished: noon,
		}},
	} {
		c.event.TaskID, c.event.Time, c.event.Hostname = id.String(), noon, "w"
		c.want.run, c.want.shown, c.want.worker = id, true, "w"
		got, ok := fromEvent(c.event, noon)
		if !ok {
			t.Errorf("%s tells nothing", c.event.Type)
		}
		equal(t, c.event.Type, c.want, got)
	}
	for _, e := range []celery.Event{
		{Type: "task-received"},
		{Type: "task-sent"},
		{Type: "worker-online"},
		{Type: "task-rejected", Requeue: true},
	} {
		e.TaskID = id.String()
		if a, ok := fromEvent(e, noon); ok {
			t.Errorf("%s tells %+v", e.Type, a)
		}
	}
}

// TestTimesThatCannotBe has events with impossible times. The times are left out; everything else of the events is
// kept.
func TestTimesThatCannotBe(t *testing.T) {
	t.Parallel()
	id := outbox.NewID()
	for _, text := range []string{
		`{"type":"task-succeeded","timestamp":1795521600000.5,"runtime":1}`,
		`{"type":"task-succeeded","timestamp":1e308,"runtime":1}`,
		`{"type":"task-succeeded","timestamp":1795700000,"runtime":1}`,
		`{"type":"task-succeeded","timestamp":-1,"runtime":1}`,
		`{"type":"task-failed","timestamp":0}`, `{"type":"task-started","timestamp":1795521600000}`,
	} {
		if a := eventAt(t, id, text); !a.started.IsZero() || !a.finished.IsZero() {
			t.Errorf("%s: started %s, finished %s", text, a.started, a.finished)
		}
	}
	for _, runtime := range []string{"1e308", "-1", "1e18", "9e9"} {
		text := `{"type":"task-succeeded","timestamp":1795521600,"runtime":` + runtime + `}`
		if a := eventAt(t, id, text); !a.started.IsZero() || a.finished.Unix() != 1795521600 {
			t.Errorf("%s: started %s, finished %s", text, a.started, a.finished)
		}
	}
	for _, done := range []string{
		"9999-12-31T23:59:59.999999-23:59", "9999-12-31T23:59:59", "1970-01-01T00:00:00Z",
		"2026-11-26T12:00:00Z",
	} {
		r, err := celery.ParseResult([]byte(`{"task_id":"` + id.String() +
			`","status":"SUCCESS","result":1,"date_done":"` + done + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		if a, ok := fromResult(r, noon); !ok || !a.finished.IsZero() || string(a.result) != "1" {
			t.Errorf("%s: %+v", done, a)
		}
	}
}

// eventAt returns the answer that a worker's event gives when it is heard at noon.
func eventAt(t *testing.T, id domain.ID, event string) answer {
	t.Helper()
	body := strings.Replace(event, "{", `{"uuid":"`+id.String()+`","hostname":"w",`, 1)
	envelope, err := json.Marshal(map[string]any{
		"body": body, "content-type": "application/json",
		"properties": map[string]string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	events, err := celery.ParseEvents(envelope)
	if err != nil || len(events) != 1 {
		t.Fatalf("%s: %v, %v", event, events, err)
	}
	a, ok := fromEvent(events[0], noon)
	if !ok {
		t.Errorf("%s tells nothing", event)
	}
	return a
}

func TestOursAreTheRunsOfTactus(t *testing.T) {
	t.Parallel()
	other, err := domain.ParseID("1d51d243-5ac5-40c9-8f5f-cc16073ab450")
	if err != nil {
		t.Fatal(err)
	}
	if !ours(outbox.NewID()) || ours(other) {
		t.Error("runs and other tasks are not told apart")
	}
}

// TestTogether merges the answers of two sources about one run, in both orders.
func TestTogether(t *testing.T) {
	t.Parallel()
	started := answer{status: domain.Started, shown: true, worker: "w", started: noon}
	event := answer{
		status: domain.Succeeded, final: true, shown: true, worker: "w", result: json.RawMessage(`"5"`),
		started: noon.Add(time.Second),
	}
	key := answer{status: domain.Succeeded, final: true, result: json.RawMessage(`5`), finished: noon.Add(time.Minute)}
	retried := answer{status: domain.Retrying, err: "E"}
	guess := answer{status: domain.Unknown, final: true, worker: "w", reason: "idle"}
	keyOfWorker := key
	keyOfWorker.worker = "w"
	all := key
	all.worker, all.started = "w", noon
	for name, c := range map[string]struct {
		heard []answer
		want  answer
	}{
		"in order":            {[]answer{started, key, event}, all},
		"the event first":     {[]answer{started, event, key}, all},
		"the start last":      {[]answer{key, started}, all},
		"a retry, then again": {[]answer{retried, started}, started},
		"a guess, then more":  {[]answer{guess, key}, keyOfWorker},
		"a guess too late":    {[]answer{key, guess}, keyOfWorker},
		"a guess":             {[]answer{guess, {status: domain.Started}}, guess},
		"a retry": {[]answer{started, retried}, answer{
			status: domain.Retrying, err: "E", worker: "w",
			started: noon,
		}},
	} {
		var g gathered
		for _, a := range c.heard {
			g.combine(a)
		}
		if len(g.all()) != 1 {
			t.Errorf("%s: %d answers of one run", name, len(g.all()))
		}
		equal(t, name, c.want, g.all()[0])
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	if got := clip("aé", 2); got != "a…" {
		t.Errorf("%q", got)
	}
	if got := clipFront("éa", 2); got != "…a" {
		t.Errorf("%q", got)
	}
	if got := clipJSON(json.RawMessage(`[1, "a"]`)); string(got) != `[1, "a"]` {
		t.Errorf("%s", got)
	}
	for _, long := range []string{`"` + strings.Repeat("x", maxResult) + `"`, strings.Repeat("[", 600) +
		strings.Repeat("]", 600)} {
		var kept struct {
			Truncated bool
			Bytes     int
			Head      string
		}
		if err := json.Unmarshal(clipJSON(json.RawMessage(long)), &kept); err != nil || !kept.Truncated ||
			kept.Bytes != len(long) || !strings.HasPrefix(long, kept.Head[:600]) {
			t.Errorf("%+v, %v", kept, err)
		}
	}
}
