package importer_test

import (
	"cmp"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// halvesApp routes tasks by each combination of a queue, an exchange and a routing key, by their own options and by
// task_routes, by their names and by patterns. One of its queues belongs to a topic exchange.
const halvesApp = `
from celery import Celery
from itertools import product
from kombu import Exchange, Queue

app = Celery("app", broker="redis://localhost:1/0")
app.conf.task_queues = [Queue("celery"), Queue("plain"), Queue("topical", Exchange("topics", type="topic"), routing_key="a.#")]
app.conf.task_create_missing_queues = True
app.conf.task_routes = [[]]

def work():
    pass

parts = ("queue", "exchange", "routing_key")
for n, options in enumerate(product((None, "plain", "topical", "new"), (None, "re"), (None, "rk"))):
    named = {part: value for part, value in zip(parts, options) if value}
    if named:
        app.conf.task_routes[0] += [(f"routed.{n}", named), (f"many.{n}.*", named)]
    app.task(name=f"routed.{n}")(work)
    app.task(name=f"own.{n}", **named)(work)
    app.task(name=f"both.{n}", **named)(work)
app.conf.task_routes[0].append(("both.*", {"queue": "other", "exchange": "other", "routing_key": "other"}))
`

// sendAll publishes each of the tasks with each combination of options, and prints where each message goes.
const sendAll = `
import json, sys
from itertools import product
sys.path.insert(0, "")
from app import app, parts

class Producer:
    connection = property(lambda self: self)
    def _reraise_as_library_errors(self): return self
    def __enter__(self): return self
    def __exit__(self, *exc): return False
    def publish(self, body, exchange=None, routing_key=None, **_): self.to = getattr(exchange, "name", exchange) or "", routing_key or ""

tasks = sorted(name for name in app.tasks if not name.startswith("celery.")) + [f"many.{n}.x" for n in range(16)] + ["unknown"]
found = []
for task, options in product(tasks, product((None, "celery", "topical", "own"), (None, "e"), (None, "k"))):
    producer, named = Producer(), {part: value for part, value in zip(parts, options) if value}
    if task in app.tasks:
        app.tasks[task].apply_async(producer=producer, **named)
    else:
        app.send_task(task, producer=producer, **named)
    found.append({"task_name": task, **named, "to": producer.to})
json.dump(found, sys.stdout)
`

// TestHalvesOfDestinations has rows, tasks and routes name a queue, an exchange and a routing key in every combination,
// and asks Celery itself where each message goes. Whatever tactus sends elsewhere is told, and nothing else is.
func TestHalvesOfDestinations(t *testing.T) {
	t.Parallel()
	a, err := importer.ParseApplication(runScript(t, halvesApp))
	if err != nil {
		t.Fatal(err)
	}
	var messages []struct {
		domain.Definition
		To [2]string `json:"to"` // exchange and routing key
	}
	if err := json.Unmarshal(testenv.BesideCelery(t, halvesApp, sendAll, nil), &messages); err != nil {
		t.Fatal(err)
	}
	routes := a.Routes()
	elsewhere := 0
	for _, m := range messages {
		row := importer.TableRow{Definition: m.Definition, Route: routeOf(routes, m.TaskName), DefaultQueue: a.DefaultQueue}
		ours := row.Route.Apply(m.Task())
		to := [2]string{"", cmp.Or(ours.Queue, a.DefaultQueue)}
		if ours.Through() {
			to = [2]string{ours.Exchange, ours.RoutingKey}
		}
		told := false
		var words []string
		for _, d := range a.Compare(row, now) {
			told = told || d.Code == "queue" || d.Code == "exchange"
			words = append(words, d.Code+": "+d.Message)
		}
		if to != m.To {
			elsewhere++
		}
		theirs := "exchange: Celery's beat sends " + m.To[0] + "/" + m.To[1] + ","
		if m.To[0] == "" {
			theirs = "queue: Celery's beat sends " + cmp.Or(m.To[1], "none") + ","
		}
		if right := strings.Contains(strings.Join(words, "; "), theirs); told != (to != m.To) || told && !right {
			t.Errorf("%s to %q %q %q: Celery sends it to %q, tactus to %q, and is told: %s", m.TaskName, m.Queue, m.Exchange, m.RoutingKey,
				m.To, to, strings.Join(words, "; "))
		}
	}
	t.Logf("%d of %d messages go elsewhere", elsewhere, len(messages))
	if elsewhere == 0 || elsewhere == len(messages) {
		t.Errorf("%d of %d messages go elsewhere: the test shows nothing", elsewhere, len(messages))
	}
}

// routeOf returns the route of a task: by its name, else by the first pattern that fits.
func routeOf(routes []domain.Route, task string) (by domain.Route) {
	for _, r := range routes {
		prefix, pattern := strings.CutSuffix(r.Pattern, "*")
		if r.Pattern == task || by.Pattern == "" && pattern && prefix != "" && strings.HasPrefix(task, prefix) {
			by = r
		}
	}
	return by
}
