package importer_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSchedulesThatDecideThemselves has classes that have their own clock, or their own code for when they are due.
// Each comes in at the instants at which Celery's beat sends it, or is refused.
func TestSchedulesThatDecideThemselves(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"now":             "new 0 9 * * * Asia/Tokyo",
		"now of interval": "new every 60 s",
		"own init":        "new 0 9 * * * Asia/Tokyo",
		"tz":              "new 0 9 * * * UTC",
		"plain":           "new 0 9 * * * UTC",
		"long":            "new every 77760000 s",
		"yearly":          "new 0 9 1 1 * UTC",
		"fields":          "refused instants",
		"frozen":          "refused instants",
		"late":            "refused zone",
		"old":             "refused instants,zone",
		"instance":        "refused instants",
		"local":           "refused instants",
		"minute":          "refused instants",
		"never":           "refused instants",
		"remaining":       "refused instants",
		"seconds":         "refused instants",
		"spec":            "refused instants",
		"entry":           "new 0 9 * * * UTC", // of which Celery's beat makes an entry of its own
	}
	for name, got := range planned(t, decidingApp) {
		if got != want[name] {
			t.Errorf("%s: %s, want %s", name, got, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("not printed: %s", slices.Collect(maps.Keys(want)))
	}
}

// TestChangesOfTheHostsClocks has an application go by the clocks of its host, whose changes count although they are of
// another season.
func TestChangesOfTheHostsClocks(t *testing.T) {
	t.Parallel()
	const app = `
import celery
from datetime import datetime, timedelta
from celery.schedules import crontab, schedule
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.enable_utc = False
app.conf.beat_schedule = {name: {"task": "app.any", "schedule": s} for name, s in {
    "relative": schedule(timedelta(days=1), relative=True), "interval": timedelta(hours=1), "hourly": crontab(minute=15),
    "often": crontab(minute="*/5"), "daily": crontab(minute=0, hour=9), "naive": crontab(minute=15, nowfun=datetime.now),
}.items()}
`
	application, err := importer.ParseApplication(runScript(t, app, "TZ=America/New_York"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := importer.New(testenv.Database(t), importer.Source{Kind: importer.Celery}, "America/New_York").
		Plan(t.Context(), application.In("America/New_York"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// There a time has the offset that it began with, so that hours are real ones, and days an hour off.
	want := map[string]string{
		"relative": "refused", "daily": "refused", "naive": "refused", "interval": "new", "hourly": "new", "often": "new",
	}
	for _, r := range rows {
		if r.Change != want[r.Name] {
			t.Errorf("%s: %s %s, want %s", r.Name, r.Change, r.Reason, want[r.Name])
		}
	}
}

// TestCeleryReplacedByTheApplication has applications that put their own code in the place of Celery's while they are
// imported.
func TestCeleryReplacedByTheApplication(t *testing.T) {
	t.Parallel()
	for want, replaces := range map[string]string{
		"refused hooks": `
own = celery.Celery.send_task
celery.Celery.send_task = lambda self, name, args=None, kwargs=None, **o: own(self, name, args, kwargs, **dict(o, queue="tenant-a"))
`,
		"refused hooks ": `
own = celery.Task.apply_async
celery.Task.apply_async = lambda self, *args, **kwargs: own(self, *args, **dict(kwargs, queue="tenant-a"))
`,
		"refused hooks  ": `
own = app.send_task
app.send_task = lambda *args, **kwargs: own(*args, **dict(kwargs, queue="tenant-a"))
`,
		"refused instants": `
crontab.is_due = lambda self, last_run_at: (False, 60)
`,
		"new 0 9 * * * UTC": ``,
	} {
		got := planned(t, `
import celery
from celery.schedules import crontab
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {"remote": {"task": "remote.task", "schedule": crontab(minute=0, hour=9)}}
`+replaces)["remote"]
		if got != strings.TrimSpace(want) {
			t.Errorf("%s: %s, want %s", replaces, got, want)
		}
	}
}

// TestLibrariesThatOnlyTrace has applications in which others' code takes part in sending. Where it is that of
// libraries which give a message headers for traces, entries come in, with a remark.
func TestLibrariesThatOnlyTrace(t *testing.T) {
	t.Parallel()
	const sentry = `
library("sentry_sdk.integrations.celery", """
from functools import wraps
def wrapped(f):
    @wraps(f)
    def apply_async(*args, **kwargs):
        kwargs["headers"] = {"sentry-trace": "1-2"}
        return f(*args, **kwargs)
    return apply_async
celery.Celery.send_task, celery.Task.apply_async = wrapped(celery.Celery.send_task), wrapped(celery.Task.apply_async)
original = celery.beat.Scheduler.apply_entry
def sentry_apply_entry(*args, **kwargs):
    return original(*args, **kwargs)
celery.beat.Scheduler.apply_entry = sentry_apply_entry
""")
`
	const monitors = sentry + `
class Integration:
    monitor_beat_tasks, exclude_beat_tasks = True, [%s]
class Client:
    def get_integration(self, name):
        return Integration() if name == "celery" else None
library("sentry_sdk", "").get_client = Client
`
	const traced = "new 0 9 * * * UTC: headers for traces and logs (%s) are not sent"
	for _, c := range []struct{ want, library string }{
		{fmt.Sprintf(traced, "sentry_sdk"), sentry},
		{"refused hooks", fmt.Sprintf(monitors, "")},
		{fmt.Sprintf(traced, "sentry_sdk"), fmt.Sprintf(monitors, `"other", "rem.*"`)},
		{"refused hooks", fmt.Sprintf(monitors, `"rem"`)},
		{"refused hooks", `
own = celery.Celery.send_task
celery.Celery.send_task = lambda *args, **kwargs: own(*args, **dict(kwargs, queue="tenant-a"))
` + sentry},
		{"refused hooks", sentry + `
own = celery.Task.apply_async
celery.Task.apply_async = lambda *args, **kwargs: own(*args, **dict(kwargs, queue="tenant-a"))
`},
		{"refused hooks", `
class Sender:
    def __init__(self):
        self.__wrapped__ = celery.Celery.send_task
    def __call__(self, *args, **kwargs):
        return self.__wrapped__(app, *args, **dict(kwargs, queue="tenant-a"))
celery.Celery.send_task = Sender()
`},
		{fmt.Sprintf(traced, "ddtrace"), `
library("ddtrace.contrib.celery", """
class FunctionWrapper:
    def __init__(self, wrapped, wrapper):
        self.__wrapped__, self._self_wrapper = wrapped, wrapper
    def __get__(self, instance, owner):
        return lambda *args, **kwargs: self._self_wrapper(self.__wrapped__, instance, args, kwargs)
def traced(func, instance, args, kwargs):
    return func(instance, *args, **kwargs)
celery.Task.apply_async = FunctionWrapper(celery.Task.apply_async, traced)
celery.beat.Scheduler.tick = FunctionWrapper(celery.beat.Scheduler.tick, traced)
""")
`},
		{fmt.Sprintf(traced, "opentelemetry"), `
library("opentelemetry.instrumentation.celery", """
class Instrumentor:
    def before(self, headers=None, **_):
        headers["traceparent"] = "00"
instrumentor = Instrumentor()
celery.signals.before_task_publish.connect(instrumentor.before, weak=False)
celery.signals.after_task_publish.connect(instrumentor.before)
""")
`},
		{"refused hooks", `
@celery.signals.before_task_publish.connect
def tenant(headers=None, **_):
    headers["tenant"] = "acme"
`},
		{"refused hooks", `
library("opentelemetry.instrumentation.celery", """
def before(headers=None, **_):
    headers["traceparent"] = "00"
celery.signals.before_task_publish.connect(before)
""")
celery.signals.before_task_publish.connect(lambda **_: None, weak=False)
`},
	} {
		if got := planned(t, tracedApp+c.library)["remote"]; got != c.want {
			t.Errorf("%s: %s, want %s", c.library, got, c.want)
		}
	}
}

// TestCodeAtTheBeatsStart has applications whose code runs when a beat starts, which the script does not run.
func TestCodeAtTheBeatsStart(t *testing.T) {
	t.Parallel()
	const theirs = `
library("ddtrace.x", """
def start(**_):
    pass
celery.signals.beat_init.connect(start)
""")
`
	for connects, want := range map[string]string{
		theirs: "[]",
		theirs + `
@celery.signals.beat_init.connect
def start(**_):
    app.conf.task_default_queue = "other"
`: "[app runs code of its own when the beat starts (beat_init), which is not run here: see whether it changes what is sent, or when]",
	} {
		application, err := importer.ParseApplication(runScript(t, tracedApp+connects))
		if got := fmt.Sprint(application.Notes); err != nil || got != want {
			t.Errorf("%s, want %s (%v)", got, want, err)
		}
	}
}

// TestTimesWithoutZones has a project of Django whose beat misreads the times of its rows.
func TestTimesWithoutZones(t *testing.T) {
	t.Parallel()
	for settings, told := range map[string]bool{
		`USE_TZ=False, TIME_ZONE="Asia/Shanghai"`: true, `USE_TZ=False, TIME_ZONE="UTC"`: false, `USE_TZ=True, TIME_ZONE="Asia/Shanghai"`: false,
	} {
		application, err := importer.ParseApplication(testenv.BesideDjango(t, `
import celery, django
from celery.schedules import crontab
from django.conf import settings
settings.configure(INSTALLED_APPS=["django_celery_beat"], `+settings+`)
django.setup()
from django_celery_beat import schedulers
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {"daily": {"task": "remote.task", "schedule": crontab(minute=0, hour=9)}}
`, importer.Script, []string{"app:app"}))
		if got := strings.Contains(fmt.Sprint(application.Notes), "--naive-timezone Asia/Shanghai"); err != nil || got != told {
			t.Errorf("%s: %s (%v)", settings, application.Notes, err)
		}
		for _, e := range application.In("") {
			if len(e.Differences) > 0 {
				t.Errorf("%s: %s: %v", settings, e.Definition.Name, e.Differences)
			}
		}
	}
}

const tracedApp = `
import sys, types
import celery, celery.beat, celery.signals
from celery.schedules import crontab

def library(name, code):
    module = sys.modules[name] = types.ModuleType(name)
    module.celery = celery
    exec(code, vars(module))
    return module

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {"remote": {"task": "remote.task", "schedule": crontab(minute=0, hour=9)}}
`

// planned returns what importing an application would do to each entry: its trigger, or the kinds of its differences.
func planned(t *testing.T, app string) map[string]string {
	t.Helper()
	application, err := importer.ParseApplication(runScript(t, app))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := importer.New(testenv.Database(t), importer.Source{Kind: importer.Celery},
		application.Timezone).Plan(t.Context(), application.In(""), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, r := range rows {
		var kinds []string
		for _, d := range r.Differences {
			if !slices.Contains(kinds, d.Code) {
				kinds = append(kinds, d.Code)
			}
		}
		switch {
		case r.Change == "refused" && len(kinds) == 0:
			told[r.Name] = "refused: " + r.Reason
		case r.Change == "refused":
			told[r.Name] = "refused " + strings.Join(kinds, ",")
		default:
			told[r.Name] = strings.Join(append([]string{r.Change + " " + r.Trigger}, r.Notes...), ": ")
		}
	}
	return told
}

const decidingApp = `
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo
import celery
from celery.beat import ScheduleEntry
from celery.schedules import crontab, schedule

tokyo = ZoneInfo("Asia/Tokyo")
begun = datetime.now(timezone.utc)

class Now(crontab):
    def now(self):
        return datetime.now(tokyo)

class NowOfInterval(schedule):
    def now(self):
        return datetime.now(tokyo)

class OwnInit(crontab):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **{**kwargs, "nowfun": lambda: datetime.now(tokyo)})

class Tz(crontab):
    tz = tokyo

class Local(crontab):
    def to_local(self, dt):
        return dt + timedelta(hours=1)

class Minute(crontab):
    @property
    def minute(self):
        return {datetime.now().day}
    @minute.setter
    def minute(self, value):
        pass

class Never(crontab):
    def is_due(self, last_run_at):
        return False, 60

class Remaining(crontab):
    def remaining_estimate(self, last_run_at, **kwargs):
        return super().remaining_estimate(last_run_at, **kwargs)

class Seconds(schedule):
    @property
    def seconds(self):
        return 5

class Spec(crontab):
    @staticmethod
    def _expand_cronspec(cronspec, max_, min_=0):
        return {7} if max_ == 60 else crontab._expand_cronspec(cronspec, max_, min_)

class Entry(ScheduleEntry):
    def is_due(self):
        return False, 60

nine = dict(minute=0, hour=9)
instance, fields = crontab(**nine), crontab(**nine)
instance.is_due = lambda last: (False, 60)
fields.month_of_year = set(range(1, 12))

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "UTC"
app.conf.beat_schedule = {name: {"task": "app.any", "schedule": s} for name, s in {
    "now": Now(**nine), "now of interval": NowOfInterval(60), "own init": OwnInit(**nine), "tz": Tz(**nine),
    "plain": crontab(**nine), "long": timedelta(days=900), "yearly": crontab(minute=0, hour=9, day_of_month=1, month_of_year=1),
    "fields": fields, "frozen": crontab(**nine, nowfun=lambda: begun),
    "late": crontab(**nine, nowfun=lambda: datetime.now(timezone.utc) - timedelta(hours=3)),
    "old": crontab(**nine, nowfun=lambda: datetime(2020, 1, 1, tzinfo=timezone.utc)),
    "instance": instance, "local": Local(**nine), "minute": Minute(hour=9), "never": Never(**nine),
    "remaining": Remaining(**nine), "seconds": Seconds(60), "spec": Spec(hour=9),
}.items()}
app.conf.beat_schedule["entry"] = Entry(name="entry", task="app.any", schedule=crontab(**nine), app=app)
`
