package celery_test

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/internal/celery"
)

// capturedEvents returns captured payloads by channel and type. The capture files hold the bodies decoded.
func capturedEvents(t *testing.T) map[string][]byte {
	t.Helper()
	var captures struct {
		First map[string]struct {
			Channel  string          `json:"channel"`
			Envelope object          `json:"envelope_without_body"`
			Body     json.RawMessage `json:"body_decoded"`
		} `json:"first_of_each"`
	}
	readJSON(t, "testdata/events.json", &captures)
	payloads := map[string][]byte{}
	for name, c := range captures.First {
		if !strings.HasPrefix(c.Channel, "/0.celeryev/") {
			continue
		}
		c.Envelope["body"] = base64.StdEncoding.EncodeToString(c.Body)
		text, err := json.Marshal(c.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := strings.Cut(name, " ")
		payloads[kind] = text
	}
	return payloads
}

func TestParseEventsCaptured(t *testing.T) {
	t.Parallel()
	payloads := capturedEvents(t)
	for kind, payload := range payloads {
		events, err := celery.ParseEvents(payload)
		if err != nil || len(events) != 1 || events[0].Type != kind || events[0].Hostname == "" || events[0].PID == 0 || events[0].Clock == 0 {
			t.Errorf("%s: %+v, %v", kind, events, err)
			continue
		}
		if age := time.Date(2026, 11, 23, 9, 10, 47, 0, time.UTC).Sub(events[0].Time).Abs(); age > time.Minute {
			t.Errorf("%s: time %s", kind, events[0].Time)
		}
		if (events[0].TaskID != "") != strings.HasPrefix(kind, "task-") {
			t.Errorf("%s: task %q", kind, events[0].TaskID)
		}
	}
	if len(payloads) != 10 {
		t.Errorf("%d types of events", len(payloads))
	}
}

func TestParseEventsKeepsWhatTheyTell(t *testing.T) {
	t.Parallel()
	const worker, micro = "w1@lab", int64(time.Microsecond)
	at := func(micros int64) time.Time { return time.Unix(1795425047, micros*micro).UTC() }
	payloads := capturedEvents(t)
	for kind, want := range map[string]celery.Event{
		"task-received": {
			Hostname: worker, PID: 16977, Clock: 2, Time: at(20314), TaskID: "1d51d243-5ac5-40c9-8f5f-cc16073ab450", RootID: "1d51d243-5ac5-40c9-8f5f-cc16073ab450",
			Name: "lab.add", Args: "[2, 3]", Kwargs: "{}",
		},
		"task-started":   {Hostname: worker, PID: 16977, Clock: 10, Time: at(46849), TaskID: "d12b38e4-a21b-42bb-9253-ae60165f00d4"},
		"task-succeeded": {Hostname: worker, PID: 16977, Clock: 18, Time: at(85954), TaskID: "5ff26e5b-b590-4b9c-b11a-1090b40e899f", Result: "14", Runtime: 6.117400005223317e-05},
		"task-failed":    {Hostname: worker, PID: 16977, Clock: 11, Time: at(56361), TaskID: "8f3c568c-a95f-485f-b4dc-ce31fb6ffb42", Exception: "NotRegistered('lab.nope')"},
		"task-revoked":   {Hostname: worker, PID: 16977, Clock: 6, Time: at(35213), TaskID: "05e9e220-0207-45de-8e3e-5af73096de6b", Expired: true},
	} {
		want.Type = kind
		got, err := celery.ParseEvents(payloads[kind])
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if diff := cmp.Diff([]celery.Event{want}, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", kind, diff)
		}
	}
	beat, err := celery.ParseEvents(payloads["worker-heartbeat"])
	if err != nil || beat[0].Heartbeat == nil || *beat[0].Heartbeat != (celery.Heartbeat{Every: 2, Active: 1, Processed: 5}) {
		t.Errorf("worker-heartbeat: %+v, %v", beat, err)
	}
	retried, err := celery.ParseEvents(payloads["task-retried"])
	if err != nil || retried[0].Exception != "RuntimeError('again')" || !strings.HasSuffix(retried[0].Traceback, "Retry in 1s: RuntimeError('again')\n") {
		t.Errorf("task-retried: %+v, %v", retried, err)
	}
}

// envelope wraps a body as workers do.
func envelope(body string) []byte {
	return []byte(`{"body":"` + base64.StdEncoding.EncodeToString([]byte(body)) + `","content-type":"application/json","properties":{"body_encoding":"base64"}}`)
}

func TestParseEventsOfSeveral(t *testing.T) {
	t.Parallel()
	events, err := celery.ParseEvents(envelope(`[{"type":"a"}, {"type":7}, {"uuid":"without type"}, {"type":"b","retries":null}]`))
	kinds := []string{}
	for _, e := range events {
		kinds = append(kinds, e.Type)
	}
	if want := []string{"a", "b"}; !slices.Equal(kinds, want) || err == nil {
		t.Errorf("got %v, %v", kinds, err)
	}
	if events, err := celery.ParseEvents(envelope(" [] ")); err != nil || len(events) != 0 {
		t.Errorf("an empty list: %v, %v", events, err)
	}
}

// TestParseEventsInPart has members of other types than theirs: what else the event says is kept.
func TestParseEventsInPart(t *testing.T) {
	t.Parallel()
	events, err := celery.ParseEvents(envelope(
		`[{"type":"task-failed","traceback":["a"],"uuid":"u","retries":"one","exception":"E()","clock":1e300},{"type":"b"}]`))
	if want := []celery.Event{{Type: "task-failed", TaskID: "u", Exception: "E()"}, {Type: "b"}}; !cmp.Equal(events, want) ||
		err == nil {
		t.Errorf("%+v, %v", events, err)
	}
	for _, lacking := range []string{`"freq":2,"active":0`, `"freq":2,"processed":0`, `"active":0,"processed":0`} {
		events, err := celery.ParseEvents(envelope(`{"type":"worker-heartbeat",` + lacking + `}`))
		if err != nil || len(events) != 1 || events[0].Heartbeat != nil {
			t.Errorf("%s: %+v, %v", lacking, events, err)
		}
	}
}

func TestParseEventsRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null", "[]", `{"body":"e30="}`, `{"body":"?","content-type":"application/json","properties":{"body_encoding":"base64"}}`,
		`{"body":"e30=","content-type":"application/x-msgpack","properties":{"body_encoding":"base64"}}`,
		string(envelope("")), string(envelope("{}")), string(envelope("[1]")), string(envelope("[")), string(envelope("7")),
	} {
		if events, err := celery.ParseEvents([]byte(text)); err == nil {
			t.Errorf("%q was decoded as %+v", text, events)
		}
	}
}
