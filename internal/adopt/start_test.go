package adopt_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/outbox"
)

// withStarts has rows whose start_time lies ahead, by a clock that stands at a noon to come.
const withStarts = `
noon = datetime(2100, 3, 2, 12, tzinfo=timezone.utc)
start = noon + timedelta(minutes=45)
ago = lambda **kw: noon - timedelta(**kw)
at = lambda minute, hour="*": CrontabSchedule.objects.create(minute=minute, hour=hour, timezone="UTC")
every = lambda minutes: IntervalSchedule.objects.create(every=minutes, period="minutes")
make = lambda name, **row: PeriodicTask.objects.create(name=name, task="app.a", **{"start_time": start, **row})
make("hourly", crontab=at("30"))
make("daily", crontab=at("30", "12"), last_run_at=ago(hours=20))
make("over", crontab=at("30", "1"), last_run_at=ago(hours=30))
make("at start", crontab=at("45", "12"), last_run_at=ago(hours=20))
make("waits", crontab=at("30", "1"), last_run_at=ago(hours=1))
make("tens", interval=every(10), last_run_at=ago(minutes=3))
make("tens, over", interval=every(10), last_run_at=ago(hours=2, minutes=3))
make("tens, new", interval=every(10))
make("two hours", interval=every(120), last_run_at=ago(minutes=5))
make("clocked", clocked=ClockedSchedule.objects.create(clocked_time=ago(minutes=-30)), one_off=True)
make("clocked, past", clocked=ClockedSchedule.objects.create(clocked_time=datetime(2020, 1, 1, tzinfo=timezone.utc)), one_off=True)
make("no start", crontab=at("30", "1"), last_run_at=ago(hours=1), start_time=None)
`

// sendsFirst is the beat of django-celery-beat, which started at noon and is asked each minute what it sends.
const sendsFirst = `
import celery, json
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
app = celery.Celery("app", broker="memory://")
app.conf.timezone = "UTC"
clock = datetime(2100, 3, 2, 12, tzinfo=timezone.utc)
ModelEntry._default_now = lambda self: clock
entries = DatabaseScheduler(app=app).all_as_schedule()
entries.pop("celery.backend_cleanup", None)
for entry in entries.values():
    entry.schedule.nowfun = lambda: clock
sent, begins = {}, clock
while clock < begins + timedelta(hours=14):
    for name, entry in entries.items():
        if name not in sent and entry.is_due().is_due:
            sent[name] = clock.isoformat()
    clock += timedelta(minutes=1)
print(json.dumps(sent))
`

// TestPreviewKnowsStarts compares the preview of rows that are held back until their start with what a real beat sends.
func TestPreviewKnowsStarts(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(withStarts)
	now := time.Date(2100, 3, 2, 12, 0, 0, 0, time.UTC)
	rows, err := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat).Preview(t.Context(), "UTC", now)
	if err != nil {
		t.Fatal(err)
	}
	var theirs map[string]time.Time
	if err := json.Unmarshal([]byte(u.django(sendsFirst)), &theirs); err != nil || len(theirs) != 12 {
		t.Fatalf("%d of the rows, %v", len(theirs), err)
	}
	want := map[string]string{ // of each beat, from noon
		"hourly": "90 45 [instants]", "daily": "1470 45 [instants]", "over": "810 45 [instants]", "at start": "45 45 []",
		"waits": "810 810 []", "tens": "47 45 [instants]", "tens, over": "47 45 [instants]", "tens, new": "45 45 []",
		"two hours": "115 115 []",
		"clocked":   "never 45 [instants]", "clocked, past": "never 45 [instants]", "no start": "810 810 []",
	}
	minutes := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return fmt.Sprint(at.Sub(now).Minutes())
	}
	for _, r := range rows {
		codes := []string{}
		for _, d := range r.Differences {
			codes = append(codes, d.Code)
		}
		if got := fmt.Sprint(minutes(r.Next), " ", minutes(r.NextCelery), " ", codes); got != want[r.Name] {
			t.Errorf("%s: %s, want %s: %+v", r.Name, got, want[r.Name], r.Differences)
		}
		if r.NextCelery == nil || !theirs[r.Name].Equal(*r.NextCelery) {
			t.Errorf("%s: Celery's beat sends it at %s, the preview says %s", r.Name, theirs[r.Name], minutes(r.NextCelery))
		}
	}
}

// TestHandingBackWhatIsHeld goes back before and after the start of rows that tactus has not sent since: the old beat
// sends at the start, or at once, what it would have sent then.
func TestHandingBackWhatIsHeld(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
now = datetime.now(timezone.utc)
minutely, days = CrontabSchedule.objects.create(timezone="UTC"), IntervalSchedule.objects.create(every=1, period="days")
ago = lambda **kw: now - timedelta(**kw)
at = lambda t: CrontabSchedule.objects.create(minute=str(t.minute), hour=str(t.hour), timezone="UTC")
make = lambda name, start, **row: PeriodicTask.objects.create(name=name, task="app.a", start_time=start, **row)
soon, before = now + timedelta(minutes=30), ago(minutes=10)
make("held", soon, crontab=minutely, last_run_at=ago(hours=3))
make("held days", soon, interval=days, last_run_at=ago(hours=30))
make("held, new", soon, crontab=at(ago(minutes=60)))
make("held, new, waits", soon, crontab=at(ago(minutes=-90)))
make("due before", before, crontab=at(ago(minutes=20)), last_run_at=ago(hours=20))
make("days due before", before, interval=days, last_run_at=ago(hours=30))
make("new, due before", before, crontab=at(ago(minutes=20)))
make("missed since", before, crontab=at(ago(minutes=5)), last_run_at=ago(hours=20))
make("ran since", before, crontab=at(ago(minutes=5)), last_run_at=ago(hours=20))
`)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.adoptedLongAgo()
	u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours',
		created_at = clock_timestamp() - interval '3 hours', trigger_set_at = clock_timestamp() - interval '3 hours'`)
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
	u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		select $1, s.id, n.now, 'scheduled', 'succeeded', 1, n.now
		from tactus.schedules s, (select clock_timestamp() - interval '5 minutes' as now) n where s.name = 'ran since'`, outbox.NewID())
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	// What is held is asked at its start.
	got := strings.TrimSpace(u.django(`
import celery
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry
app = celery.Celery("app", broker="memory://")
app.conf.timezone = "UTC"
clock = datetime.now(timezone.utc)
ModelEntry._default_now = lambda self: clock
entries = sorted(DatabaseScheduler(app=app).all_as_schedule().items())
for name, entry in entries:
    if name != "celery.backend_cleanup":
        clock = max(datetime.now(timezone.utc), entry.model.start_time)
        entry.schedule.nowfun = lambda: clock
        print(name, entry.is_due().is_due)
`))
	const want = `days due before True
due before True
held True
held days True
held, new True
held, new, waits False
missed since False
new, due before True
ran since False`
	if got != want {
		t.Errorf("the old beat sends\n%s\nwant\n%s", got, want)
	}
}
