package celery_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func id(t testing.TB, text string) domain.ID {
	t.Helper()
	parsed, err := domain.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// fullRun returns a run that sets everything that a run can have.
func fullRun(t testing.TB) domain.DueRun {
	t.Helper()
	return domain.DueRun{
		ScheduleID: id(t, "01920000-0000-7000-8000-000000000001"), RunID: id(t, "01920000-0000-7000-8000-000000000002"),
		DueAt: time.Date(2026, 3, 8, 2, 30, 0, 123456789, time.FixedZone("", -5*3600)), HandedOver: time.Date(2026, 3, 8, 7, 30, 0, 123456789, time.UTC), Kind: domain.Scheduled, ScheduleName: "nightly <report>",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		Task: domain.Task{
			TaskName: "app.tasks.report", Args: raw(`[1,  "a&b"]`), Kwargs: raw(`{"to": "é"}`), Queue: "reports", Priority: new(7),
			RoutingKey: "reports", Headers: map[string]json.RawMessage{"x_b": raw(`{"k": [1, 2]}`), "x_a": raw(`null`)},
			ExpiresSeconds: 90, TimeLimitSeconds: 30, SoftTimeLimitSeconds: 20, IgnoreResult: true, Shadow: "report",
		},
	}
}

// TestEncodeGolden pins the bytes of a message, so that no change goes unnoticed.
func TestEncodeGolden(t *testing.T) {
	t.Parallel()
	const path = "testdata/message.json"
	to, text, err := celery.Encode(fullRun(t), "01920000-0000-4000-8000-000000000003", celery.Config{KeyPrefix: "app1:", Origin: "tactus@test"})
	if err != nil {
		t.Fatal(err)
	}
	if want := "app1:reports\x06\x166"; to.Key != want || to.Through != nil {
		t.Errorf("to %+v, want %q", to, want)
	}
	if *update {
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(text)); diff != "" {
		t.Errorf("golden (-), now (+):\n%s", diff)
	}
}

func TestEncodeKeepsArgsAsTheyAre(t *testing.T) {
	t.Parallel()
	run := domain.DueRun{Task: domain.Task{TaskName: "t", Args: raw(`[1.10, 12345678901234567890,  "\u00e9<"]`), Kwargs: raw(`{"b":1, "a":1e2}`)}}
	_, text, err := celery.Encode(run, "tag", celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Body string }
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	got, err := base64.StdEncoding.DecodeString(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	want := `[[1.10, 12345678901234567890,  "\u00e9<"],{"b":1, "a":1e2},{"callbacks":null,"errbacks":null,"chain":null,"chord":null}]`
	if string(got) != want {
		t.Errorf("body %s\nwant %s", got, want)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		queue    string
		priority *int
		cfg      celery.Config
		want     string
	}{
		{"", nil, celery.Config{}, "celery"},
		{"", nil, celery.Config{DefaultQueue: "main"}, "main"},
		{"q", new(0), celery.Config{}, "q"},
		{"q", new(2), celery.Config{}, "q"},
		{"q", new(3), celery.Config{}, "q\x06\x163"},
		{"q", new(5), celery.Config{}, "q\x06\x163"},
		{"q", new(6), celery.Config{}, "q\x06\x166"},
		{"q", new(9), celery.Config{}, "q\x06\x169"},
		{"q", new(255), celery.Config{}, "q\x06\x169"},
		{"q", new(5), celery.Config{PrioritySteps: []int{0, 5}, PrioritySeparator: ":", KeyPrefix: "p."}, "p.q:5"},
	} {
		to, _, err := celery.Encode(domain.DueRun{Task: domain.Task{TaskName: "t", Queue: c.queue, Priority: c.priority}}, "tag", c.cfg)
		if err != nil || to.Key != c.want {
			t.Errorf("%+v: to %+v, %v", c, to, err)
		}
	}
}

// TestEncodeRefuses checks that tasks that would harm a worker, or would not arrive, are refused.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	header := func(name, value string) domain.Task {
		return domain.Task{TaskName: "t", Headers: map[string]json.RawMessage{name: raw(value)}}
	}
	for name, c := range map[string]struct {
		task        domain.Task
		code, field string
	}{
		"no task":                  {domain.Task{}, "task_missing", "/task_name"},
		"args an object":           {domain.Task{TaskName: "t", Args: raw(`{}`)}, "args_not_list", "/args"},
		"args null":                {domain.Task{TaskName: "t", Args: raw(`null`)}, "args_not_list", "/args"},
		"kwargs a list":            {domain.Task{TaskName: "t", Kwargs: raw(` []`)}, "kwargs_not_object", "/kwargs"},
		"args broken":              {domain.Task{TaskName: "t", Args: raw(`[1`)}, "value_unreadable", "/args"},
		"args that end early":      {domain.Task{TaskName: "t", Args: raw(`[1],[2]`)}, "value_unreadable", "/args"},
		"args not UTF-8":           {domain.Task{TaskName: "t", Args: raw("[\"\xff\"]")}, "value_unreadable", "/args"},
		"args too deep":            {domain.Task{TaskName: "t", Args: raw(deep)}, "value_unreadable", "/args"},
		"a number too long":        {domain.Task{TaskName: "t", Args: raw("[" + strings.Repeat("9", 5000) + "]")}, "value_unreadable", "/args"},
		"a routing key of parts":   {domain.Task{TaskName: "t", RoutingKey: "q\x06\x163"}, "text_invalid", "/routing_key"},
		"an exchange of parts":     {domain.Task{TaskName: "t", Queue: "q", Exchange: "x\x06\x16"}, "text_invalid", "/exchange"},
		"a queue with a priority":  {domain.Task{TaskName: "t", Queue: "q\x06\x163"}, "text_invalid", "/queue"},
		"a header of Celery's":     {header("id", `"x"`), "target_ambiguous", "/headers/id"},
		"a header of ours":         {header("x-tactus-run-id", `"x"`), "target_ambiguous", "/headers/x-tactus-run-id"},
		"the trace":                {header("traceparent", `"x"`), "target_ambiguous", "/headers/traceparent"},
		"the schedule's name":      {header("periodic_task_name", `null`), "target_ambiguous", "/headers/periodic_task_name"},
		"a header that decompress": {header("compression", `"zlib"`), "target_ambiguous", "/headers/compression"},
		"a broken header":          {header("a/b", `{`), "value_unreadable", "/headers/a~1b"},
		"an absent header":         {header("a", ``), "value_unreadable", "/headers/a"},
		"a header too deep":        {header("a", deep), "value_unreadable", "/headers/a"},
		"a typed header":           {header("a", `[{"\u005f_type__": "x", "__value__": 1}]`), "value_unreadable", "/headers/a"},
		"an expiry in year 10000":  {domain.Task{TaskName: "t", ExpiresSeconds: math.MaxInt64}, "out_of_range", "/expires_seconds"},
		"a negative expiry":        {domain.Task{TaskName: "t", ExpiresSeconds: -1}, "out_of_range", "/expires_seconds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, text, err := celery.Encode(domain.DueRun{HandedOver: time.Now(), Task: c.task}, "tag", celery.Config{})
			faults := domain.FaultsOf(err)
			if len(faults) != 1 || faults[0].Code != c.code || faults[0].Field != c.field || text != nil {
				t.Errorf("got %s, %v; want %s at %s", text, err, c.code, c.field)
			}
		})
	}
}

func TestEncodeWantsADeliveryTag(t *testing.T) {
	t.Parallel()
	if _, _, err := celery.Encode(fullRun(t), "", celery.Config{}); err == nil {
		t.Error("a run without a delivery tag was encoded; the message would end the worker")
	}
}

// TestSentHeadersAreReserved checks that package handover knows every header of a message: a task's own header of the
// same name would overwrite it.
func TestSentHeadersAreReserved(t *testing.T) {
	t.Parallel()
	run := fullRun(t)
	_, text, err := celery.Encode(run, "tag", celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Headers map[string]json.RawMessage }
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	for name := range run.Headers {
		delete(m.Headers, name)
	}
	for name := range m.Headers {
		run.Headers = map[string]json.RawMessage{name: raw(`1`)}
		if err := (celery.Config{}).Check(run.Task); !errors.Is(err, &domain.Error{Code: "target_ambiguous"}) {
			t.Errorf("a task's own header %q: %v", name, err)
		}
	}
}

func TestCheckFindsAllFaults(t *testing.T) {
	t.Parallel()
	err := celery.Config{}.Check(domain.Task{Args: raw(`{}`), RoutingKey: "\x06\x16", Headers: map[string]json.RawMessage{"id": raw(`1`), "eta": raw(`1`)}})
	if got := len(domain.FaultsOf(err)); got != 5 {
		t.Errorf("%d faults: %v", got, err)
	}
	if !errors.Is(err, &domain.Error{Code: "text_invalid"}) {
		t.Errorf("the error does not show its codes: %v", err)
	}
	if err := (celery.Config{}).Check(fullRun(t).Task); err != nil {
		t.Errorf("a valid task: %v", err)
	}
}

// FuzzEncode checks that any input makes a consistent message, or an error.
func FuzzEncode(f *testing.F) {
	f.Add("t", "[1]", "{}", "h", `{"a":[]}`)
	f.Add("t", "[1e999,\"\\ud800\"]", `{"a":{"b":{"c":{}}}}`, "\"", "1")
	f.Fuzz(func(t *testing.T, name, args, kwargs, header, value string) {
		run := domain.DueRun{Task: domain.Task{TaskName: name, Args: raw(args), Kwargs: raw(kwargs), Headers: map[string]json.RawMessage{header: raw(value)}}}
		_, text, err := celery.Encode(run, "tag", celery.Config{})
		if err != nil {
			return
		}
		var m object
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber() // 1e999 is valid JSON
		if err := d.Decode(&m); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if m["headers"].(object)["id"] != run.RunID.String() {
			t.Errorf("a header has overwritten the id: %s", text)
		}
		body, err := base64.StdEncoding.DecodeString(m["body"].(string))
		var items []json.RawMessage
		if err != nil || json.Unmarshal(body, &items) != nil || len(items) != 3 {
			t.Errorf("body %s", body)
		}
	})
}
