package importer_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var now = time.Date(2027, 3, 2, 12, 0, 0, 0, time.UTC)

// bring plans and applies, and gives the plan in words.
func bring(t *testing.T, pool *pgxpool.Pool, source importer.Source, entries []importer.Entry, timezone string) (told []string) {
	t.Helper()
	i := importer.New(pool, source, timezone)
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
	"tiny":  {`{"name": "tiny", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 0.5, "relative": false}, "enabled": true}`, ``},
	"rules": {`{"name": "rules", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "rrule", "freq": 5}, "enabled": false}`, `{"last_run_at": null}`},
	"harm":  {`{"name": "harm", "task": "app.c", "args": [], "kwargs": {}, "options": {"headers": {"x": {"__type__": "datetime"}}}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`, ``},
	"lost":  {``, ``},
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
		entries, err := importer.ReadRedBeat(t.Context(), client, importer.DefaultRedBeatPrefix)
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"),
		`harm | refused | every 60 s | value_unreadable at /headers/x`,
		`hourly | new | 0 * * * * America/New_York | dst | the option link (["x"]) is left behind`,
		`lost | refused | - | json_invalid at /definition`,
		`rules | refused | - | trigger_unsupported at /schedule`,
		`tens | new | every 600 s`,
		`tiny | refused | every 0.5 s | interval_too_small at /interval_seconds`)
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
	for _, name := range []string{"harm", "lost", "rules", "tiny", "hourly"} {
		if err := client.ZRem(t.Context(), "redbeat::schedule", "redbeat:"+name).Err(); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"), `tens | same | every 600 s`, `hourly | gone | 0 * * * * America/New_York`)
	if after := named(t, pool, "tens"); after.Version != 1 {
		t.Errorf("that it ran is no change: %+v", after)
	}
	if _, err := outbox.GetByName(t.Context(), pool, "hourly"); err == nil {
		t.Error("what is gone was not pruned")
	}
}

const celeryApp = `
from datetime import timedelta
import celery
from celery.schedules import crontab, solar

app = celery.Celery("app")
app.conf.timezone = "Europe/Berlin"
app.conf.beat_schedule = {
    "weekdays": {"task": "app.a", "schedule": crontab(minute=0, hour={9, 17}, day_of_week="mon-fri"), "args": (1, "é"), "options": {"queue": "q", "expires": timedelta(minutes=5)}},
    "delta": {"task": "app.b", "schedule": timedelta(minutes=10), "relative": True},
    "number": {"task": "app.c", "schedule": 30.0, "kwargs": {"a": None}},
    "dawn": {"task": "app.d", "schedule": solar("sunrise", 35, 139)},
}

@app.on_after_finalize.connect
def more(sender, **_):
    sender.add_periodic_task(crontab(hour=7), again.s("x"), name="added")

@app.task
def again(what):
    pass
`

// TestCeleryScript runs the script where an application is, and brings in what it prints.
func TestCeleryScript(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	printed := runScript(t, celeryApp)
	entries, timezone, err := importer.ParseCelery(printed)
	if err != nil || timezone != "Europe/Berlin" {
		t.Fatalf("%s, %v: %s", timezone, err, printed)
	}
	slices.SortFunc(entries, func(a, b importer.Entry) int { return strings.Compare(a.Definition.Name, b.Definition.Name) })
	want := []string{
		`added | %s | * 7 * * * Europe/Berlin`,
		`dawn | refused | - | trigger_unsupported at /schedule`,
		`delta | %s | every 600 s`,
		`number | %s | every 30 s`,
		`weekdays | %s | 0 9,17 * * 1-5 Europe/Berlin`,
	}
	for _, change := range []string{"new", "same"} {
		var told []string
		for _, line := range want {
			told = append(told, strings.Replace(line, "%s", change, 1))
		}
		equal(t, bring(t, pool, importer.Celery, entries, timezone), told...)
	}
	weekdays := named(t, pool, "weekdays")
	if string(weekdays.Args) != `[1,"é"]` || weekdays.Queue != "q" || weekdays.ExpiresSeconds != 300 {
		t.Errorf("%+v", weekdays)
	}
	if delta := named(t, pool, "delta"); delta.IntervalAnchor != "1970-01-01T01:00:00+01:00" {
		t.Errorf("a relative interval keeps to the clock: %+v", delta)
	}
}

// runScript runs importer.Script beside an application.
func runScript(t *testing.T, app string) []byte {
	t.Helper()
	python, err := servers.CeleryPython(t.Context(), servers.Config{})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // Python may be another user
		t.Fatal(err)
	}
	for name, text := range map[string]string{"app.py": app, "beat_schedule.py": importer.Script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var problems bytes.Buffer
	cmd := python.Command(t.Context(), filepath.Join(dir, "beat_schedule.py"), "app:app")
	cmd.Dir, cmd.Stderr = dir, &problems
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	return printed
}

func TestCrontab(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	text, err := os.ReadFile("testdata/crontab.txt")
	if err != nil {
		t.Fatal(err)
	}
	options := importer.CrontabOptions{Task: "app.run"}
	equal(t, bring(t, pool, importer.Crontab, importer.ParseCrontab(string(text), options), "UTC"),
		"cron /usr/bin/report --all 85839efa | new | 0 9 13 * 5 Asia/Tokyo",
		"cron date +%F a43a1adc | new | */5 * * * * Asia/Tokyo",
		"cron backup 54d00d86 | new | 0 0 * * * Asia/Tokyo",
		"cron warm-up b64f4598 | refused | @reboot Asia/Tokyo | trigger_unsupported",
		"cron broken f526795c | refused | 0 9 * * 8 Asia/Tokyo | cron_syntax at /cron_expression",
		"cron backup 54d00d86 (2) | new | 0 10 * * * Asia/Tokyo")
	edited := importer.ParseCrontab(strings.Replace(string(text), "0 10", "30 10", 1), options)
	again := bring(t, pool, importer.Crontab, edited, "UTC")
	if want := `cron backup 54d00d86 (2) | changed | 30 10 * * * Asia/Tokyo | cron_expression: "0 10 * * *" -> "30 10 * * *"`; again[5] != want || !strings.Contains(again[0], "| same |") {
		t.Errorf("got %s\nwant %s", strings.Join(again, "\n"), want)
	}
	date := named(t, pool, "cron date +%F a43a1adc")
	if want := `["date +%F"] {"env":{"MAILTO":"","PATH":"/usr/bin:/bin"},"stdin":"first line\nsecond line"} vixie`; fmt.Sprintf("%s %s %s", date.Args, date.Kwargs, date.CronDialect) != want {
		t.Errorf("%s %s %s, want %s", date.Args, date.Kwargs, date.CronDialect, want)
	}
	system := importer.ParseCrontab("0 9 * * * www-data  tidy up\n", importer.CrontabOptions{Task: "app.run", System: true})[0].Definition
	if string(system.Args) != `["tidy up"]` || string(system.Kwargs) != `{"user":"www-data"}` || system.CronExpression != "0 9 * * *" {
		t.Errorf("%+v", system)
	}
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
