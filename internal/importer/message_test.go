package importer_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// messagesApp has what takes part in a message besides the entry: routes with headers, code of the application that
// adds some, the signatures of tasks, and arguments and routes that are computed for each run.
const messagesApp = `
from datetime import datetime
import itertools
import celery
from celery.app.amqp import AMQP

class Tenants:
    def route_for_task(self, task, args=None, kwargs=None):
        if task == "app.tenant":
            return {"queue": "tenants", "headers": {"tenant": "acme"}, "priority": 3}

turns, rarely = itertools.cycle(["q1", "q2"]), itertools.cycle(["q"] * 14 + ["other"])
class Turns:
    def route_for_task(self, task, args=None, kwargs=None):
        choice = {"app.turns": turns, "app.rarely": rarely}.get(task)
        return choice and {"queue": next(choice)}

class Stamped(AMQP):
    def as_task_v2(self, task_id, name, *args, **kwargs):
        message = super().as_task_v2(task_id, name, *args, **kwargs)
        if name == "app.stamped":
            message.headers["stamp"] = 1
        return message

class App(celery.Celery):
    amqp_cls = Stamped

class Lazy:
    def __json__(self):
        return datetime.now().isoformat()

class Constant:
    def __json__(self):
        return datetime.now().year

app = App("app", broker="redis://localhost:1/0")
app.conf.task_routes = (Tenants(), Turns(), {
    "app.hdr": {"queue": "fn", "headers": {"x-tenant": "b"}}, "pat.*": {"queue": "p", "headers": {"x": {"y": 1}}},
    "app.other": {"headers": {"task": "app.any"}}, "app.typed": {"content_type": "text/plain"},
})
app.conf.beat_schedule = {name: {"task": "app." + name, "schedule": 60} for name in (
    "hdr", "none", "other", "own", "rarely", "stamped", "tenant", "turns", "typed")}
app.conf.beat_schedule["own"] = {"task": "app.hdr", "schedule": 60, "options": {"headers": {"x-own": 1}}}
app.conf.beat_schedule["pattern"] = {"task": "pat.a", "schedule": 60}
for name, (task, args, kwargs) in {
    "fits": ("add", (1, 2), {}), "by name": ("add", (1,), {"y": 2}), "few": ("add", (1,), {}), "many": ("add", (1, 2, 3), {}),
    "twice": ("add", (1, 2), {"x": 1}), "unknown": ("add", (1, 2), {"z": 1}), "bound": ("bound", (1,), {}),
    "bound few": ("bound", (), {}), "untyped": ("untyped", (1, 2, 3), {}), "any": ("any", (1, 2), {"z": 3}),
    "keyword": ("keyword", (), {"a": 1}), "no keyword": ("keyword", (), {}), "not here": ("nowhere", (1, 2, 3), {}),
    "lazy": ("any", (Lazy(),), {}), "nested": ("any", (), {"a": [{"b": Constant()}]}),
}.items():
    app.conf.beat_schedule[name] = {"task": "app." + task, "schedule": 60, "args": args, "kwargs": kwargs}

@app.task(name="app.add")
def add(x, y):
    pass

@app.task(name="app.bound", bind=True)
def bound(self, x, y=1):
    pass

@app.task(name="app.untyped", typing=False)
def untyped():
    pass

@app.task(name="app.any")
def anything(*args, **kwargs):
    pass

@app.task(name="app.keyword")
def keyword(*, a, b=1):
    pass
`

// TestMessagesAsPublished compares what comes in with the messages that a real Celery publishes.
func TestMessagesAsPublished(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, messagesApp))
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	i := importer.New(pool, importer.Source{Kind: importer.Celery}, "UTC", "hooks") // for what its own class adds
	rows, err := i.Plan(t.Context(), application.In(""), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Apply(t.Context(), rows, false); err != nil {
		t.Fatal(err)
	}
	sent := map[string]string{
		"hdr": `fn 0 {"x-tenant":"b"}`, "none": "celery 0 null", "own": `fn 0 {"x-own":1}`,
		"pattern": `p 0 {"x":{"y":1}}`, "stamped": `celery 0 {"stamp":1}`, "tenant": `tenants 3 {"tenant":"acme"}`,
		"fits": "celery 0 null", "by name": "celery 0 null", "bound": "celery 0 null", "untyped": "celery 0 null",
		"any": "celery 0 null", "keyword": "celery 0 null", "not here": "celery 0 null",
	}
	const unsendable = "unsendable: Celery itself cannot send it (TypeError: "
	refused := map[string]string{
		"other":      "Celery's own header task is 'app.any', by a route or code of the application",
		"rarely":     "queue_unreadable at /queue: it is computed for each run (q",
		"turns":      "queue_unreadable at /queue: it is computed for each run (q",
		"typed":      "the option content_type is not imported",
		"few":        unsendable + "add() missing 1 required positional argument: 'y')",
		"many":       unsendable + "add() takes 2 positional arguments but 3 were given)",
		"twice":      unsendable + "add() got multiple values for argument 'x')",
		"unknown":    unsendable + "add() got an unexpected keyword argument 'z')",
		"bound few":  unsendable + "bound() missing 1 required positional argument: 'x')",
		"no keyword": unsendable + "keyword() missing 1 required keyword-only argument: 'a')",
		"lazy":       "args_unreadable at /args: Lazy.__json__ is called for each run",
		"nested":     "args_unreadable at /args: Constant.__json__ is called for each run",
	}
	for _, r := range rows {
		if why, no := refused[r.Name]; no {
			if r.Change != "refused" || !strings.Contains(r.Reason, why) {
				t.Errorf("%s: %s %s", r.Name, r.Change, r.Reason)
			}
			continue
		}
		if r.Change != "new" {
			t.Errorf("%s: %s %s", r.Name, r.Change, r.Reason)
			continue
		}
		s, priority := named(t, pool, r.Name), 0
		if s.Priority != nil {
			priority = *s.Priority
		}
		headers := "null"
		if len(s.Headers) > 0 {
			headers = string(encodedJSON(t, s.Headers))
		}
		if got := fmt.Sprintf("%s %d %s", s.Queue, priority, headers); got != sent[r.Name] {
			t.Errorf("%s: %s, want %s", r.Name, got, sent[r.Name])
		}
	}
	if len(rows) != len(sent)+len(refused) {
		t.Errorf("%d entries", len(rows))
	}

	routes, err := i.PlanRoutes(t.Context(), application)
	if err != nil {
		t.Fatal(err)
	}
	withHeaders := map[string]bool{}
	for _, r := range routes {
		if r.Change == "refused" && strings.Contains(r.Reason, "no route here has headers") {
			withHeaders[r.Pattern] = true
		}
	}
	if got := slices.Sorted(maps.Keys(withHeaders)); !slices.Equal(got, []string{"app.hdr", "pat.*"}) {
		t.Errorf("routes with headers: %s", got)
	}

	for arguments, want := range map[string]string{
		`app.add [1,2] {}`:      "",
		`app.add [1] {"y":2}`:   "",
		`app.add [1] {}`:        "it is not given the argument y",
		`app.add [1,2,3] {}`:    "it takes 2 arguments by position, but 3 are given",
		`app.add [1,2] {"x":1}`: "it is given x twice",
		`app.add [1,2] {"z":1}`: "it takes no argument z",
		`app.bound [] {}`:       "it is not given the argument x",
		`app.bound [1] {}`:      "",
		`app.untyped [1] {}`:    "",
		`app.any [1] {"z":1}`:   "",
		`app.keyword [] {}`:     "it is not given the argument a",
		`app.nowhere [1] {}`:    "",
	} {
		parts := strings.Fields(arguments)
		row := importer.TableRow{Definition: domain.Definition{
			Name: "a", TaskName: parts[0], Queue: "q", IntervalSeconds: 60, Args: []byte(parts[1]), Kwargs: []byte(parts[2]),
		}}
		told := ""
		for _, d := range application.Compare(row, now) {
			if d.Code == "celery_refuses" {
				told = d.Message
			}
		}
		if (want == "") != (told == "") || !strings.Contains(told, want) {
			t.Errorf("%s: %q, want %q", arguments, told, want)
		}
	}
}

func encodedJSON(t *testing.T, value any) []byte {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestWhatABeatDoesNotSendAsTactusDoes has an application whose beat sends JSON by another name, or runs tasks in its
// own process, and tasks that no worker has.
func TestWhatABeatDoesNotSendAsTactusDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, entry, has string }{
		{want: "refused serializer", has: `
import json, kombu.serialization
kombu.serialization.register("json", json.dumps, json.loads, content_type="application/x-mine", content_encoding="utf-8")
`},
		{want: "refused eager", has: "app.conf.task_always_eager = True\n"},
		{want: "new every 60 s", entry: "app.remote", has: "app.conf.task_always_eager = True\n"}, // Celery warns, and sends it
		{want: "refused celery_refuses", entry: " app.a"},
		{want: "refused celery_refuses", entry: "app.b "},
		{want: "refused options", has: `app.conf.beat_schedule["e"]["options"] = {"compression": "gzip"}` + "\n"},
		{want: "refused options", has: `app.conf.result_compression = "zlib"` + "\n"}, // which Celery 5.2 takes for task_compression
		{want: "refused options", has: `app.tasks["app.a"].compression = "gzip"` + "\n"},
		{want: "new every 60 s"},
		{want: "new every 60 s", entry: "app.routed", has: `
app.conf.task_routes = {"app.routed": {"queue": "rq"}}
app.conf.beat_schedule["e"]["options"] = {"exchange": "counts for nothing"}
`},
	} {
		task := c.entry
		if task == "" {
			task = "app.a"
		}
		got := planned(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {"e": {"task": "`+task+`", "schedule": 60}}
@app.task(name="app.a")
def a():
    pass
`+c.has)["e"]
		if got != c.want {
			t.Errorf("%q%s: %s, want %s", c.entry, c.has, got, c.want)
		}
	}
}
