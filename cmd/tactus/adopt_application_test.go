package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// adoptedApp is an application whose beat reads the rows of django-celery-beat, and whose code alone decides to which
// queue a task goes.
const adoptedApp = `
import celery
from kombu import Exchange, Queue

app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.timezone = "Asia/Tokyo"
app.conf.task_default_queue = "usual"
app.conf.task_routes = ([("app.routed", {"queue": "fast", "priority": 7}), ("app.through", {"exchange": "topics", "routing_key": "a.c"}), ("feeds.*", "feeds")], lambda name, *_, **__: {"queue": "found"} if name == "app.found" else None)
app.conf.task_queues = [Queue("topical", Exchange("topics", type="topic"), routing_key="a.#")]
app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"

@app.task(name="app.options", queue="own", expires=60, time_limit=30, ignore_result=True)
def options():
    pass

@app.task(name="app.usual")
def usual():
    pass

@app.task(name="app.through")
def through():
    pass

@app.task(name="app.pickled", serializer="pickle")
def pickled():
    pass

class Guarded(celery.Task):
    def apply_async(self, *args, **kwargs):
        raise SystemExit("it was run")

@app.task(name="app.guarded", base=Guarded)
def guarded():
    pass
`

const adoptedRows = `
often, _ = IntervalSchedule.objects.get_or_create(every=10, period="minutes")
nine, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="9", timezone="Asia/Tokyo")
make = PeriodicTask.objects.create
make(name="expiring", task="app.usual", interval=often, queue="q", expires=datetime(2100, 1, 1, tzinfo=timezone.utc))
make(name="feed", task="feeds.new", interval=often)
make(name="found", task="app.found", interval=often)
make(name="guarded", task="app.guarded", interval=often)
make(name="half", task="app.routed", interval=often, exchange="ex")
make(name="named", task="app.options", interval=often, queue="q", priority=3, expire_seconds=5)
make(name="options", task="app.options", crontab=nine)
make(name="pickled", task="app.pickled", interval=often, queue="q")
make(name="queued", task="app.through", interval=often, queue="q")
make(name="routed", task="app.routed", interval=often)
make(name="said", task="app.usual", interval=often, queue="q", priority=3, expire_seconds=5, headers='{"a": 1}')
make(name="through", task="app.usual", interval=often, exchange="topics", routing_key="a.b")
make(name="topical", task="app.usual", interval=often, queue="topical")
make(name="usual", task="app.usual", crontab=nine)
`

// adopting runs adopt, and returns the kinds of differences of each row that has some.
func adopting(t *testing.T, url string, wantCode int, args ...string) (answer said, rows []string) {
	t.Helper()
	answer = tactus(t, append(args, "-o", "json", "--database-url", url)...)
	if answer.code != wantCode {
		t.Fatalf("tactus %s: exit %d: %s%s", strings.Join(args, " "), answer.code, answer.out, answer.problems)
	}
	var printed struct {
		Schedules []struct {
			Name        string
			Differences []struct{ Code, Message string }
		}
	}
	if err := json.NewDecoder(strings.NewReader(answer.out)).Decode(&printed); err != nil {
		t.Fatal(err)
	}
	for _, r := range printed.Schedules {
		told := []string{r.Name}
		for _, d := range r.Differences {
			word := d.Code
			if strings.Contains(d.Message, "mend: tactus import routes") {
				word += "*"
			}
			told = append(told, word)
		}
		if len(told) > 1 {
			rows = append(rows, strings.Join(told, " "))
		}
	}
	slices.Sort(rows)
	return answer, rows
}

// TestAdoptAsTheApplicationSends compares the rows of a real django-celery-beat with a real application, before and
// after the application's routes are imported.
func TestAdoptAsTheApplicationSends(t *testing.T) {
	t.Parallel()
	url, file := testenv.DjangoURL(t), filepath.Join(t.TempDir(), "application.json")
	testenv.Django(t, url, adoptedRows)
	pool := testenv.Connect(t, url)
	triggers := func() (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(),
			`select count(*) from pg_trigger where tgname like 'tactus%'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	write := func(names ...string) {
		t.Helper()
		if err := os.WriteFile(file, testenv.BesideCelery(t, adoptedApp, importer.Script,
			append([]string{"app:app"}, names...)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	equal := func(got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	write()
	adopt := []string{"adopt", "--django-celery-beat", "--application", file}
	said, rows := adopting(t, url, exitFailure, append(adopt, "--dry-run")...)
	equal(rows, "expiring expires", "feed queue", "found queue", "guarded hooks queue*", "half queue* priority*",
		"named limits* ignore_result*",
		"options queue* expires* limits* ignore_result*",
		"pickled serializer", "queued exchange", "routed queue* priority*", "topical exchange", "usual queue*")
	if !regexp.MustCompile(`12 rows would not run as before.*--accept exchange,expires,hooks,ignore_result,limits,priority,queue,serializer`).MatchString(said.problems) {
		t.Error(said.problems)
	}
	adopting(t, url, exitFailure, adopt...)
	if n := triggers(); n != 0 {
		t.Errorf("%d triggers are there after a refusal", n)
	}
	// Asked about the tasks that it has not itself, the application says where they go; and its routes are brought in.
	write("app.found", "feeds.new")
	if said := tactus(t, "import", "routes", file, "--database-url", url); said.code != exitOK {
		t.Fatal(said.problems)
	}
	_, rows = adopting(t, url, exitFailure, append(adopt, "--dry-run")...)
	equal(rows, "expiring expires", "guarded hooks", "pickled serializer", "queued exchange", "topical exchange")
	adopting(t, url, exitFailure, append(adopt, "--accept", "expires,hooks,serializer")...)
	if n := triggers(); n != 0 {
		t.Errorf("%d triggers are there after a refusal", n)
	}
	adopting(t, url, exitOK, append(adopt, "--accept", "exchange,expires,hooks,serializer")...)
	if triggers() == 0 {
		t.Error("nothing is followed, although all is accepted")
	}
	adopting(t, url, exitOK, adopt...) // rows that are followed already stay
	if said := tactus(t, "adopt", "--django-celery-beat", "--accept", "queue,zone", "--database-url",
		url); said.code != exitUsage || !strings.Contains(said.problems, "--accept zone needs --application") {
		t.Errorf("--accept without --application: %+v", said)
	}
}

// TestAdoptWithoutTheApplication checks that a row is adopted only if it is known where its task goes: if the row names
// a queue, or tactus has a route for the task.
func TestAdoptWithoutTheApplication(t *testing.T) {
	t.Parallel()
	url, file := testenv.DjangoURL(t), filepath.Join(t.TempDir(), "application.json")
	testenv.Django(t, url, adoptedRows)
	pool := testenv.Connect(t, url)
	unknown := []string{"feed queue", "found queue", "guarded queue", "half queue", "options queue", "routed queue", "usual queue"}
	adopt := []string{"adopt", "--django-celery-beat", "--naive-timezone", "UTC"}
	queues := func(rows []string) (told []string) {
		return slices.DeleteFunc(rows, func(row string) bool { return !strings.HasSuffix(row, " queue") })
	}
	for _, more := range [][]string{{"--dry-run"}, nil} {
		said, rows := adopting(t, url, exitFailure, append(adopt, more...)...)
		if rows = queues(rows); !slices.Equal(rows, unknown) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(rows, "\n"), strings.Join(unknown, "\n"))
		}
		for _, want := range []string{
			`7 rows would not run as before`, `"feed", "found", "guarded", "half", "options", "routed", "usual"`,
			`--application FILE`, `tactus import routes FILE`, `--accept queue`,
		} {
			if !strings.Contains(said.problems, want) {
				t.Errorf("%s is not said: %s", want, said.problems)
			}
		}
	}
	var triggers int
	if err := pool.QueryRow(t.Context(),
		`select count(*) from pg_trigger where tgname like 'tactus%'`).Scan(&triggers); err != nil || triggers != 0 {
		t.Errorf("%d triggers are there after a refusal, %v", triggers, err)
	}
	if _, rows := adopting(t, url, exitOK, append(adopt, "--dry-run", "--accept", "queue")...); !slices.Equal(queues(rows), unknown) {
		t.Errorf("what is accepted is told: %v", rows)
	}
	if err := os.WriteFile(file, testenv.BesideCelery(t, adoptedApp, importer.Script,
		[]string{"app:app", "app.found", "feeds.new"}), 0o644); err != nil {
		t.Fatal(err)
	}
	if said := tactus(t, "import", "routes", file, "--database-url", url); said.code != exitOK {
		t.Fatal(said.problems)
	}
	if _, rows := adopting(t, url, exitOK, adopt...); len(queues(rows)) != 0 {
		t.Errorf("not known although routes are here: %v", rows)
	}
	for name, want := range map[string]string{"routed": "fast", "feed": "feeds", "found": "found", "options": "own", "usual": "usual"} {
		var queue string
		if err := pool.QueryRow(t.Context(), `select coalesce(nullif(definition->>'queue', ''), (tactus.route_of(definition->>'task_name')).queue)
			from tactus.schedules where name = $1`, name).Scan(&queue); err != nil || queue != want {
			t.Errorf("%s goes to %q, %v, want %q", name, queue, err, want)
		}
	}
}

// TestAdoptInTheApplicationsZone adopts a table of times without zones, which an application with a zone of its own
// reads.
func TestAdoptInTheApplicationsZone(t *testing.T) {
	t.Parallel()
	url, file := testenv.DatabaseURL(t), filepath.Join(t.TempDir(), "application.json")
	if err := os.WriteFile(file, testenv.BesideCelery(t, adoptedApp, importer.Script, []string{"app:app"}),
		0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := testenv.Connect(t, url).Exec(t.Context(), `
		create table public.celery_beat_schedules (id uuid primary key, name text, task_name text, cron_expression text, enabled boolean);
		insert into celery_beat_schedules values ('019ca93d-4000-7000-8000-00000000002a', 'nine', 'app.usual', '0 9 * * *', true),
			('019ca93d-4000-7000-8000-00000000002b', 'hourly', 'app.usual', '0 * * * *', true)`); err != nil {
		t.Fatal(err)
	}
	adopt := []string{
		"adopt", "--table", "celery_beat_schedules", "--application", file, "--celery-default-queue",
		"usual",
	}
	for _, c := range []struct {
		timezone string
		code     int
		want     []string
	}{{"UTC", exitFailure, []string{"nine zone"}}, {"Asia/Tokyo", exitOK, nil}} {
		said, rows := adopting(t, url, c.code, append(adopt, "--celery-timezone", c.timezone, "--dry-run")...)
		if fmt.Sprint(rows) != fmt.Sprint(c.want) || c.want != nil &&
			!strings.Contains(said.out, "mend: --celery-timezone Asia/Tokyo") {
			t.Errorf("%s: %v: %s", c.timezone, rows, said.out)
		}
	}
}

// runningBeat runs Celery's own beat until it has sent some tasks, and then ends it without saving. So its rows are as
// they are beside a running beat.
const runningBeat = `
import celery, os, redis, threading, time
from celery.beat import Service
app = celery.Celery("app", broker="%[1]s")
app.conf.timezone = "UTC"
service = Service(app, max_interval=1, scheduler_cls="django_celery_beat.schedulers:DatabaseScheduler")
client = redis.Redis.from_url("%[1]s")
def stop():
    patience = time.monotonic() + 120
    while client.llen("celery") < 5 and time.monotonic() < patience:
        time.sleep(0.1)
    os._exit(client.llen("celery") < 5)
threading.Thread(target=stop, daemon=True).start()
service.start()
`

// TestAdoptBesideTheOldBeat adopts rows whose last runs the running old beat has not saved yet. They do not count as
// overdue; a row that has not run for an hour does.
func TestAdoptBesideTheOldBeat(t *testing.T) {
	t.Parallel()
	url, file := testenv.DjangoURL(t), filepath.Join(t.TempDir(), "application.json")
	testenv.Django(t, url, `
often = IntervalSchedule.objects.create(every=2, period="seconds")
PeriodicTask.objects.create(name="tick", task="app.usual", interval=often, queue="celery", last_run_at=datetime.now(timezone.utc))
PeriodicTask.objects.filter(name="celery.backend_cleanup").delete()
`)
	testenv.Django(t, url, fmt.Sprintf(runningBeat, testenv.RedisURL(t)))
	if err := os.WriteFile(file, testenv.BesideCelery(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.timezone = "UTC"
app.conf.beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"

@app.task(name="app.usual")
def usual():
    pass
`, importer.Script, []string{"app:app"}), 0o644); err != nil {
		t.Fatal(err)
	}
	adopt := []string{
		"adopt", "--django-celery-beat", "--naive-timezone", "UTC", "--application", file, "--accept",
		"celery_refuses", "--dry-run",
	}
	said, rows := adopting(t, url, exitOK, adopt...)
	if !slices.Contains(rows, "tick unsaved") || strings.Contains(said.out, `"overdue"`) {
		t.Errorf("beside a beat that runs: %v: %s", rows, said.out)
	}
	testenv.Django(t, url, `PeriodicTask.objects.filter(name="tick").update(last_run_at=datetime.now(timezone.utc) - timedelta(hours=1))`)
	if _, rows := adopting(t, url, exitFailure, adopt...); !slices.Contains(rows, "tick overdue") {
		t.Errorf("an hour after the beat stopped: %v", rows)
	}
}
