package importer_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const intervalsApp = `
from datetime import timedelta
import celery
from celery.schedules import crontab

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "TIMEZONE"
app.conf.beat_schedule = {
    "daily": {"task": "app.a", "schedule": crontab(hour=9, minute=0)},
    "hourly": {"task": "app.a", "schedule": 3600},
    "new": {"task": "app.a", "schedule": 7200},
    "weekly": {"task": "app.a", "schedule": timedelta(days=7)},
}
`

// oldBeat is Celery's own beat, without sending: it writes its file as if it had run for a while, starts again, and
// tells when it would send each interval.
const oldBeat = `
import json, sys
from datetime import datetime, timedelta, timezone
from app import app
from celery.beat import PersistentScheduler

def beat():
    s = PersistentScheduler(app=app, schedule_filename=sys.argv[1], lazy=True)
    s.setup_schedule()
    return s

first = beat()
first.schedule["hourly"].last_run_at -= timedelta(minutes=25)
first.schedule["weekly"].last_run_at -= timedelta(days=3, hours=5)
del first._store["entries"]["new"]
first.close()
due = {}
for name, entry in beat().schedule.items():
    due[name] = (datetime.now(timezone.utc) + timedelta(seconds=entry.is_due().next)).isoformat()
json.dump(due, sys.stdout)
`

// oldBeatAnew is Celery's own beat without its file: it raises when anything is due at once.
const oldBeatAnew = `
import json, sys
from datetime import datetime, timedelta, timezone
from app import app
from celery.beat import PersistentScheduler

s = PersistentScheduler(app=app, schedule_filename=sys.argv[1], lazy=True)
s.setup_schedule()
due = {}
for name, entry in s.schedule.items():
    now, remaining = entry.is_due()
    assert not now, name
    due[name] = (datetime.now(timezone.utc) + timedelta(seconds=remaining)).isoformat()
json.dump(due, sys.stdout)
`

// TestIntervalsKeepTheirPhase has intervals in the middle of their periods, by the file of Celery's own beat, and
// compares when it and tactus fire them next.
func TestIntervalsKeepTheirPhase(t *testing.T) {
	t.Parallel()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // Python may be another user
		t.Fatal(err)
	}
	file := filepath.Join(dir, "celerybeat-schedule")
	app := strings.Replace(intervalsApp, "TIMEZONE", "Asia/Tokyo", 1)
	var theirs map[string]time.Time
	if err := json.Unmarshal(testenv.BesideCelery(t, app, oldBeat, []string{file}), &theirs); err != nil {
		t.Fatal(err)
	}
	before := contents(t, dir)
	bringIn := func(app string, args ...string) (importer.Application, map[string]time.Time) {
		t.Helper()
		application, err := importer.ParseApplication(testenv.BesideCelery(t, app, importer.Script, append(args, "app:app"), withResults))
		if err != nil {
			t.Fatal(err)
		}
		pool, ours := testenv.Database(t), map[string]time.Time{}
		equal(t, bring(t, pool, importer.Celery, application.In(""), application.Timezone),
			"daily | new | 0 9 * * * "+application.Timezone, "hourly | new | every 3600 s", "new | new | every 7200 s",
			"weekly | new | every 604800 s")
		equal(t, bring(t, pool, importer.Celery, application.In(""), application.Timezone),
			"daily | same | 0 9 * * * "+application.Timezone, "hourly | same | every 3600 s",
			"new | same | every 7200 s", "weekly | same | every 604800 s")
		for _, name := range []string{"hourly", "weekly"} {
			ours[name], _ = named(t, pool, name).Next(time.Now())
		}
		return application, ours
	}
	_, ours := bringIn(app, "--schedule", file)
	for _, name := range []string{"hourly", "weekly"} {
		if apart := ours[name].Sub(theirs[name]); apart.Abs() > time.Second {
			t.Errorf("%s: tactus fires it at %s, %s apart from Celery's beat", name, ours[name], apart)
		}
	}
	// Celery's beat throws the file of another zone away, and counts from its start.
	_, ours = bringIn(strings.Replace(intervalsApp, "TIMEZONE", "UTC", 1), "--schedule", file)
	if apart := ours["weekly"].Sub(theirs["weekly"]); apart.Abs() < 2*time.Second {
		t.Errorf("the file of another zone was heard: %s", ours["weekly"])
	}
	if after := contents(t, dir); after != before {
		t.Error("the file of the old beat was changed")
	}
	if err := os.WriteFile(file, []byte("no database"), 0o644); err != nil {
		t.Fatal(err)
	}
	bringIn(app, "--schedule", file)

	// Who goes back deletes the file: the old beat then counts from its start, and sends nothing at once.
	var anew map[string]time.Time
	if err := json.Unmarshal(testenv.BesideCelery(t, app, oldBeatAnew, []string{file + "-new"}), &anew); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hourly", "new", "weekly"} {
		if due := anew[name]; time.Until(due) < 30*time.Minute {
			t.Errorf("without its file the old beat sends %s at %s", name, due)
		}
	}
}

// contents returns all files of a folder, with their names and contents.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	var all strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(e.Name() + string(text))
	}
	return all.String()
}
