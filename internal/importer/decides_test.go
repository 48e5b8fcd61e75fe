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
		"entry":           "refused instants",
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
