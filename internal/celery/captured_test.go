package celery_test

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// object is a decoded JSON object.
type object = map[string]any

// captured is a message that Celery itself pushed to Redis.
type captured struct {
	Key     string `json:"redis_key"`
	Message object `json:"message"`
}

// calls are the tasks of ours that correspond to the calls for which Celery's messages were captured.
var calls = map[string]struct {
	task domain.Task
	name string // the schedule's name
}{
	"01_simple": {task: domain.Task{TaskName: "lab.add", Args: raw(`[2, 3]`)}},
	"02_kwargs_unicode": {task: domain.Task{
		TaskName: "lab.echo", Kwargs: raw(`{"名前": "ラーメン", "emoji": "🍜", "nested": {"a": [1, 2.5, null, true]}}`),
	}},
	"03_queue_priority": {task: domain.Task{TaskName: "lab.add", Args: raw(`[1, 1]`), Queue: "reports", Priority: new(5)}},
	"04_expires_rel":    {task: domain.Task{TaskName: "lab.add", Args: raw(`[1, 1]`), ExpiresSeconds: 120}},
	"07_timelimit_shadow_headers": {name: "nightly", task: domain.Task{
		TaskName: "lab.ctx", TimeLimitSeconds: 30, SoftTimeLimitSeconds: 20, Shadow: "pretty-name", IgnoreResult: true,
		Headers: map[string]json.RawMessage{"x_sched": raw(`"sched-42"`)},
	}},
	"08_dcb_periodic_option": {name: "nightly", task: domain.Task{TaskName: "lab.ctx"}},
	"09_exchange_rk":         {task: domain.Task{TaskName: "lab.add", Args: raw(`[1, 1]`), Exchange: "celery", RoutingKey: "celery"}},
}

func raw(text string) json.RawMessage { return json.RawMessage(text) }

// TestEncodeMatchesCelery compares our messages with Celery's for the same calls, but for members that must differ.
func TestEncodeMatchesCelery(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"5.2.6", "5.6.3"} {
		for name, call := range calls {
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				want := readCapture(t, filepath.Join("testdata", version, name+".json"))
				run := domain.DueRun{ScheduleName: call.name, Task: call.task, HandedOver: handedOver(t, want, call.task)}
				if err := run.RunID.UnmarshalText([]byte(want.header("id"))); err != nil {
					t.Fatal(err)
				}
				to, text, err := celery.Encode(run, "tag", celery.Config{})
				if err != nil {
					t.Fatal(err)
				}
				got := captured{Key: to.Key}
				if err := json.Unmarshal(text, &got.Message); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(comparable(t, want, want), comparable(t, got, want)); diff != "" {
					t.Errorf("Celery's message (-), ours (+):\n%s", diff)
				}
			})
		}
	}
}

func readCapture(t *testing.T, path string) (c captured) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c captured) header(name string) string {
	text, _ := c.Message["headers"].(object)[name].(string)
	return text
}

// handedOver returns when a task is handed over if it is to expire when the captured one does.
func handedOver(t *testing.T, c captured, task domain.Task) time.Time {
	t.Helper()
	if task.ExpiresSeconds == 0 {
		return time.Time{}
	}
	expires, err := time.Parse(time.RFC3339, c.header("expires"))
	if err != nil {
		t.Fatal(err)
	}
	return expires.Add(-time.Duration(task.ExpiresSeconds) * time.Second)
}

// comparable returns c with its body decoded, and without members that differ by design: the sender, the address for an
// answer, and headers that are ours or that this version of Celery does not have yet.
func comparable(t *testing.T, c, capture captured) captured {
	t.Helper()
	message := deepCopy(t, c.Message)
	headers, properties := message["headers"].(object), message["properties"].(object)
	there := capture.Message["headers"].(object)
	for _, name := range []string{"x-tactus-schedule-id", "x-tactus-due-at", "x-tactus-run-id", "periodic_task_name", "replaced_task_nesting", "stamped_headers", "stamps"} {
		if _, ok := there[name]; !ok {
			delete(headers, name)
		}
	}
	if _, ok := capture.Message["properties"].(object)["periodic_task_name"]; !ok {
		delete(properties, "periodic_task_name")
	}
	headers["origin"], properties["reply_to"], properties["delivery_tag"] = "", "", ""
	properties["delivery_info"].(object)["exchange"] = "" // ours is always empty; capture 09 was sent through its queue's own exchange
	message["body"] = decodeBody(t, message["body"].(string))
	return captured{c.Key, message}
}

func deepCopy(t *testing.T, o object) (other object) {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &other); err != nil {
		t.Fatal(err)
	}
	return other
}

func decodeBody(t *testing.T, encoded string) (body any) {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatal(err)
	}
	return body
}
