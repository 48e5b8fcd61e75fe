package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// oddApp has in one what published projects have in many: settings in the old style and settings for tests, tasks that
// are sent while the module is imported, schedules that are shared or of a class of its own, a router that is named by
// a text, and entries that stop a beat.
const oddApp = `
import celery
from celery.schedules import BaseSchedule, crontab, schedstate, schedule
from kombu import Exchange, Queue

print("hello, I am starting")

class Router:
    def route_for_task(self, task, args=None, kwargs=None):
        if task == "app.picky":
            return {"queue": kwargs["region"]}

class Jitter(schedule):
    def is_due(self, last_run_at):
        return schedstate(True, 7)

class Promotions(BaseSchedule):
    def is_due(self, last_run_at):
        return schedstate(False, 60)

midnight = crontab("0", "0")

class Settings:
    BROKER_URL = "redis://localhost:1/0"
    CELERY_RESULT_BACKEND = "redis://localhost:1/1"
    CELERY_ALWAYS_EAGER = True
    CELERY_SEND_TASK_SENT_EVENT = True
    CELERY_TIMEZONE = "US/Mountain"
    CELERY_ENABLE_UTC = False
    CELERY_ROUTES = ("app.Router", [("app.named", {"queue": "named"}), ("feeds.*", {"queue": "feeds"})])
    CELERYBEAT_SCHEDULE = {
        "class": {"task": "app.now", "schedule": Promotions()},
        "enabled": {"task": "app.now", "schedule": 60, "enabled": True},
        "fortnight": {"task": "app.now", "schedule": 14 * 86400},
        "jitter": {"task": "app.now", "schedule": Jitter(60)},
        "l" * 300: {"task": "app.now", "schedule": 60},
        "métriques": {"task": "app.now", "schedule": crontab(minute="7,22", hour="9-17", day_of_week="monday")},
        "nothing": None,
        "queue": {"task": "app.now", "schedule": 60, "options": {"queue": Queue("q", Exchange("x", type="topic"), routing_key="k")}},
        "shared": {"task": "app.named", "schedule": midnight},
        "shared too": {"task": "app.now", "schedule": midnight},
        "text": {"task": "app.now", "schedule": "*/5 * * * *"},
        "without schedule": {"task": "app.now"},
        "without task": {"schedule": 60},
        5: {"task": "app.now", "schedule": 60},
    }

app = celery.Celery("app")
app.config_from_object(Settings)

@app.task(name="app.now")
def now():
    raise SystemExit("it was run")

@app.task(name="app.picky")
def picky(region):
    pass

@app.on_after_finalize.connect
def start(sender, **_):
    sender.conf.task_always_eager = False
    sender.add_periodic_task(crontab(hour=9, minute=32), now, name="added")
    now.apply_async(countdown=30)
`

func TestPublishedOddities(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, oddApp))
	if err != nil {
		t.Fatal(err)
	}
	entries := application.In("")
	slices.SortFunc(entries, func(a, b importer.Entry) int {
		return strings.Compare(a.Definition.Name,
			b.Definition.Name)
	})
	const differs = " | it would not run as it did"
	equal(t, bring(t, testenv.Database(t), importer.Celery, entries, application.Timezone, "dst"),
		"5 | new | every 60 s | dst",
		"added | new | 32 9 * * * US/Mountain",
		"class | refused | - | trigger_unsupported at /schedule",
		"enabled | refused | - | unsendable",
		"fortnight | new | every 1209600 s | dst",
		"jitter | refused | every 60 s"+differs+" | instants",
		strings.Repeat("l", 300)+" | refused | every 60 s | name_invalid at /name",
		"métriques | new | 7,22 9-17 * * 1 US/Mountain",
		"nothing | refused | - | entry_invalid at /",
		"queue | new | every 60 s | dst",
		"shared | new | 0 0 * * * US/Mountain",
		"shared too | new | 0 0 * * * US/Mountain",
		"text | refused | - | trigger_unsupported at /schedule",
		"without schedule | refused | - | required at /schedule",
		"without task | refused | - | required at /task")
	var routes []string
	for _, r := range application.Routes() {
		routes = append(routes, r.Pattern+" -> "+r.Queue)
	}
	equal(t, routes, "feeds.* -> feeds", "app.named -> named", "app.now -> celery", "celery.backend_cleanup -> celery",
		"* -> celery")
	if fmt.Sprint(application.Left) != "[app.Router]" || !strings.Contains(application.NotAsked["app.picky"],
		"region") {
		t.Errorf("left %v, not asked %v", application.Left, application.NotAsked)
	}
}

// TestCleanup has the entry that Celery's beat adds where results do not expire by themselves, or go nowhere, and
// refuses what another place has too.
func TestCleanup(t *testing.T) {
	t.Parallel()
	const cleanup, twice = "celery.backend_cleanup | new | 0 4 * * * UTC", " | it would not run as it did | scheduler"
	for _, c := range []struct {
		settings string
		want     []string
	}{
		{`result_backend = "file:///tmp"`, []string{"a | new | every 60 s", cleanup}},
		{`result_backend = None`, []string{"a | new | every 60 s", cleanup}},
		{`result_backend = "redis://localhost:1/1"`, []string{"a | new | every 60 s"}},
		{`result_expires = None`, []string{"a | new | every 60 s"}},
		{
			`beat_scheduler = "django_celery_beat.schedulers:DatabaseScheduler"`,
			[]string{"a | refused | every 60 s" + twice, "celery.backend_cleanup | refused | 0 4 * * * UTC" + twice},
		},
	} {
		application, err := importer.ParseApplication(testenv.BesideCelery(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {"a": {"task": "app.a", "schedule": 60}}
app.conf.`+c.settings+"\n", importer.Script, []string{"app:app"}))
		if err != nil {
			t.Fatal(err)
		}
		equal(t, bring(t, testenv.Database(t), importer.Celery, application.In(""), "UTC"), c.want...)
	}
}

// TestRedBeatNumbersForNames has entries whose programs name them by a number of theirs.
func TestRedBeatNumbersForNames(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	definition := `{"name": 12, "task": "app.a", "args": null, "kwargs": null, "options": {"queue": "q"}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`
	if err := client.HSet(t.Context(), "redbeat:12", "definition", definition).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:12"}).Err(); err != nil {
		t.Fatal(err)
	}
	entries, err := importer.ReadRedBeat(t.Context(), client,
		importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, testenv.Database(t), importer.RedBeat, entries, "UTC"), "12 | new | every 60 s")
}

// TestClockedIntervalsAndRouters has an application whose intervals keep to its own clock, which routes every name,
// looks at arguments, and speaks the older protocol.
func TestClockedIntervalsAndRouters(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
from datetime import timedelta
import celery

app = celery.Celery("app")
app.conf.timezone = "Asia/Kolkata"
app.conf.task_protocol = 1
app.conf.task_routes = ({"*": {"queue": "other"}}, lambda name, args, kwargs, *_, **__: {"queue": "vip"} if kwargs.get("vip") else None)
app.conf.beat_schedule = {
    "day": {"task": "app.a", "schedule": timedelta(days=1), "relative": True},
    "exchange": {"task": "app.a", "schedule": 60, "options": {"exchange": "ex", "routing_key": "k"}},
    "secret": {"task": "app.a", "schedule": 60, "options": {"argsrepr": "(hidden)", "task_id": "fixed"}},
}

@app.task(name="app.known")
def known(**kwargs):
    pass
`))
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.Celery, application.In(""), "Asia/Kolkata"), "day | new | every 86400 s",
		"exchange | new | every 60 s",
		"secret | refused | every 60 s | it would not run as it did | options options")
	day := named(t, pool, "day")
	if due, ok := day.Next(time.Now()); !ok || due.UTC().Format("15:04:05") != "18:30:00" {
		t.Errorf("it is due at %s, not at midnight in Kolkata", due)
	}
	if s := named(t, pool, "exchange"); s.Queue != "" || s.Exchange != "ex" {
		t.Errorf("%+v", s.Task())
	}
	stars := 0
	for _, r := range application.Routes() {
		if r.Pattern == "*" {
			stars++
			if r.Queue != "other" {
				t.Errorf("%+v", r)
			}
		}
	}
	if stars != 1 {
		t.Errorf("%d routes of *", stars)
	}
	client := testenv.Redis(t)
	definition := `{"name": "vip", "task": "app.known", "kwargs": {"vip": true}, "schedule": {"__type__": "crontab", "minute": "0", "hour": "9"}}`
	if err := client.HSet(t.Context(), "redbeat:vip", "definition", definition).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:vip"}).Err(); err != nil {
		t.Fatal(err)
	}
	entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{
		Prefix: importer.DefaultRedBeatPrefix, Application: &application, Timezone: application.Timezone,
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, pool, importer.RedBeat, entries, "UTC"),
		"vip | refused | 0 9 * * * Asia/Kolkata | it would not run as it did | queue")
}
