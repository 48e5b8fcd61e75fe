package importer_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// celeryApp has what applications have that were seen: options in every place where Celery looks for them, clocks of
// their own, and entries that cannot be sent.
const celeryApp = `
import zoneinfo
from datetime import datetime, timedelta
import celery
from celery.beat import BeatLazyFunc
from celery.schedules import crontab, solar
from kombu import Exchange, Queue

app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.timezone = "Europe/Berlin"
app.conf.task_default_queue = "usual"
app.conf.task_routes = ({"app.routed": {"queue": "fast", "priority": 7}, "feeds.*": "feeds"}, lambda name, *_, **__: {"queue": "found"} if name == "app.found" else None)
app.conf.task_queues = [Queue("topical", Exchange("topics", type="topic"), routing_key="a.#")]
app.conf.broker_transport_options = {"global_keyprefix": "us:", "priority_steps": [0, 5]}
app.conf.beat_schedule = {
    "absolute": {"task": "app.a", "schedule": 5, "options": {"expires": datetime(2027, 1, 1), "countdown": 5}},
    "callback": {"task": "app.a", "schedule": 5, "options": {"link": app.signature("app.b")}},
    "dawn": {"task": "app.d", "schedule": solar("sunrise", 35, 139)},
    "delta": {"task": "app.b", "schedule": timedelta(minutes=10), "relative": True},
    "feed": {"task": "feeds.new", "schedule": 60},
    "found": {"task": "app.found", "schedule": 60},
    "half": {"task": "app.b", "schedule": 60, "options": {"soft_time_limit": 20.5}},
    "lazy": {"task": "app.a", "schedule": 5, "args": (BeatLazyFunc(datetime.now),)},
    "never": {"task": "app.a", "schedule": crontab(day_of_month=31, month_of_year=2)},
    "nan": {"task": "app.a", "schedule": 60, "args": (float("nan"),)},
    "number": {"task": "app.c", "schedule": 30.0, "kwargs": {"a": None}},
    "object": {"task": "app.a", "schedule": 5, "args": (object(),)},
    "options": {"task": "app.options", "schedule": crontab(hour=3, minute=30)},
    "overridden": {"task": "app.overridden", "schedule": 60},
    "routed": {"task": "app.routed", "schedule": crontab(hour=3, minute=30)},
    "sixteen": {"task": "app.a", "schedule": 5, "args": (16)},
    "text": {"task": "app.a", "schedule": 5, "args": ("hello")},
    "tokyo": {"task": "app.a", "schedule": crontab(hour=9, minute=0, nowfun=lambda: datetime.now(zoneinfo.ZoneInfo("Asia/Tokyo")))},
    "topic": {"task": "app.a", "schedule": 60, "options": {"queue": "topical"}},
    "weekdays": {"task": "app.a", "schedule": crontab(minute=0, hour={9, 17}, day_of_week="mon-fri"), "args": (1, "é\ud83d\0", 1.0, 2**70), "options": {"queue": "q", "expires": 300}},
}

@app.on_after_finalize.connect
def more(sender, **_):
    sender.add_periodic_task(crontab(hour=7), again.s("x"), name="added")

@app.task
def again(what=None):
    pass

@app.task(name="app.options", queue="own", expires=60, time_limit=30, soft_time_limit=20, priority=3, ignore_result=True)
def options(x=1):
    pass

class Guarded(celery.Task):
    def apply_async(self, *args, **kwargs):
        raise SystemExit("it was run")

@app.task(name="app.overridden", base=Guarded)
def overridden():
    pass
`

// TestApplication runs the script where an application is, and brings in what it prints.
func TestApplication(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	printed := runScript(t, celeryApp)
	application, err := importer.ParseApplication(append([]byte("\ufeff"), printed...))
	if err != nil || application.Timezone != "Europe/Berlin" || application.Name != "app:app" ||
		application.DefaultQueue != "usual" {
		t.Fatalf("%+v, %v: %s", application, err, printed)
	}
	if got := fmt.Sprint(application.Settings()); got != "map[TACTUS_CELERY_KEY_PREFIX:us: "+
		"TACTUS_CELERY_PRIORITY_STEPS:0,5]" {
		t.Errorf("%s", got)
	}
	entries := application.In("")
	slices.SortFunc(entries, func(a, b importer.Entry) int {
		return strings.Compare(a.Definition.Name,
			b.Definition.Name)
	})
	const differs = " | it would not run as it did"
	want := []string{
		"absolute | refused | every 5 s" + differs + " | expires eta dst",
		"added | new | * 7 * * * Europe/Berlin",
		"callback | refused | every 5 s" + differs + " | callbacks dst",
		"dawn | refused | - | trigger_unsupported at /schedule",
		"delta | new | every 600 s | dst",
		"feed | new | every 60 s | dst",
		"found | new | every 60 s | dst",
		"half | refused | every 60 s" + differs + " | limits dst",
		"lazy | refused | every 5 s | args_unreadable at /args",
		"nan | refused | every 60 s | value_unreadable at /args",
		"never | refused | * * 31 2 * | unsendable",
		"number | new | every 30 s | dst",
		"object | refused | every 5 s | args_unreadable at /args",
		"options | new | 30 3 * * * Europe/Berlin",
		"overridden | refused | every 60 s" + differs + " | hooks dst",
		"routed | new | 30 3 * * * Europe/Berlin",
		"sixteen | refused | every 5 s | args_not_list at /args",
		"text | refused | every 5 s | args_not_list at /args",
		"tokyo | new | 0 9 * * * Asia/Tokyo",
		"topic | new | every 60 s | dst",
		"weekdays | new | 0 9,17 * * 1-5 Europe/Berlin",
	}
	equal(t, bring(t, pool, importer.Celery, entries, application.Timezone, "dst"), want...)
	for i := range want {
		want[i] = strings.Replace(want[i], " | new | ", " | same | ", 1)
	}
	equal(t, bring(t, pool, importer.Celery, entries, application.Timezone, "dst"), want...)
	for name, want := range map[string]string{
		"feed":     "feeds / /   [] {} 0 0 0 false",
		"found":    "found / /   [] {} 0 0 0 false",
		"number":   `usual / /   [] {"a":null} 0 0 0 false`,
		"options":  "own / /  3 [] {} 60 30 20 true",
		"routed":   "fast / /  7 [] {} 0 0 0 false",
		"topic":    "topical / topics/a.#   [] {} 0 0 0 false",
		"weekdays": `q / /   [1,"\u00e9\ud83d\u0000",1.0,1180591620717411303424] {} 300 0 0 false`,
	} {
		s, priority := named(t, pool, name), ""
		if s.Priority != nil {
			priority = fmt.Sprint(*s.Priority)
		}
		args, kwargs := string(s.Task().Args), strings.ReplaceAll(string(s.Task().Kwargs), " ", "")
		got := fmt.Sprintf("%s / %s/%s  %s %s %s %d %d %d %v", s.Queue, s.Exchange, s.RoutingKey, priority,
			strings.ReplaceAll(args, " ", ""), kwargs,
			s.ExpiresSeconds, s.TimeLimitSeconds, s.SoftTimeLimitSeconds, s.IgnoreResult)
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	// In another zone than its own it would be sent nine hours off.
	elsewhere := slices.DeleteFunc(application.In("Asia/Tokyo"),
		func(e importer.Entry) bool { return e.Definition.Name != "routed" })
	equal(t, bringFrom(t, testenv.Database(t), importer.Source{Kind: importer.Celery}, elsewhere, "Asia/Tokyo"),
		"routed | refused | 30 3 * * * Asia/Tokyo"+differs+" | zone")
}

// TestOddOptionIsRefusedAlone has options and keys that Celery takes and JSON or a message does not have.
func TestOddOptionIsRefusedAlone(t *testing.T) {
	t.Parallel()
	printed := runScript(t, `
import decimal
import celery
app = celery.Celery("app")
app.conf.task_routes = {"odd.*": {"queue": "q", "priority": "7"}, "feeds.*": "feeds"}
app.conf.broker_transport_options = {"priority_steps": range(3)}
options = {
    "decimal": {"expires": decimal.Decimal("60")}, "good": {"priority": 5}, "header": {"headers": {"a": float("nan")}},
    "nan": {"expires": float("nan")}, "set": {"priority": {1}}, "shadow": {"shadow": 5}, "soft": {"soft_time_limit": "20"},
    "text": {"priority": "5"}, "twice": {"headers": {"a": {1: 1, "1": 2}}},
}
app.conf.beat_schedule = {name: {"task": "app.a", "schedule": 60, "options": o} for name, o in options.items()}
app.conf.beat_schedule["keys"] = {"task": "app.a", "schedule": 60, "args": ({1: "a", "1": "b"},)}
app.conf.beat_schedule["names"] = {"task": "app.a", "schedule": 60, "kwargs": {"x": [{None: 1, "null": 2}]}}

@app.task(name="app.odd", priority={1})
def odd():
    pass
`)
	application, err := importer.ParseApplication(printed)
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	entries := application.In("")
	slices.SortFunc(entries, func(a, b importer.Entry) int {
		return strings.Compare(a.Definition.Name, b.Definition.Name)
	})
	equal(t, bring(t, testenv.Database(t), importer.Celery, entries, "UTC"),
		"decimal | refused | every 60 s | option_unreadable at /options/expires", "good | new | every 60 s",
		"header | refused | every 60 s | value_unreadable at /headers",
		"keys | refused | every 60 s | args_unreadable at /args",
		"names | refused | every 60 s | args_unreadable at /kwargs",
		"nan | refused | every 60 s | option_unreadable at /options/expires",
		"set | refused | every 60 s | option_unreadable at /options/priority",
		"shadow | refused | every 60 s | option_unreadable at /options/shadow",
		"soft | refused | every 60 s | option_unreadable at /options/soft_time_limit",
		"text | refused | every 60 s | option_unreadable at /options/priority",
		"twice | refused | every 60 s | value_unreadable at /headers")
	if got := fmt.Sprint(application.Left, sorted(application.NotAsked)); got != "[odd.*] [app.odd]" {
		t.Errorf("left: %s", got)
	}
}

func sorted(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// TestApplicationsRoutes brings in where an application sends its tasks, twice, and then without one of them.
func TestApplicationsRoutes(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, celeryApp))
	if err != nil {
		t.Fatal(err)
	}
	pool, source := testenv.Database(t), importer.Source{Kind: importer.Celery, Label: application.Name}
	if len(application.Left) != 1 || !strings.Contains(application.Left[0], "lambda") {
		t.Errorf("left behind: %v", application.Left)
	}
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "app.overridden", Queue: "by hand"}, "",
		nil); err != nil {
		t.Fatal(err)
	}
	bring := func(application importer.Application) (told []string) {
		t.Helper()
		i := importer.New(pool, source, "")
		rows, err := i.PlanRoutes(t.Context(), application)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.ApplyRoutes(t.Context(), rows, true); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			told = append(told, fmt.Sprintf("%s %s -> %s %d %v", r.Change, r.Pattern, r.Queue, r.ExpiresSeconds,
				r.IgnoreResult))
		}
		return told
	}
	equal(t, bring(application), "new feeds.* -> feeds 0 false", "new app.again -> usual 0 false",
		"new app.options -> own 60 true",
		"refused app.overridden -> usual 0 false", "new app.routed -> fast 0 false",
		"new celery.backend_cleanup -> usual 0 false", "new * -> usual 0 false")
	other, err := importer.New(pool, importer.Source{Kind: importer.Celery, Label: "other"}, "").
		PlanRoutes(t.Context(), application)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range other {
		if refused := r.Pattern == "app.overridden"; (r.Change == "refused") != refused || !refused && r.Change != "same" {
			t.Errorf("of another application with the same routes: %s %s", r.Change, r.Pattern)
		}
	}
	renamed, err := importer.ParseApplication(runScript(t, strings.Replace(celeryApp, `"feeds.*"`, `"other.*"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(renamed), "new other.* -> feeds 0 false", "same app.again -> usual 0 false",
		"same app.options -> own 60 true",
		"refused app.overridden -> usual 0 false", "same app.routed -> fast 0 false",
		"same celery.backend_cleanup -> usual 0 false",
		"same * -> usual 0 false", "gone feeds.* -> feeds 0 false")
	if all, err := outbox.Routes(t.Context(), pool); err != nil || len(all) != 7 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestHostsZone has an application go by its host's zone, which has no name there.
func TestHostsZone(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
import celery
from celery.schedules import crontab
app = celery.Celery("app")
app.conf.enable_utc = False
app.conf.beat_schedule = {"daily": {"task": "app.a", "schedule": crontab(hour=9, minute=30)}}
`, "TZ=Asia/Tokyo"))
	if err != nil || application.Timezone != "" {
		t.Fatalf("%+v, %v", application, err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.Celery, application.In(""), ""),
		"daily | refused | 30 9 * * * | timezone_unknown at /timezone")
	equal(t, bring(t, pool, importer.Celery, application.In("Europe/Paris"), ""),
		"daily | refused | 30 9 * * * Europe/Paris | it would not run as it did | zone")
	equal(t, bring(t, pool, importer.Celery, application.In("Asia/Tokyo"), ""), "daily | new | 30 9 * * * Asia/Tokyo")
}

// TestFixedOffsets has an application and its crontabs go by offsets instead of zones. Whole hours have a name; others
// are refused with what they are.
func TestFixedOffsets(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
import celery, pytz
from dateutil import tz
from datetime import datetime, timedelta, timezone
from celery.schedules import crontab
app = celery.Celery("app")
app.conf.timezone = timezone(timedelta(hours=-3))
def at(zone):
    return crontab(hour=9, minute=30, nowfun=lambda: datetime.now(zone))
app.conf.beat_schedule = {
    "application": {"task": "app.a", "schedule": crontab(hour=9, minute=30)},
    "tokyo": {"task": "app.a", "schedule": at(timezone(timedelta(hours=9)))},
    "pytz": {"task": "app.a", "schedule": at(pytz.FixedOffset(60))},
    "dateutil": {"task": "app.a", "schedule": at(tz.tzoffset(None, 7200))},
    "utc": {"task": "app.a", "schedule": at(tz.tzutc())},
    "india": {"task": "app.a", "schedule": at(timezone(timedelta(hours=5, minutes=30)))},
    "interval": {"task": "app.a", "schedule": 60},
}
`))
	if err != nil || application.Timezone != "Etc/GMT+3" {
		t.Fatalf("%q, %v", application.Timezone, err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.Celery, application.In(""), application.Zone()),
		"application | new | 30 9 * * * Etc/GMT+3", "tokyo | new | 30 9 * * * Etc/GMT-9", "pytz | new | 30 9 * * * Etc/GMT-1",
		"dateutil | new | 30 9 * * * Etc/GMT-2", "utc | new | 30 9 * * * UTC",
		"india | refused | 30 9 * * * +05:30 | timezone_unknown at /timezone", "interval | new | every 60 s")
	const why = "its time zone is the fixed offset +05:30, which has no name"
	for _, e := range application.In("") {
		if (e.Definition.Name == "india") != strings.Contains(e.Refused, why) {
			t.Errorf("%s: %s", e.Definition.Name, e.Refused)
		}
	}
	if entries := application.In("Asia/Kolkata"); !strings.HasPrefix(bring(t, pool, importer.Celery, entries[5:6], "")[0],
		"india | new | 30 9 * * * Asia/Kolkata") {
		t.Errorf("%+v", entries[5])
	}
}

// runScript runs importer.Script beside an application.
func runScript(t *testing.T, app string, environment ...string) []byte {
	t.Helper()
	return testenv.BesideCelery(t, app, importer.Script, []string{"app:app"}, append(environment, withResults)...)
}

// withResults has results go to a place. Without one, Celery's beat has an entry of its own (TestCleanup).
const withResults = "CELERY_RESULT_BACKEND=redis://localhost:1/1"
