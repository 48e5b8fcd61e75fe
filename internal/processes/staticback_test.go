package processes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// staticApp is the application of a team with a static beat_schedule. What is daily is due in the minute %[2]d of the
// hour %[3]d. tactus refuses what has a countdown.
const staticApp = `
import celery
from celery.schedules import crontab
app = celery.Celery("app", broker="%[1]s")
app.conf.timezone = "UTC"
daily = crontab(minute=%[2]d, hour=%[3]d)
app.conf.beat_schedule = {
    "tick": {"task": "app.note", "schedule": 2, "args": ("tick",)},
    "slow": {"task": "app.note", "schedule": 100, "args": ("slow",)},
    "daily": {"task": "app.note", "schedule": daily, "args": ("daily",)},
    "missed": {"task": "app.note", "schedule": daily, "args": ("missed",)},
    "refused": {"task": "app.note", "schedule": daily, "args": ("refused",), "options": {"countdown": 1}},
}
`

// staticBeat is Celery's own beat, with its own file, until it has sent two more ticks.
const staticBeat = `
import json, sys, threading, time
import redis
from app import app
from celery.beat import Service
client = redis.Redis.from_url(app.conf.broker_url)
service = Service(app, max_interval=1, schedule_filename=sys.argv[1])
def ticks():
    return sum("tick" in json.loads(m)["headers"]["argsrepr"] for m in client.lrange("celery", 0, -1))
def stop():
    enough, patience = ticks() + 2, time.monotonic() + 90
    while ticks() < enough and time.monotonic() < patience:
        time.sleep(0.1)
    service.stop()
threading.Thread(target=stop, daemon=True).start()
service.start()
`

// staticFile makes the beat's file say that the daily schedule ran yesterday, and that an interval is in the middle of
// its period.
const staticFile = `
import sys
from datetime import timedelta
from app import app
from celery.beat import PersistentScheduler
s = PersistentScheduler(app=app, schedule_filename=sys.argv[1])
for name in ("daily", "missed", "refused"):
    s.schedule[name].last_run_at -= timedelta(days=1)
s.schedule["slow"].last_run_at -= timedelta(seconds=85)
s.close()
`

// staticNext prints when, according to its file, the beat will next send the interval.
const staticNext = `
import sys
from app import app
from celery.beat import PersistentScheduler
s = PersistentScheduler(app=app, schedule_filename=sys.argv[1])
print((s.schedule["slow"].last_run_at + s.schedule["slow"].schedule.run_every).isoformat())
`

// TestStaticThereAndBack moves a team with a static beat_schedule to tactus and back, by the commands of
// docs/migrate-from-celery-beat.md, with Celery's own beat running before and afterwards: nothing is sent twice,
// nothing is left out, and an interval stays in its period.
func TestStaticThereAndBack(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	c := New(t, url, testenv.RedisURL(t))
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // Python may be another user
		t.Fatal(err)
	}
	kept, printed, lastRuns := filepath.Join(dir, "celerybeat-schedule"), filepath.Join(dir, "application.json"), filepath.Join(dir, "last_runs.json")
	daily := time.Now().UTC().Add(-2 * time.Minute).Truncate(time.Minute)
	app := fmt.Sprintf(staticApp, c.Redis, daily.Minute(), daily.Hour())
	python := func(script string, args ...string) []byte { return testenv.BesideCelery(t, app, script, args) }
	by := func(want int, command string) string {
		t.Helper()
		said := testenv.Run(t, append(strings.Fields(command), "--database-url", url)...)
		if said.Code != want {
			t.Fatalf("tactus %s: %d: %s%s", command, said.Code, said.Out, said.Problems)
		}
		return said.Out
	}
	write := func(file string, text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	python(staticBeat, kept)
	python(staticFile, kept)

	script := testenv.Run(t, "import", "celery", "--script").Out
	write(printed, python(script, "--schedule", kept, "app:app"))
	if told := by(exitFailure, "import celery "+printed); !strings.Contains(told, "5 new, 0 changed, 0 the same, 0 gone, 1 refused") {
		t.Fatal(told)
	}
	// What is daily has run here today, and one of the two was recorded as missed.
	if _, err := c.Pool.Exec(t.Context(), `
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
select gen_random_uuid(), id, $1, 'scheduled', case name when 'daily' then 'succeeded' else 'missed' end, 1, $1
from tactus.schedules where name in ('daily', 'missed')`, daily); err != nil {
		t.Fatal(err)
	}
	before := c.notes(false)
	relay, beat := c.Start("relay"), c.Beat("one")
	testenv.Eventually(t, "tactus has sent what is due", func() error {
		if sent := c.notes(true); sent["slow"] == 0 || sent["tick"] < 2 {
			return fmt.Errorf("%v", sent)
		}
		return nil
	})
	beat.Stop()
	testenv.Eventually(t, "all is handed over", func() error {
		var due int
		if err := c.Pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = 'due'`).Scan(&due); err != nil ||
			due > 0 {
			return fmt.Errorf("%d runs are due, %w", due, err)
		}
		return nil
	})
	relay.Stop()
	ours := c.notes(false)

	write(lastRuns, []byte(by(exitOK, "export celery")))
	python(script, "--hand-back", lastRuns, "--schedule", kept, "app:app")
	told := string(python(script, "--hand-back", lastRuns, "--schedule", kept, "app:app")) // again: this changes nothing
	if strings.Contains(told, "slow") || strings.Contains(told, "daily") {
		t.Errorf("handed back again: %s", told)
	}
	next := strings.TrimSpace(string(python(staticNext, kept)))
	python(staticBeat, kept)

	after := c.notes(false)
	for name, want := range map[string]int{"daily": 0, "missed": 0, "refused": 1, "slow": 0} {
		if got := after[name] - ours[name]; got != want {
			t.Errorf("%s was sent %d times by the old beat, want %d", name, got, want)
		}
	}
	if before["refused"] != 0 || ours["slow"] != 1 || after["tick"] < ours["tick"]+2 {
		t.Errorf("before %v, with tactus' %v, in the end %v", before, ours, after)
	}
	var ran time.Time
	if err := c.Pool.QueryRow(t.Context(), `
select max(fired_at) from tactus.runs r join tactus.schedules s on s.id = r.schedule_id where s.name = 'slow'`).Scan(&ran); err != nil {
		t.Fatal(err)
	}
	due, err := time.Parse("2006-01-02T15:04:05.999999Z07:00", next)
	if err != nil || due.Sub(ran.Add(100*time.Second)).Abs() > time.Second {
		t.Errorf("the old beat sends the interval next at %s, which ran at %s: %v", next, ran, err)
	}
}
