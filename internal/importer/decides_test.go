package importer_test

import (
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
    "daily": crontab(minute=0, hour=9), "naive": crontab(minute=15, nowfun=datetime.now),
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
		"relative": "refused", "daily": "refused", "naive": "refused", "interval": "new", "hourly": "new",
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
			told[r.Name] = r.Change + " " + r.Trigger
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
