package importer_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var now = time.Date(2027, 3, 2, 12, 0, 0, 0, time.UTC)

// bring plans and applies, and gives the plan in words.
func bring(t *testing.T, pool *pgxpool.Pool, kind string, entries []importer.Entry, timezone string, accept ...string) (told []string) {
	t.Helper()
	return bringFrom(t, pool, importer.Source{Kind: kind, Label: "here"}, entries, timezone, accept...)
}

func bringFrom(t *testing.T, pool *pgxpool.Pool, source importer.Source, entries []importer.Entry, timezone string, accept ...string) (told []string) {
	t.Helper()
	i := importer.New(pool, source, timezone, accept...)
	rows, err := i.Plan(t.Context(), entries, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Apply(t.Context(), rows, true); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		codes := []string{}
		for _, d := range r.Differences {
			codes = append(codes, d.Code)
		}
		reason, _, _ := strings.Cut(r.Reason, ":")
		words := []string{r.Name, r.Change, r.Trigger, reason, strings.Join(codes, " "), strings.Join(r.Changes, "; "), strings.Join(r.Notes, "; ")}
		told = append(told, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " | "))
	}
	return told
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func named(t *testing.T, pool *pgxpool.Pool, name string) domain.Schedule {
	t.Helper()
	s, err := outbox.GetByName(t.Context(), pool, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// redBeat are keys as RedBeat writes them: a definition, and what was noted of its runs.
var redBeat = map[string][2]string{
	"hourly": {
		`{"name": "hourly", "task": "app.a", "args": [1, "é"], "kwargs": {"a": {"b": null}}, "options": {"queue": "q", "priority": 5, "expires": 90.5, "link": ["x"]},
		  "schedule": {"__type__": "crontab", "minute": "0", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}, "enabled": true}`,
		`{"last_run_at": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 12, "minute": 0, "second": 0, "microsecond": 0, "timezone": "UTC"}, "total_run_count": 3}`,
	},
	"tens": {
		`{"name": "tens", "task": "app.b", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 600.0, "relative": false}, "enabled": true}`,
		`{"last_run_at": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 0, "timezone": 32400.0}}`,
	},
	"tiny":   {`{"name": "tiny", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 0.5, "relative": false}, "enabled": true}`, ``},
	"rules":  {`{"name": "rules", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "rrule", "freq": 5}, "enabled": false}`, `{"last_run_at": null}`},
	"harm":   {`{"name": "harm", "task": "app.c", "args": [], "kwargs": {}, "options": {"headers": {"x": {"__type__": "datetime"}}}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`, ``},
	"lost":   {``, ``},
	"number": {`{"name": "number", "task": "app.b", "args": [], "kwargs": {}, "options": {}, "schedule": 45, "enabled": true}`, ``},
	"times": {`{"name": "times", "task": "app.b", "args": [{"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 0, "timezone": "UTC"}, 1e400],
		"kwargs": {"a\u00e9": {"b": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 7, "timezone": 32400.0}}, "c": "\ud83d"},
		"options": {"queue": "q"}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`, ``},
	"weekday": {`{"name": "weekday", "task": "app.b", "args": [{"__type__": "weekday", "wkday": 1}], "kwargs": {}, "options": {"queue": "q"}, "schedule": 60, "enabled": true}`, ``},
}

func TestRedBeat(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	for name, fields := range redBeat {
		if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:" + name, Score: float64(name[0])}).Err(); err != nil {
			t.Fatal(err)
		}
		for i, field := range []string{"definition", "meta"} {
			if fields[i] == "" {
				continue
			}
			if err := client.HSet(t.Context(), "redbeat:"+name, field, fields[i]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func() []importer.Entry {
		t.Helper()
		entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "America/New_York"})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	const differs = "it would not run as it did"
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"),
		`harm | refused | every 60 s | value_unreadable at /headers/x`,
		`hourly | refused | 0 * * * * America/New_York | `+differs+` | dst expires options`,
		`lost | refused | - | orphaned`,
		`number | refused | every 45 s | `+differs+` | queue`,
		`rules | refused | - | trigger_unsupported at /schedule`,
		`tens | refused | every 600 s | `+differs+` | queue`,
		`times | refused | every 60 s | `+differs+` | args`,
		`tiny | refused | every 0.5 s | interval_too_small at /interval_seconds`,
		`weekday | refused | every 60 s | args_unreadable at /args`)
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York", "queue", "args", "dst", "expires", "options"),
		`harm | refused | every 60 s | value_unreadable at /headers/x`,
		`hourly | new | 0 * * * * America/New_York | dst expires options`,
		`lost | refused | - | orphaned`,
		`number | new | every 45 s | queue`,
		`rules | refused | - | trigger_unsupported at /schedule`,
		`tens | new | every 600 s | queue`,
		`times | new | every 60 s | args`,
		`tiny | refused | every 0.5 s | interval_too_small at /interval_seconds`,
		`weekday | refused | every 60 s | args_unreadable at /args`)
	if s := named(t, pool, "times"); string(s.Args) != `["2027-03-02T20:55:00Z",1e400]` || string(s.Kwargs) != `{"a\u00e9":{"b":"2027-03-02T20:55:00.000007+09:00"},"c":"\ud83d"}` {
		t.Errorf("%s %s", s.Args, s.Kwargs)
	}
	hourly := named(t, pool, "hourly")
	if string(hourly.Args) != `[1,"é"]` || string(hourly.Kwargs) != `{"a":{"b":null}}` || hourly.Queue != "q" || *hourly.Priority != 5 || hourly.ExpiresSeconds != 91 {
		t.Errorf("%+v", hourly)
	}
	tens := named(t, pool, "tens")
	if due, ok := tens.Next(tens.EffectiveFrom); !ok || due.Minute()%10 != 5 || due.Second() != 0 || !due.After(tens.EffectiveFrom) {
		t.Errorf("it does not go on from its last run: %s", due)
	}
	// It has run meanwhile, one was edited and one was deleted.
	for key, meta := range map[string]string{"redbeat:tens": `{"last_run_at": {"year": 2027, "month": 3, "day": 2, "hour": 12, "minute": 5, "second": 1, "microsecond": 7, "timezone": "UTC"}}`} {
		if err := client.HSet(t.Context(), key, "meta", meta).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"harm", "lost", "number", "rules", "times", "tiny", "weekday", "hourly"} {
		if err := client.ZRem(t.Context(), "redbeat::schedule", "redbeat:"+name).Err(); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"), `tens | same | every 600 s | queue`,
		`times | gone | every 60 s`, `number | gone | every 45 s`, `hourly | gone | 0 * * * * America/New_York`)
	if after := named(t, pool, "tens"); after.Version != 1 {
		t.Errorf("that it ran is no change: %+v", after)
	}
	if _, err := outbox.GetByName(t.Context(), pool, "hourly"); err == nil {
		t.Error("what is gone was not pruned")
	}
}

// celeryApp has what applications have that were seen: options in every place where Celery looks for them, clocks of their
// own, and entries that cannot be sent.
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
def again(what):
    pass

@app.task(name="app.options", queue="own", expires=60, time_limit=30, soft_time_limit=20, priority=3, ignore_result=True)
def options(x):
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
	if err != nil || application.Timezone != "Europe/Berlin" || application.Name != "app:app" || application.DefaultQueue != "usual" {
		t.Fatalf("%+v, %v: %s", application, err, printed)
	}
	if got := fmt.Sprint(application.Settings()); got != "map[TACTUS_CELERY_KEY_PREFIX:us: TACTUS_CELERY_PRIORITY_STEPS:0,5]" {
		t.Errorf("%s", got)
	}
	entries := application.In("")
	slices.SortFunc(entries, func(a, b importer.Entry) int { return strings.Compare(a.Definition.Name, b.Definition.Name) })
	const differs = " | it would not run as it did"
	want := []string{
		"absolute | refused | every 5 s" + differs + " | expires eta",
		"added | new | * 7 * * * Europe/Berlin",
		"callback | refused | every 5 s" + differs + " | callbacks",
		"dawn | refused | - | trigger_unsupported at /schedule",
		"delta | new | every 600 s",
		"feed | new | every 60 s",
		"found | new | every 60 s",
		"half | refused | every 60 s" + differs + " | limits",
		"lazy | refused | every 5 s | args_unreadable at /args",
		"nan | refused | every 60 s | value_unreadable at /args",
		"never | refused | * * 31 2 * | unsendable",
		"number | new | every 30 s",
		"object | refused | every 5 s | args_unreadable at /args",
		"options | new | 30 3 * * * Europe/Berlin",
		"overridden | refused | every 60 s" + differs + " | hooks",
		"routed | new | 30 3 * * * Europe/Berlin",
		"sixteen | refused | every 5 s | args_not_list at /args",
		"text | refused | every 5 s | args_not_list at /args",
		"tokyo | new | 0 9 * * * Asia/Tokyo",
		"topic | new | every 60 s",
		"weekdays | new | 0 9,17 * * 1-5 Europe/Berlin",
	}
	equal(t, bring(t, pool, importer.Celery, entries, application.Timezone), want...)
	for i := range want {
		want[i] = strings.Replace(want[i], " | new | ", " | same | ", 1)
	}
	equal(t, bring(t, pool, importer.Celery, entries, application.Timezone), want...)
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
		got := fmt.Sprintf("%s / %s/%s  %s %s %s %d %d %d %v", s.Queue, s.Exchange, s.RoutingKey, priority, strings.ReplaceAll(args, " ", ""), kwargs,
			s.ExpiresSeconds, s.TimeLimitSeconds, s.SoftTimeLimitSeconds, s.IgnoreResult)
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	// In another zone than its own it would be sent nine hours off.
	elsewhere := slices.DeleteFunc(application.In("Asia/Tokyo"), func(e importer.Entry) bool { return e.Definition.Name != "routed" })
	equal(t, bringFrom(t, testenv.Database(t), importer.Source{Kind: importer.Celery}, elsewhere, "Asia/Tokyo"), "routed | refused | 30 3 * * * Asia/Tokyo"+differs+" | zone")
}

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
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "app.overridden", Queue: "by hand"}, "", nil); err != nil {
		t.Fatal(err)
	}
	bring := func(routes []domain.Route) (told []string) {
		t.Helper()
		rows, err := importer.PlanRoutes(t.Context(), pool, source, routes)
		if err != nil {
			t.Fatal(err)
		}
		if err := importer.ApplyRoutes(t.Context(), pool, rows, true); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			told = append(told, fmt.Sprintf("%s %s -> %s %d %v", r.Change, r.Pattern, r.Queue, r.ExpiresSeconds, r.IgnoreResult))
		}
		return told
	}
	routes := application.Routes()
	equal(t, bring(routes), "new feeds.* -> feeds 0 false", "new app.again -> usual 0 false", "new app.options -> own 60 true",
		"refused app.overridden -> usual 0 false", "new app.routed -> fast 0 false", "new celery.backend_cleanup -> usual 0 false", "new * -> usual 0 false")
	equal(t, bring(routes[1:]), "same app.again -> usual 0 false", "same app.options -> own 60 true",
		"refused app.overridden -> usual 0 false", "same app.routed -> fast 0 false", "same celery.backend_cleanup -> usual 0 false",
		"same * -> usual 0 false", "gone feeds.* -> feeds 0 false")
	if all, err := outbox.Routes(t.Context(), pool); err != nil || len(all) != 6 {
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
	equal(t, bring(t, pool, importer.Celery, application.In(""), ""), "daily | refused | 30 9 * * * | timezone_unknown at /timezone")
	equal(t, bring(t, pool, importer.Celery, application.In("Europe/Paris"), ""), "daily | refused | 30 9 * * * Europe/Paris | it would not run as it did | zone")
	equal(t, bring(t, pool, importer.Celery, application.In("Asia/Tokyo"), ""), "daily | new | 30 9 * * * Asia/Tokyo")
}

// TestRedBeatOfAnApplication has the application say what RedBeat's keys leave out.
func TestRedBeatOfAnApplication(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, celeryApp))
	if err != nil {
		t.Fatal(err)
	}
	client := testenv.Redis(t)
	for name, task := range map[string]string{"a": "app.options", "b": "app.unknown"} {
		definition := fmt.Sprintf(`{"name": %q, "task": %q, "schedule": {"__type__": "crontab", "minute": "0", "hour": "9"}}`, name, task)
		if err := client.HSet(t.Context(), "redbeat:"+name, "definition", definition).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:" + name}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{
		Prefix: importer.DefaultRedBeatPrefix, Application: &application, Timezone: application.Timezone,
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.RedBeat, entries, "UTC"),
		"a | new | 0 9 * * * Europe/Berlin", "b | refused | 0 9 * * * Europe/Berlin | it would not run as it did | queue")
	if s := named(t, pool, "a"); s.Queue != "own" || s.ExpiresSeconds != 60 || *s.Priority != 3 {
		t.Errorf("%+v", s)
	}
}

// runScript runs importer.Script beside an application.
func runScript(t *testing.T, app string, environment ...string) []byte {
	t.Helper()
	return testenv.BesideCelery(t, app, importer.Script, []string{"app:app"}, environment...)
}

func TestCrontab(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	text, err := os.ReadFile("testdata/crontab.txt")
	if err != nil {
		t.Fatal(err)
	}
	options := importer.CrontabOptions{Task: "app.run", Timezone: "UTC"}
	equal(t, bring(t, pool, importer.Crontab, crontab(t, string(text), options), "UTC"),
		"cron /usr/bin/report --all 85839efa | new | 0 9 13 * 5 Asia/Tokyo",
		"cron date +%F a43a1adc | new | */5 * * * * Asia/Tokyo",
		"cron backup 54d00d86 | new | 0 0 * * * Asia/Tokyo",
		"cron warm-up b64f4598 | refused | @reboot Asia/Tokyo | trigger_unsupported",
		"cron broken f526795c | refused | 0 9 * * 8 Asia/Tokyo | cron_syntax at /cron_expression",
		"cron backup 54d00d86 (2) | new | 0 10 * * * Asia/Tokyo")
	edited := crontab(t, strings.Replace(string(text), "0 10", "30 10", 1), options)
	again := bring(t, pool, importer.Crontab, edited, "UTC")
	if want := `cron backup 54d00d86 (2) | changed | 30 10 * * * Asia/Tokyo | cron_expression: "0 10 * * *" -> "30 10 * * *"`; again[5] != want || !strings.Contains(again[0], "| same |") {
		t.Errorf("got %s\nwant %s", strings.Join(again, "\n"), want)
	}
	date := named(t, pool, "cron date +%F a43a1adc")
	if want := `["date +%F"] {"env":{"MAILTO":"","PATH":"/usr/bin:/bin"},"stdin":"first line\nsecond line"} vixie`; fmt.Sprintf("%s %s %s", date.Args, date.Kwargs, date.CronDialect) != want {
		t.Errorf("%s %s %s, want %s", date.Args, date.Kwargs, date.CronDialect, want)
	}
}

// TestCrontabLines reads lines that can be taken for two things.
func TestCrontabLines(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	isUser := func(name string) bool { return name == "www-data" }
	for _, c := range []struct {
		line    string
		options importer.CrontabOptions
		want    string
	}{
		{"0 9 * * * www-data  tidy up", importer.CrontabOptions{System: &yes}, `0 9 * * * ["tidy up"] {"user":"www-data"} `},
		{"0 9 * * * www-data  tidy up", importer.CrontabOptions{System: &no}, `0 9 * * * ["www-data  tidy up"] {} `},
		{"0 9 * * * www-data  tidy up", importer.CrontabOptions{}, `0 9 * * * ["www-data  tidy up"] {} system_unknown`},
		{"0 9 * * * www-data", importer.CrontabOptions{}, `0 9 * * * ["www-data"] {} `},
		{"@daily www-data tidy", importer.CrontabOptions{System: &yes}, `@daily ["tidy"] {"user":"www-data"} `},
		{"\ufeff*/6 * * * * * echo", importer.CrontabOptions{}, `*/6 * * * * ["* echo"] {} cron_syntax`},
		{"*/6 * * * * * echo", importer.CrontabOptions{Seconds: true}, `*/6 * * * * * ["echo"] {} `},
		{"0 9 * * * 7zip a", importer.CrontabOptions{}, `0 9 * * * ["7zip a"] {} `},
	} {
		c.options.IsUser = isUser
		e := crontab(t, c.line, c.options)[0]
		reason, _, _ := strings.Cut(e.Refused, ":")
		if got := fmt.Sprintf("%s %s %s %s", e.Definition.CronExpression, e.Definition.Args, e.Definition.Kwargs, reason); got != c.want {
			t.Errorf("%q: got %s, want %s", c.line, got, c.want)
		}
	}
}

// TestOneBadEntryIsRefusedAlone has entries that PostgreSQL or Redis would end the whole import for.
func TestOneBadEntryIsRefusedAlone(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	entries := crontab(t, "0 9 * * * a\x00b\n0 9 * * * caf\xe9\n0 9 * * * good\n", importer.CrontabOptions{Task: "t", Timezone: "UTC"})
	equal(t, bring(t, pool, importer.Crontab, entries, "UTC"),
		"cron line 1 | refused | - | nul_unsupported", "cron line 2 | refused | - | utf8_invalid", "cron good 770e6076 | new | 0 9 * * * UTC")

	client := testenv.Redis(t)
	entry := func(key, definition string) {
		client.HSet(t.Context(), key, "definition", definition)
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: key})
	}
	for key, name := range map[string]string{"redbeat:a": `no\u0000text`, "redbeat:no\x00definition": "", "redbeat:caf\xe9": "", "redbeat:d": "good"} {
		definition := `{"name":"` + name + `","task":"app.a","args":[],"kwargs":{},"options":{"queue":"q"},"schedule":60,"enabled":true}`
		if name == "" {
			definition = "{"
		}
		entry(key, definition)
	}
	entry("redbeat:e", `{"name":"task","task":"app\u0000a","args":[],"kwargs":{},"options":{"queue":"q"},"schedule":60,"enabled":true}`)
	client.Set(t.Context(), "redbeat:f", "no hash", 0)
	client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:f"})
	entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, pool, importer.RedBeat, entries, "UTC"),
		"no\x00text | refused | every 60 s | utf8_invalid at /name", "caf\xe9 | refused | - | json_invalid at /definition", "good | new | every 60 s",
		"task | refused | every 60 s | text_invalid at /task_name", "f | refused | - | orphaned", "no\x00definition | refused | - | json_invalid at /definition")
}

// TestLinesOfOneCommandKeepTheirNames takes out the first of three lines of one command, and then moves one.
func TestLinesOfOneCommandKeepTheirNames(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	lines := func(text string) []importer.Entry {
		return crontab(t, text, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"})
	}
	bring(t, pool, importer.Crontab, lines("0 1 * * * work\n0 2 * * * work\n0 3 * * * work\n"), "UTC")
	equal(t, bring(t, pool, importer.Crontab, lines("00 2 * * * work\n0 3 * * * work\n"), "UTC"),
		"cron work 00e13ed7 (2) | same | 0 2 * * * UTC", "cron work 00e13ed7 (3) | same | 0 3 * * * UTC", "cron work 00e13ed7 | gone | 0 1 * * * UTC")
	equal(t, bring(t, pool, importer.Crontab, lines("0 5 * * * work\n0 3 * * * work\n0 4 * * * work\n"), "UTC"),
		"cron work 00e13ed7 (2) | changed | 0 5 * * * UTC | cron_expression: \"0 2 * * *\" -> \"0 5 * * *\"",
		"cron work 00e13ed7 (3) | same | 0 3 * * * UTC", "cron work 00e13ed7 | new | 0 4 * * * UTC")
}

// TestHandingBackToRedBeat has entries say when they ran last. A count that RedBeat keeps stays.
func TestHandingBackToRedBeat(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store, source := outbox.NewStore(pool, ""), importer.Source{Kind: importer.RedBeat, Label: "r"}
	ran := time.Now().Add(-time.Hour).Truncate(time.Microsecond).UTC()
	yesterday := ran.AddDate(0, 0, -1)
	meta := fmt.Sprintf(`{"last_run_at": {"__type__": "datetime", "year": %d, "month": %d, "day": %d, "hour": 0, "minute": 0, "second": 0,
		"microsecond": 0, "timezone": "UTC"}, "total_run_count": 3}`, yesterday.Year(), yesterday.Month(), yesterday.Day())
	for name, ago := range map[string]time.Duration{"ran": 0, "ran later there": -48 * time.Hour, "never ran": 0, "gone there": 0} {
		s, err := store.Create(t.Context(), domain.Definition{Name: name, TaskName: "t", CronExpression: "0 0 1 1 *", Tags: []string{"import:redbeat:r"}}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if name != "never ran" {
			if _, err := pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				values ($1, $2, $3, 'scheduled', 'succeeded', 1, $3)`, outbox.NewID(), s.ID, ran.Add(ago)); err != nil {
				t.Fatal(err)
			}
		}
		if name == "gone there" {
			continue
		}
		if err := client.HSet(t.Context(), "redbeat:"+name, "definition", "{}", "meta", meta).Err(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := importer.HandBackRedBeat(t.Context(), pool, source, client, importer.DefaultRedBeatPrefix)
	equal(t, names, "ran", "ran later there")
	if err != nil || client.Exists(t.Context(), "redbeat:gone there").Val() != 0 {
		t.Errorf("%v", err)
	}
	for name, want := range map[string][]string{
		"ran":             {fmt.Sprintf(`"hour":%d,`, ran.Hour()), fmt.Sprintf(`"microsecond":%d,`, ran.Nanosecond()/1000), `"total_run_count":3`},
		"ran later there": {fmt.Sprintf(`"day":%d,`, yesterday.Day()), `"hour":0,`, `"total_run_count":3`},
		"never ran":       {`"hour": 0,`},
	} {
		for _, part := range want {
			if noted := client.HGet(t.Context(), "redbeat:"+name, "meta").Val(); !strings.Contains(noted, part) {
				t.Errorf("%s: %s has no %s", name, noted, part)
			}
		}
	}
}

// TestTwoSources brings the same names in from two hosts: neither changes nor prunes the other's.
func TestTwoSources(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	first, second := importer.Source{Kind: importer.Crontab, Label: "one:/etc/crontab"}, importer.Source{Kind: importer.Crontab, Label: "two:/etc/crontab"}
	lines := func(text string) []importer.Entry {
		return crontab(t, text, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"})
	}
	equal(t, bringFrom(t, pool, first, lines("0 1 * * * work\n0 2 * * * other\n"), "UTC"),
		"cron work 00e13ed7 | new | 0 1 * * * UTC", "cron other d9298a10 | new | 0 2 * * * UTC")
	equal(t, bringFrom(t, pool, second, lines("0 3 * * * work\n"), "UTC"), "cron work 00e13ed7 [two:/etc/crontab] | new | 0 3 * * * UTC")
	equal(t, bringFrom(t, pool, first, lines("0 1 * * * work\n"), "UTC"), "cron work 00e13ed7 | same | 0 1 * * * UTC", "cron other d9298a10 | gone | 0 2 * * * UTC")
	equal(t, bringFrom(t, pool, second, lines("0 4 * * * work\n"), "UTC"),
		"cron work 00e13ed7 [two:/etc/crontab] | changed | 0 4 * * * UTC | cron_expression: \"0 3 * * *\" -> \"0 4 * * *\"")
}

// TestForeignNamesAreLeftAlone imports what has the name of a schedule that came from elsewhere.
func TestForeignNamesAreLeftAlone(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	theirs := domain.Definition{Name: "taken", TaskName: "app.theirs", CronExpression: "0 9 * * *"}
	if _, _, err := outbox.NewStore(pool, "").Put(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	mine := importer.Entry{Definition: domain.Definition{Name: "taken", TaskName: "app.mine", CronExpression: "0 9 * * *"}}
	twice := importer.Entry{Definition: domain.Definition{Name: "twice", TaskName: "app.mine", CronExpression: "0 9 * * *"}}
	equal(t, bring(t, pool, importer.Celery, []importer.Entry{mine, twice, twice}, "UTC"),
		"taken | refused | 0 9 * * * | name_taken at /name", "twice | new | 0 9 * * * UTC", "twice | refused | 0 9 * * * UTC | name_taken at /name")
	if s := named(t, pool, "taken"); s.TaskName != "app.theirs" {
		t.Errorf("%+v", s)
	}
}
