package celery_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/internal/celery"
)

// TestParseResultCaptured decodes results of 5.2.6 workers.
func TestParseResultCaptured(t *testing.T) {
	t.Parallel()
	var captures map[string]json.RawMessage
	readJSON(t, "testdata/results.json", &captures)
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, "2026-11-23T09:10:"+text+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, want := range map[string]celery.Result{
		"success": {TaskID: "1d51d243-5ac5-40c9-8f5f-cc16073ab450", Status: celery.Success, Value: raw("5"), DoneAt: at("47.024504")},
		"failure": {
			TaskID: "d12b38e4-a21b-42bb-9253-ae60165f00d4", Status: celery.Failure, DoneAt: at("47.052440"),
			Exception: celery.Exception{Type: "ValueError", Module: "builtins", Message: "bad 値"}, Traceback: "ValueError: bad 値\n",
		},
		"retry_then_fail": {
			TaskID: "51fc1be7-5fbd-4912-ba2c-d49448517bf1", Status: celery.Failure, DoneAt: at("49.091201"),
			Exception: celery.Exception{Type: "RuntimeError", Module: "builtins", Message: "again"}, Traceback: "RuntimeError: again\n",
		},
		"expired": {
			TaskID: "05e9e220-0207-45de-8e3e-5af73096de6b", Status: celery.Revoked, DoneAt: at("47.035301"),
			Exception: celery.Exception{Type: "TaskRevokedError", Module: "celery.exceptions", Message: "expired"},
		},
		"unregistered": {
			TaskID: "8f3c568c-a95f-485f-b4dc-ce31fb6ffb42", Status: celery.Failure, DoneAt: at("47.055945"),
			Exception: celery.Exception{Type: "NotRegistered", Module: "celery.exceptions", Message: "lab.nope"},
		},
	} {
		got, err := celery.ParseResult(captures[name])
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want.Traceback != "" && strings.HasPrefix(got.Traceback, "Traceback") && strings.HasSuffix(got.Traceback, want.Traceback) {
			got.Traceback = want.Traceback // its last line says enough
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", name, diff)
		}
		if got.Expired() != (name == "expired") {
			t.Errorf("%s: expired = %v", name, got.Expired())
		}
	}
}

func readJSON(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func TestParseResultForms(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		text string
		want celery.Result
	}{
		{
			`{"status":"SUCCESS","result":null,"date_done":"2026-01-02T21:00:00+09:00","task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Success, Value: raw("null"), DoneAt: noon},
		},
		{
			`{"status":"SUCCESS","result":{"exc_type":"a name of the task's own"},"date_done":"2026-01-02T12:00:00","task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Success, Value: raw(`{"exc_type":"a name of the task's own"}`), DoneAt: noon},
		},
		{
			`{"status":"SUCCESS","result":[NaN,-Infinity,Infinity,"NaN \" NaN"],"date_done":null,"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Success, Value: raw(`["NaN","-Infinity","Infinity","NaN \" NaN"]`)},
		},
		{
			`{"status":"STARTED","result":{"pid":7},"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Started, Value: raw(`{"pid":7}`)},
		},
		{
			`{"status":"STARTED","result":{"pid":7,"hostname":"w1@lab"},"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Started, Value: raw(`{"pid":7,"hostname":"w1@lab"}`), Worker: "w1@lab"},
		},
		{
			`{"status":"SUCCESS","result":1,"task_id":"t","name":"app.t","worker":"w1@lab","retries":0,"queue":"celery"}`,
			celery.Result{TaskID: "t", Status: celery.Success, Value: raw(`1`), Worker: "w1@lab"},
		},
		{
			`{"status":"RETRY","result":{"exc_type":"OSError","exc_message":[2,"no file"],"exc_module":"builtins"},"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Retry, Exception: celery.Exception{Type: "OSError", Module: "builtins", Message: "2, no file"}},
		},
		{
			`{"status":"FAILURE","result":{"exc_type":"ValueError","exc_message":[null,NaN],"exc_module":"builtins"},"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Failure, Exception: celery.Exception{Type: "ValueError", Module: "builtins", Message: "None, NaN"}},
		},
		{
			`{"status":"FAILURE","result":{"exc_type":"E","exc_message":"text"},"task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Failure, Exception: celery.Exception{Type: "E", Message: "text"}},
		},
		{
			`{"status":"SUCCESS","result":1,"task_id":"t","date_done":"yesterday","traceback":["a","b"],"worker":{"name":"w"}}`,
			celery.Result{
				TaskID: "t", Status: celery.Success, Value: raw("1"),
				Unread: []string{"traceback is not a text", "worker is not a text", `date_done "yesterday" is not a time`},
			},
		},
		{
			`{"status":"STARTED","result":{"hostname":"w1@lab"},"task_id":"t","date_done":1767355200,"worker":7}`,
			celery.Result{
				TaskID: "t", Status: celery.Started, Value: raw(`{"hostname":"w1@lab"}`), Worker: "w1@lab",
				Unread: []string{"worker is not a text", "date_done is not a text"},
			},
		},
		{
			`{"status":"FAILURE","result":"of another backend","task_id":"t"}`,
			celery.Result{TaskID: "t", Status: celery.Failure, Exception: celery.Exception{Message: "of another backend"}},
		},
	} {
		got, err := celery.ParseResult([]byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", c.text, diff)
		}
	}
}

func TestParseResultRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "null", "[]", "{}", `{"status":"SUCCESS"}`, `{"task_id":"t"}`,
		`{"status":"SUCCESS","result":NaNs,"task_id":"t"}`, `{"status":1,"task_id":"t"}`,
	} {
		if got, err := celery.ParseResult([]byte(text)); err == nil {
			t.Errorf("%q was decoded as %+v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"status":"SUCCESS","result":[NaN,"\"],"task_id":"t"}`)
	f.Add(`{"body":"W10=","content-type":"application/json","properties":{"body_encoding":"base64"}}`)
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = celery.ParseResult([]byte(text)) // must not panic
		_, _ = celery.ParseEvents([]byte(text))
	})
}
