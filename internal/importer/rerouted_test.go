package importer_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func store(t *testing.T, pool *pgxpool.Pool, definitions ...domain.Definition) {
	t.Helper()
	for _, d := range definitions {
		d.IntervalSeconds = 3600
		if _, err := outbox.NewStore(pool, "UTC", handover.Limits{}.Check).Create(t.Context(), d, "", nil); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStoredSchedulesThatRoutesMove has routes come, change and go, and asks before each which stored schedules would
// be sent otherwise.
func TestStoredSchedulesThatRoutesMove(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	seven := 7
	store(t, pool,
		domain.Definition{Name: "plain", TaskName: "feeds.new"},
		domain.Definition{Name: "odd", TaskName: "feeds.new", Kwargs: json.RawMessage(`{"a":"\u0000\ud83d"}`)},
		domain.Definition{Name: "half", TaskName: "feeds.half", Exchange: "x"},
		domain.Definition{Name: "own queue", TaskName: "feeds.new", Queue: "own"},
		domain.Definition{Name: "own queue and priority", TaskName: "feeds.new", Queue: "own", Priority: &seven},
		domain.Definition{Name: "stream", TaskName: "feeds.new", Stream: "s"},
		domain.Definition{Name: "limited", TaskName: "app.options"},
		domain.Definition{Name: "usual", TaskName: "app.other"})
	app := func(patterns, tasks string) importer.Application {
		t.Helper()
		a, err := importer.ParseApplication([]byte(`{"version": 6, "application": "app", "default_queue": "usual",
			"patterns": {` + patterns + `}, "tasks": {` + tasks + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for _, step := range []struct {
		patterns, tasks string
		want            []string
	}{
		{
			`"feeds.*": {"queue": "feeds", "priority": 5}`,
			`"app.options": {"queue": "usual", "expires": 60, "ignore_result": true}`,
			[]string{
				"app.options 1 limited: expires: none -> 60 s, ignore_result: false -> true",
				"feeds.half 1 half: queue: usual -> feeds, priority: 0 -> 5",
				"feeds.new 1 own queue: priority: 0 -> 5",
				"feeds.new 2 odd plain: queue: usual -> feeds, priority: 0 -> 5",
			},
		},
		{
			`"feeds.*": {"queue": "feeds", "priority": 5}`,
			`"app.options": {"queue": "usual", "expires": 60, "ignore_result": true}`, nil,
		},
		{
			`"feeds.*": {"queue": "feeds", "priority": 5}, "*.other": {"queue": "usual"}`,
			`"feeds.new": {"queue": "topical", "exchange": "x", "routing_key": "k", "priority": 5}`,
			[]string{
				"app.options 1 limited: expires: 60 s -> none, ignore_result: true -> false",
				"feeds.new 2 odd plain: queue: feeds -> topical, exchange: / -> x/k",
			},
		},
	} {
		i := importer.New(pool, importer.Source{Kind: importer.Celery, Label: "app"}, "", importer.AcceptAll)
		plan, err := i.PlanRoutes(t.Context(), app(step.patterns, step.tasks))
		if err != nil {
			t.Fatal(err)
		}
		moved, err := i.Rerouted(t.Context(), plan, true, "usual")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range moved {
			var changes []string
			for _, d := range m.Differences {
				changes = append(changes, d.Message)
			}
			got = append(got, fmt.Sprintf("%s %d %s: %s", m.TaskName, m.Schedules, strings.Join(m.Names, " "),
				strings.Join(changes, ", ")))
		}
		equal(t, got, step.want...)
		if err := i.ApplyRoutes(t.Context(), plan, true); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRoutesMoveWhatPostgresMoves has random routes become others, and compares what is told with the routes that
// PostgreSQL finds before and after.
func TestRoutesMoveWhatPostgresMoves(t *testing.T) {
	t.Parallel()
	pool, random := testenv.Database(t), rand.New(rand.NewPCG(1, 2))
	text := func(of string, most int) string {
		var b strings.Builder
		for range 1 + random.IntN(most) {
			b.WriteByte(of[random.IntN(len(of))])
		}
		return b.String()
	}
	var names []string
	for range 60 {
		name := text("ab._%", 4)
		names = append(names, name)
		store(t, pool, domain.Definition{TaskName: name})
	}
	i := importer.New(pool, importer.Source{Kind: importer.Celery, Label: "app"}, "", importer.AcceptAll)
	moves := 0
	for range 20 {
		patterns := map[string]map[string]string{}
		for range 8 {
			patterns[text("ab._%*?", 4)] = map[string]string{"queue": text("xyz", 1)}
		}
		raw, err := json.Marshal(map[string]any{"version": 6, "default_queue": "usual", "patterns": patterns})
		if err != nil {
			t.Fatal(err)
		}
		a, err := importer.ParseApplication(raw)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := i.PlanRoutes(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := i.Rerouted(t.Context(), plan, true, "usual")
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for _, m := range moved {
			told[m.TaskName] = m.Differences[0].Message
		}
		before := queuesOf(t, pool, names)
		if err := i.ApplyRoutes(t.Context(), plan, true); err != nil {
			t.Fatal(err)
		}
		for name, queue := range queuesOf(t, pool, names) {
			want := ""
			if before[name] != queue {
				want = fmt.Sprintf("queue: %s -> %s", before[name], queue)
				moves++
			}
			if told[name] != want {
				t.Errorf("%s: told %q, want %q", name, told[name], want)
			}
		}
	}
	if moves < 100 {
		t.Errorf("only %d moves: nothing was shown", moves)
	}
}

// queuesOf returns the queues of tasks by their routes.
func queuesOf(t *testing.T, pool *pgxpool.Pool, tasks []string) map[string]string {
	t.Helper()
	routes, err := outbox.RoutesOf(t.Context(), pool, tasks)
	if err != nil {
		t.Fatal(err)
	}
	queues := map[string]string{}
	for _, name := range tasks {
		queues[name] = "usual"
		if r, routed := routes[name]; routed {
			queues[name] = r.Queue
		}
	}
	return queues
}

// TestExplicitNoneStaysNone has an entry that says None where its task has an option: Celery's beat sends it without.
// The route of the task, which others use, has the option.
func TestExplicitNoneStaysNone(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.task_default_queue = "usual"
app.conf.beat_schedule = {
    "none": {"task": "app.a", "schedule": 60, "options": {"expires": None, "priority": None}},
    "unsaid": {"task": "app.a", "schedule": 60},
}

@app.task(name="app.a", expires=60, priority=3, ignore_result=True)
def a():
    pass
`))
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.Celery, application.In(""), "UTC"), "none | new | every 60 s",
		"unsaid | new | every 60 s")
	i := importer.New(pool, importer.Source{Kind: importer.Celery, Label: "app"}, "")
	plan, err := i.PlanRoutes(t.Context(), application)
	if err != nil {
		t.Fatal(err)
	}
	if moved, err := i.Rerouted(t.Context(), plan, false, "usual"); err != nil || len(moved) != 0 {
		t.Errorf("the application's own entries would be sent otherwise: %+v, %v", moved, err)
	}
	if err := i.ApplyRoutes(t.Context(), plan, false); err != nil {
		t.Fatal(err)
	}
	store(t, pool, domain.Definition{Name: "by route", TaskName: "app.a"})
	for name, want := range map[string]string{
		"none": "usual none 0 true", "unsaid": "usual 3 60 true", "by route": "usual 3 60 true",
	} {
		run, err := outbox.NewStore(pool, "UTC", handover.Limits{}.Check).Trigger(t.Context(), named(t, pool, name).ID)
		if err != nil {
			t.Fatal(err)
		}
		var data []byte
		if err := pool.QueryRow(t.Context(), `select data from tactus.outbox where topic = 'run' and aggregate_id = $1`,
			run).Scan(&data); err != nil {
			t.Fatal(err)
		}
		var due domain.DueRun
		if err := json.Unmarshal(data, &due); err != nil {
			t.Fatal(err)
		}
		priority := "none"
		if due.Priority != nil {
			priority = fmt.Sprint(*due.Priority)
		}
		got := fmt.Sprintf("%s %s %d %v", due.Queue, priority, due.ExpiresSeconds, due.IgnoreResult)
		if got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
