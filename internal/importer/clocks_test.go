package importer_test

import (
	"cmp"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestChangesOfClocksWithinAYear asks a real Celery about entries whose next instants are the same in both beats, until
// the clocks change: up to a year later.
func TestChangesOfClocksWithinAYear(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
from datetime import timedelta
import celery
from celery.schedules import crontab

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "America/New_York"
app.conf.beat_schedule = {
    "daily": {"task": "app.a", "schedule": crontab(minute=0, hour=0)},
    "hourly": {"task": "app.a", "schedule": crontab(minute=0)},
    "minutely": {"task": "app.a", "schedule": 60},
    "monthly": {"task": "app.a", "schedule": timedelta(days=30)},
    "relative": {"task": "app.a", "schedule": timedelta(hours=6), "relative": True},
    "skipped": {"task": "app.a", "schedule": crontab(minute=30, hour=2)},
    "yearly": {"task": "app.a", "schedule": timedelta(days=300)},
}
`))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := importer.New(testenv.Database(t), importer.Source{Kind: importer.Celery},
		application.Timezone).Plan(t.Context(), application.In(""), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const (
		local  = `\d{4}-\d\d-\d\dT0`
		autumn = local + `2:00:00-05:00 \(America/New_York\), tactus at ` + local +
			`1:00:00-05:00 \(America/New_York\): the clocks of America/New_York change then`
		interval = `: the clocks of America/New_York change then, which Celery's intervals follow`
	)
	want := map[string]string{
		"daily": `^$`, "skipped": `^$`,
		"hourly":   `Celery's beat sends it at ` + autumn,
		"minutely": `1m0s` + interval,
		"monthly":  `720h0m0s` + interval,
		"relative": `6h0m0s` + interval,
		"yearly":   `7200h0m0s` + interval,
	}
	for _, r := range rows {
		if !regexp.MustCompile(want[r.Name]).MatchString(r.Reason) || (r.Reason == "") != (r.Change == "new") {
			t.Errorf("%s: %s, %s", r.Name, r.Change, r.Reason)
		}
	}
}

// TestAbbreviatedZone has an application whose zone is an abbreviation, which no schedule here can have.
func TestAbbreviatedZone(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
import celery
from celery.schedules import crontab

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "CET"
app.conf.beat_schedule = {
    "daily": {"task": "app.a", "schedule": crontab(minute=0, hour=9)},
    "ten": {"task": "app.a", "schedule": 10},
}
`))
	if err != nil {
		t.Fatal(err)
	}
	const mend = "the application's time zone is CET, an abbreviation: use --celery-timezone Europe/Brussels, " +
		"which has the same clocks"
	pool := testenv.Database(t)
	plan := func(source importer.Source, entries []importer.Entry, timezone string) (told []string) {
		t.Helper()
		rows, err := importer.New(pool, source, timezone).Plan(t.Context(), entries, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			told = append(told, r.Name+" "+r.Change+" "+r.Reason)
		}
		return told
	}
	static := importer.Source{Kind: importer.Celery}
	told := plan(static, application.In(""), application.Zone())
	if told[0] != "daily refused timezone_unknown at /timezone: "+mend ||
		!strings.Contains(told[1], "the clocks of CET change then") {
		t.Errorf("%q", told)
	}
	if told := plan(static, application.In("Europe/Brussels"), "Europe/Brussels"); told[0] != "daily new " {
		t.Errorf("%q", told)
	}

	client := testenv.Redis(t)
	definition := `{"name": "a", "task": "app.a", "options": {"queue": "q"}, "schedule": {"__type__": "crontab", "minute": "0", "hour": "9"}}`
	if err := client.HSet(t.Context(), "redbeat:a", "definition", definition).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:a"}).Err(); err != nil {
		t.Fatal(err)
	}
	for timezone, want := range map[string]string{application.Zone(): mend, "Europe/Brussels": ""} {
		entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{
			Prefix: importer.DefaultRedBeatPrefix, Application: &application, Timezone: timezone,
		})
		if err != nil {
			t.Fatal(err)
		}
		if told := plan(importer.Source{Kind: importer.RedBeat}, entries,
			cmp.Or(timezone, "UTC")); !strings.Contains(told[0], want) || (want == "") != (told[0] == "a new ") {
			t.Errorf("%q, want %q", told, want)
		}
	}

	for timezone, want := range map[string]string{
		"UTC":             "(mend: --celery-timezone Europe/Brussels)",
		"Europe/Brussels": "",
	} {
		row := importer.TableRow{Definition: domain.Definition{
			Name: "a", TaskName: "app.a", Queue: "q", CronExpression: "0 9 * * *", CronDialect: "celery",
			Timezone: timezone,
		}}
		differences := application.Compare(row, now)
		if (want == "") != (len(differences) == 0) || want != "" && !strings.Contains(differences[0].Message, want) {
			t.Errorf("%s: %+v", timezone, differences)
		}
	}
}

// TestCrontabsWithAZone has crontabs of django-celery-beat in a static beat_schedule: each has its own zone, or UTC,
// whatever zone the application has.
func TestCrontabsWithAZone(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(testenv.BesideDjango(t, `
import celery, pytz
from django_celery_beat.tzcrontab import TzAwareCrontab
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone, app.conf.result_backend = "Europe/Berlin", "redis://localhost:1/1"
nine = {"minute": "0", "hour": "9"}
app.conf.beat_schedule = {
    "london": {"task": "app.a", "schedule": TzAwareCrontab(**nine, day_of_week="1", tz=pytz.timezone("Europe/London"))},
    "none": {"task": "app.a", "schedule": TzAwareCrontab(**nine)},
    "tokyo": {"task": "app.a", "schedule": TzAwareCrontab(**nine, tz=pytz.timezone("Asia/Tokyo"))},
}
`, importer.Script, []string{"app:app"}))
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.Celery, application.In(""), application.Timezone),
		"london | new | 0 9 * * 1 Europe/London", "none | new | 0 9 * * * UTC", "tokyo | new | 0 9 * * * Asia/Tokyo")
	equal(t, bring(t, testenv.Database(t), importer.Celery, application.In("Europe/Berlin"), application.Timezone),
		"london | refused | 0 9 * * 1 Europe/Berlin | it would not run as it did | zone",
		"none | refused | 0 9 * * * Europe/Berlin | it would not run as it did | zone",
		"tokyo | refused | 0 9 * * * Europe/Berlin | it would not run as it did | zone")
}
