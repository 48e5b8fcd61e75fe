package adopt_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// fixture is what projects ship to fill the tables of django-celery-beat: rows with a past start, with a last run of
// long ago or none, and with crontabs in zones.
const fixture = `
import json, tempfile
ago = lambda **kw: (datetime.now(timezone.utc) - timedelta(**kw)).isoformat()
rows = [
    ("intervalschedule", 1, {"every": 5, "period": "minutes"}), ("intervalschedule", 2, {"every": 1, "period": "days"}),
    ("crontabschedule", 1, {"minute": "0", "hour": "4", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": "UTC"}),
    ("crontabschedule", 2, {"minute": "30", "hour": "8,20", "day_of_week": "1-5", "day_of_month": "*", "month_of_year": "*", "timezone": "Asia/Shanghai"}),
    ("crontabschedule", 3, {"minute": "*/15", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*", "timezone": "Asia/Kolkata"}),
]
for pk, (name, fields) in enumerate({
    "lobby times": {"interval": 1, "start_time": ago(days=5), "last_run_at": ago(minutes=2), "total_run_count": 400},
    "heartbeat": {"interval": 2, "last_run_at": ago(hours=7), "total_run_count": 3},
    "report": {"crontab": 2, "last_run_at": ago(seconds=5), "args": '["week"]', "kwargs": '{"to": ["a@b"]}'},
    "cleanup": {"crontab": 1, "last_run_at": ago(seconds=5), "headers": '{"a": 1}', "queue": "slow"},
    "poll": {"crontab": 3, "last_run_at": ago(seconds=5), "start_time": ago(days=5)},
}.items(), 100):
    rows.append(("periodictask", pk, {"name": name, "task": "app.task", "args": "[]", "kwargs": "{}", "queue": None, "exchange": None, "routing_key": None,
        "headers": "{}", "priority": None, "expires": None, "expire_seconds": None, "one_off": False, "enabled": True, "date_changed": ago(days=1), "description": "", **fields}))
with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
    json.dump([{"model": "django_celery_beat." + model, "pk": pk, "fields": fields} for model, pk, fields in rows], f)
    f.flush()
    call_command("loaddata", f.name, verbosity=0)
`

// whenDue is the beat of django-celery-beat, which is asked when it would send each row.
const whenDue = `
import celery, json
from django_celery_beat.schedulers import DatabaseScheduler
app = celery.Celery("app", broker="memory://")
app.conf.timezone = "UTC"
due = {}
for name, entry in DatabaseScheduler(app=app).all_as_schedule().items():
    if name != "celery.backend_cleanup":
        now, seconds = entry.is_due()
        if not now:  # a minute may have ended meanwhile
            due[name] = (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()
print(json.dumps(due))
`

// TestFixtureOfAProject loads a fixture by Django, and compares when the old beat and tactus fire its rows next.
func TestFixtureOfAProject(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(fixture)
	var theirs map[string]time.Time
	if err := json.Unmarshal([]byte(u.django(whenDue)), &theirs); err != nil || len(theirs) < 4 {
		t.Fatalf("%v, %v", theirs, err)
	}
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	for name, want := range theirs {
		s := u.named(name)
		due, ok := s.Next(want.Add(-2 * time.Second))
		if first, _ := s.Next(time.Now()); !ok || due.Sub(want).Abs() > time.Second || first.Before(due) && time.Now().Before(first) {
			t.Errorf("%s: tactus fires it at %s, the old beat at %s", name, due, want)
		}
	}
	if s := u.named("report"); fmt.Sprintf("%s %s", s.Args, s.Kwargs) != `["week"] {"to": ["a@b"]}` {
		t.Errorf("%s %s", s.Args, s.Kwargs)
	}
}

// previewed has rows that never ran, that ran in what is the future by now, and whose task has spaces at its ends.
const previewed = `
ahead = datetime.now(timezone.utc) + timedelta(days=2)
hourly = IntervalSchedule.objects.create(every=1, period="hours")
nine = CrontabSchedule.objects.create(minute="0", hour="9", timezone="UTC")
make = PeriodicTask.objects.create
make(name="ahead", task="app.a", interval=hourly, last_run_at=ahead)
make(name="crontab ahead", task="app.a", crontab=nine, last_run_at=ahead)
make(name="never ran", task="app.a", interval=hourly)
make(name="spaces", task=" app.a\t", interval=hourly)
`

// TestPreviewSaysWhenCeleryWould compares the preview with a real beat, and what tactus fires next with what the
// preview says.
func TestPreviewSaysWhenCeleryWould(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(previewed)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	rows, err := s.Preview(t.Context(), "UTC", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var theirs map[string]time.Time
	if err := json.Unmarshal([]byte(u.django(whenDue)), &theirs); err != nil || len(theirs) != 4 {
		t.Fatalf("%d of the rows, %v", len(theirs), err)
	}
	u.adopt(s)
	want := map[string]string{
		"ahead": "[instants]", "crontab ahead": "[instants]", "never ran": "[]", "spaces": "[celery_refuses]",
	}
	const between = 2 * time.Minute // the three are asked one after the other
	near := func(a time.Time, b *time.Time) bool { return b != nil && a.Sub(*b).Abs() < between }
	for _, r := range rows {
		codes := []string{}
		for _, d := range r.Differences {
			codes = append(codes, d.Code)
		}
		if fmt.Sprint(codes) != want[r.Name] {
			t.Errorf("%s: %s, want %s", r.Name, codes, want[r.Name])
		}
		if neverRan := r.Name == "never ran" || r.Name == "spaces"; neverRan {
			if r.NextCelery != nil || !r.FromStart || theirs[r.Name].Sub(time.Now().Add(time.Hour)).Abs() > between {
				t.Errorf("%s: a beat that starts sends it at %s, the preview says %+v", r.Name, theirs[r.Name], r.Comparison)
			}
		} else if !near(theirs[r.Name], r.NextCelery) {
			t.Errorf("%s: Celery would send it at %s, the preview says %s", r.Name, theirs[r.Name], r.NextCelery)
		}
		adopted := u.named(r.Name)
		if due, ok := adopted.Next(adopted.EffectiveFrom); !ok || !near(due, r.Next) {
			t.Errorf("%s: it is due at %s, the preview says %s", r.Name, due, r.Next)
		}
	}
}
