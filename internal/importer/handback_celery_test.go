package importer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/unsent"
	"github.com/tactus-dev/tactus/outbox"
)

// handedBack has entries of every kind of clock: the application's, another zone's, and one without a zone.
const handedBack = `
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo
import celery
from celery.schedules import crontab

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "America/New_York"
hour = dict(minute=0, hour="*")

def tokyo():
    return datetime.now(ZoneInfo("Asia/Tokyo"))

app.conf.beat_schedule = {
    "interval": {"task": "app.a", "schedule": 3600},
    "crontab": {"task": "app.a", "schedule": crontab(**hour)},
    "tokyo": {"task": "app.a", "schedule": crontab(nowfun=tokyo, **hour)},
    "naive": {"task": "app.a", "schedule": crontab(nowfun=datetime.now, **hour)},
    "missed": {"task": "app.a", "schedule": crontab(**hour)},
    " spaces ": {"task": "app.a", "schedule": 3600},
    7: {"task": "app.a", "schedule": 3600},
    "8": {"task": "app.a", "schedule": 3600},
    8: {"task": "app.a", "schedule": 3600},
    "unknown": {"task": "app.a", "schedule": 3600},
}
`

// continuing tells from when Celery's own beat goes on, and what it would send at once.
const continuing = `
import json, sys
from app import app
from celery.beat import PersistentScheduler
s = PersistentScheduler(app=app, schedule_filename=sys.argv[1])
json.dump({name if isinstance(name, str) else f"{name} of numbers": [entry.last_run_at.astimezone().isoformat(), entry.is_due().is_due] for name, entry in s.schedule.items()}, sys.stdout)
`

// TestHandingBackToCelery writes the file of Celery's beat where there was none, and has the beat itself read it.
func TestHandingBackToCelery(t *testing.T) {
	t.Parallel()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { // Python may be another user
		t.Fatal(err)
	}
	file, told := filepath.Join(dir, "celerybeat-schedule"), filepath.Join(dir, "last_runs.json")
	now := time.Now().UTC().Truncate(time.Microsecond)
	ran, settled := now.Add(-10*time.Minute), now.Add(-time.Second)
	if now.Truncate(time.Hour).After(ran) { // crontabs are due each hour
		ran = now.Truncate(time.Hour)
	}
	const layout = "2006-01-02T15:04:05.000000+00:00"
	runs := importer.LastRuns{Version: 6, Entries: []importer.LastRun{
		{Names: []string{"gone"}, Last: ran.Format(layout)},
		{Names: []string{"missed"}, Last: ran.AddDate(0, 0, -1).Format(layout), Settled: settled.Format(layout), SettledRun: settled.Format(layout)},
		{Names: []string{"interval [label]", "interval"}, Last: ran.Format(layout), Off: true},
		{Names: []string{"never ran", "unknown"}, Settled: settled.Format(layout), SettledRun: settled.Format(layout)},
	}}
	for _, name := range []string{"crontab", "tokyo", "naive", "spaces", "7", "8"} {
		runs.Entries = append(runs.Entries, importer.LastRun{Names: []string{name}, Last: ran.Format(layout)})
	}
	write := func(runs importer.LastRuns) {
		t.Helper()
		raw, err := json.Marshal(runs)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(told, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	handBack := func() string {
		return string(testenv.BesideCelery(t, handedBack, importer.Script, []string{"--hand-back", told, "-s", file, "app:app"}))
	}
	check := func(after time.Time) {
		t.Helper()
		var from map[string][2]any
		if err := json.Unmarshal(testenv.BesideCelery(t, handedBack, continuing, []string{file}), &from); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]time.Time{
			"interval": ran, "crontab": ran, "tokyo": ran, "naive": ran, " spaces ": ran, "7 of numbers": ran, "8": ran, "8 of numbers": after, "missed": settled, "unknown": after,
		} {
			at, err := time.Parse("2006-01-02T15:04:05.999999Z07:00", fmt.Sprint(from[name][0]))
			if apart := at.Sub(want); err != nil || apart < 0 || apart > 0 && name != "unknown" && name != "8 of numbers" && name != "missed" {
				t.Errorf("%s goes on from %v, want %s (%v)", name, from[name][0], want, err)
			}
			if from[name][1] != false && time.Now().Truncate(time.Hour).Before(ran) {
				t.Errorf("%s is sent at once", name)
			}
		}
	}
	write(runs)
	if said := handBack(); strings.Count(said, "\n") != 8 {
		t.Errorf("%s", said)
	}
	check(now)
	// What the beat has noted itself stays when it is later.
	for n := range runs.Entries {
		if runs.Entries[n].Last != "" {
			runs.Entries[n].Last = ran.AddDate(0, 0, -2).Format(layout)
		}
	}
	write(runs)
	if said := handBack(); strings.Contains(said, "crontab") || strings.Contains(said, "interval") {
		t.Errorf("%s", said)
	}
	check(now)
}

// TestWhatWasNotHandedOverIsNotHandedBack has a run that no relay has handed over when its schedule goes back to
// Celery's beat.
func TestWhatWasNotHandedOverIsNotHandedBack(t *testing.T) {
	t.Parallel()
	pool, source := testenv.Database(t), importer.Source{Kind: importer.Celery, Label: "a"}
	s, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Create(t.Context(), domain.Definition{
		Name: "hourly", TaskName: "t", CronExpression: "0 * * * *", Tags: []string{"import:celery:a"},
	}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().UTC().Truncate(time.Hour)
	for _, statement := range []string{
		`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at) values ($1, $2, $3, 'scheduled', 'due', 1, $3)`,
		`update tactus.schedules set effective_from = $3::timestamptz - interval '1 day' where id = $2 and $1::uuid is not null`,
		`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
			select 'beat', 'a', 1, clock_timestamp(), clock_timestamp() where $1::uuid <> $2::uuid and $3::timestamptz is not null`,
	} {
		if _, err := pool.Exec(t.Context(), statement, outbox.NewID(), s.ID, due); err != nil {
			t.Fatal(err)
		}
	}
	_, err = importer.HandBackCelery(t.Context(), pool, source)
	if left, ok := errors.AsType[*unsent.Error](err); !ok || left.Runs != 1 || left.Names[0] != "hourly" {
		t.Fatalf("%v", err)
	}
	source.CancelUnsent = true
	told, err := importer.HandBackCelery(t.Context(), pool, source)
	if err != nil || len(told.Entries) != 1 {
		t.Fatalf("%+v, %v", told, err)
	}
	before := due.Add(-time.Microsecond).Format("2006-01-02T15:04:05.000000+00:00")
	if e := told.Entries[0]; e.Last != "" || e.Settled != before {
		t.Errorf("%+v, want it settled until %s", e, before)
	}
}
