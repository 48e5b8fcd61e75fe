package adopt_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/unsent"
	"github.com/tactus-dev/tactus/outbox"
)

// oldBeat is the beat of django-celery-beat, which is asked what it would send at once, and of the rest of a schedule,
// in how many seconds.
const oldBeat = `
import celery
from django_celery_beat.schedulers import DatabaseScheduler
app = celery.Celery("app", broker="memory://")
app.conf.timezone = "UTC"
scheduler = DatabaseScheduler(app=app)
for name, entry in sorted(scheduler.all_as_schedule().items()):
    if name != "celery.backend_cleanup":
        due, seconds = entry.is_due()
        print(name, "now" if due else f"in {round(seconds / 60)} min", entry.model.total_run_count)
`

const rowsToHandBack = `
now = datetime.now(timezone.utc)
ago = lambda **kw: now - timedelta(**kw)
at = lambda t: CrontabSchedule.objects.create(minute=str(t.minute), hour=str(t.hour), timezone="UTC")
daily, half, days = at(ago(minutes=10)), IntervalSchedule.objects.create(every=30, period="minutes"), IntervalSchedule.objects.create(every=2, period="days")
make = PeriodicTask.objects.create
make(name="daily, fired today", task="app.a", crontab=daily, last_run_at=ago(days=1, minutes=10), total_run_count=5)
make(name="daily, missed today", task="app.a", crontab=daily, last_run_at=ago(days=1, minutes=10))
make(name="daily, never ran", task="app.a", crontab=daily)
make(name="in the middle", task="app.a", interval=half, last_run_at=ago(hours=3))
make(name="long ago", task="app.a", interval=days, last_run_at=ago(days=100))
make(name="new, every 2 days", task="app.a", interval=days)
make(name="expired", task="app.a", interval=IntervalSchedule.objects.create(every=5, period="minutes"), expires=ago(minutes=5))
make(name="off", task="app.a", crontab=daily, last_run_at=ago(days=3), enabled=False)
make(name="once", task="app.a", clocked=ClockedSchedule.objects.create(clocked_time=ago(minutes=5)), one_off=True)
make(name="once, missed", task="app.a", clocked=ClockedSchedule.objects.create(clocked_time=ago(minutes=20)), one_off=True)
make(name="one of a crontab", task="app.a", crontab=daily, one_off=True, last_run_at=ago(days=3))
`

// TestHandingBack has real tables be adopted, fires what would have been due, goes back, and asks the old beat.
func TestHandingBack(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(rowsToHandBack)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.adoptedLongAgo()
	// Since three hours ago a beat has been in charge.
	u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours', trigger_set_at = clock_timestamp() - interval '3 hours'`)
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
	ran := func(name, ago string) {
		t.Helper()
		u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
			select $2, s.id, n.now - $3::interval, 'scheduled', 'succeeded', 1, n.now - $3::interval
			from tactus.schedules s, (select clock_timestamp() as now) n where s.name = $1`, name, outbox.NewID(), ago)
		u.exec(`update tactus.schedules set created_at = clock_timestamp() - interval '3 hours' where name = $1`, name)
	}
	ran("daily, fired today", "10 minutes")
	ran("in the middle", "40 minutes")
	ran("in the middle", "10 minutes")
	ran("once", "5 minutes")
	ran("one of a crontab", "10 minutes")
	ran("expired", "7 minutes")
	anchor := time.Now().Add(-47 * time.Hour).UTC().Format(time.RFC3339)
	u.exec(`update tactus.schedules set definition = jsonb_set(definition::jsonb, '{interval_anchor}', to_jsonb($1::text))::json where name = 'new, every 2 days'`, anchor)
	u.exec(`insert into tactus.runs (id, schedule_id, due_at, until, kind, status, reason, schedule_version, fired_at)
		select $1, id, at, at, 'scheduled', 'missed', 'misfire policy none', 1, clock_timestamp()
		from tactus.schedules, (select clock_timestamp() - interval '20 minutes' as at) n where name = 'once, missed'`, outbox.NewID())
	if count, left, err := s.Unadopt(t.Context(), false); err != nil || count != 11 || len(left) != 0 {
		t.Fatalf("%d, %v, %v", count, left, err)
	}
	if n := u.count(`select count(*) from tactus.outbox where topic = 'schedule'`); n != 22 {
		t.Errorf("%d events: those of the adoption, and those of letting go", n)
	}
	got := strings.TrimSpace(u.django(oldBeat))
	want := regexp.MustCompile(`^daily, fired today in 14[0-3]\d min 6
daily, missed today in 14[0-3]\d min 0
daily, never ran in 14[0-3]\d min 0
expired now 1
in the middle in (1\d|20) min 2
long ago in \d+ min 0
new, every 2 days in (5\d|60) min 0$`)
	if !want.MatchString(got) {
		t.Errorf("the old beat says\n%s\nwant\n%s", got, want)
	}
	// What has expired keeps the time at which it really ran last.
	if ran := strings.TrimSpace(u.django(`print(*[round((datetime.now(timezone.utc) - r.last_run_at).total_seconds() / 60)
		for r in PeriodicTask.objects.filter(name="expired")])`)); !regexp.MustCompile(`^[78]$`).MatchString(ran) {
		t.Errorf("it ran %s minutes ago, want 7", ran)
	}
	if left := u.django(`print(*sorted(PeriodicTask.objects.filter(enabled=True).values_list("name", flat=True)), sep=", ")`); strings.Contains(left, "once") ||
		strings.Contains(left, "one of a crontab") || !strings.Contains(left, "long ago") {
		t.Errorf("enabled: %s", left)
	}
}

// TestHandingBackWhatNeverRan has a crontab that never ran be due between the last that tactus has settled and the
// start of the old beat, which sends it then as it does what ran before.
func TestHandingBackWhatNeverRan(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
minutely = CrontabSchedule.objects.create(timezone="UTC")
now = datetime.now(timezone.utc)
PeriodicTask.objects.create(name="never ran", task="app.a", crontab=minutely)
PeriodicTask.objects.create(name="ran", task="app.a", crontab=minutely, last_run_at=now - timedelta(minutes=9))
due = now - timedelta(minutes=10)
once_a_day = CrontabSchedule.objects.create(minute=str(due.minute), hour=str(due.hour), timezone="UTC")
PeriodicTask.objects.create(name="started", task="app.a", crontab=once_a_day, start_time=now - timedelta(minutes=60))
PeriodicTask.objects.create(name="to start", task="app.a", crontab=minutely, start_time=now + timedelta(days=1))`)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.adoptedLongAgo()
	u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours',
		trigger_set_at = clock_timestamp() - interval '3 hours'`)
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp() - interval '30 minutes')`)
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	got := u.django(oldBeat)
	for _, want := range []string{`never ran now 0`, `ran now 0`, `started now 0`, `to start in \d+ min 0`} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(got) {
			t.Errorf("the old beat says\n%s\nwant %s", strings.TrimSpace(got), want)
		}
	}
}

// TestEnablingAfterGoingBack enables rows when the old beat is in charge again: one-offs that tactus ran run once more,
// and a row that was disabled while it was adopted waits for its next due time, also when it was enabled again after
// tactus' beat had stopped.
func TestEnablingAfterGoingBack(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(rowsToHandBack)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.adoptedLongAgo()
	u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours', created_at = clock_timestamp() - interval '3 days', trigger_set_at = clock_timestamp() - interval '3 days'`)
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
	for name, ago := range map[string]string{
		"daily, fired today": "25 hours", "once": "5 minutes", "one of a crontab": "25 hours", "daily, never ran": "25 hours",
	} {
		u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
			select $2, s.id, n.now - $3::interval, 'scheduled', 'succeeded', 1, n.now - $3::interval
			from tactus.schedules s, (select clock_timestamp() as now) n where s.name = $1`, name, outbox.NewID(), ago)
	}
	// What the admin's action toggles keeps its last run, and a one-off that has run is set anew.
	u.exec(`update django_celery_beat_periodictask set enabled = false, last_run_at = clock_timestamp() - interval '40 hours' where name = 'in the middle'`)
	u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		select $1, s.id, n.now, 'scheduled', 'succeeded', 1, n.now
		from tactus.schedules s, (select clock_timestamp() - interval '1 minute' as now) n where s.name = 'in the middle'`, outbox.NewID())
	u.django(`from datetime import timedelta
from django.utils import timezone
task = PeriodicTask.objects.get(name="once"); task.enabled = False; task.save()
task.clocked, _ = ClockedSchedule.objects.get_or_create(clocked_time=timezone.now() + timedelta(hours=1)); task.enabled = True; task.save()
task = PeriodicTask.objects.get(name="daily, fired today"); task.enabled = False; task.save()
task = PeriodicTask.objects.get(name="daily, never ran"); task.enabled = False; task.save(); task.enabled = True; task.save()`)
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"once": "true 0 t", "in the middle": "false 1 t"} {
		var got string
		if err := u.pool.QueryRow(t.Context(), `select format('%s %s %s', enabled::text, total_run_count, case name when 'once'
			then last_run_at is null else last_run_at > clock_timestamp() - interval '10 minutes' end)
			from django_celery_beat_periodictask where name = $1`, name).Scan(&got); err != nil || got != want {
			t.Errorf("%s is handed back as %s, want %s; %v", name, got, want, err)
		}
	}
	var rows string
	const allRows = `select md5(string_agg(t::text, ' ' order by id)) from django_celery_beat_periodictask t`
	if err := u.pool.QueryRow(t.Context(), allRows).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Error(err)
	}
	var again string
	if err := u.pool.QueryRow(t.Context(), allRows).Scan(&again); err != nil || again != rows {
		t.Errorf("handed back a second time, rows were written: %v", err)
	}
	u.django(`
for task in PeriodicTask.objects.filter(name__in=["daily, fired today", "one of a crontab"]):
    assert not task.enabled, task.name
    task.enabled = True
    task.save()`)
	got := u.django(oldBeat)
	for _, want := range []string{`daily, fired today in 14[0-3]\d min`, `daily, never ran in 14[0-3]\d min`, `once in (59|60) min 0`, `one of a crontab in 14[0-3]\d min 0`} {
		if !regexp.MustCompile(`(?m)^` + want).MatchString(got) {
			t.Errorf("the old beat says\n%s\nwant %s", strings.TrimSpace(got), want)
		}
	}
}

// TestHandingBackWhatWasNotHandedOver has runs that no relay has handed over. They are counted neither as run, so that
// nobody would send them, nor as not run, so that both would; cancelled, they are the old beat's.
func TestHandingBackWhatWasNotHandedOver(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(rowsToHandBack)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.adoptedLongAgo()
	u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours', created_at = clock_timestamp() - interval '3 hours', trigger_set_at = clock_timestamp() - interval '3 hours'`)
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
	for name, ago := range map[string]string{"daily, fired today": "10 minutes", "in the middle": "10 minutes", "once": "5 minutes"} {
		// A crontab is due at the minute that its row names, which is another one by now.
		u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
			select $2, s.id, coalesce(today.due - case when today.due > n.now then interval '1 day' else interval '0' end,
				date_trunc('minute', n.now - $3::interval)), 'scheduled', 'due', 1, n.now - $3::interval
			from tactus.schedules s, (select clock_timestamp() as now) n, lateral (select (date_trunc('day', n.now at time zone 'UTC')
				+ make_interval(hours => split_part(d.cron, ' ', 2)::int, mins => split_part(d.cron, ' ', 1)::int)) at time zone 'UTC'
				as due from (select s.definition::json->>'cron_expression' as cron) d) today
			where s.name = $1`, name, outbox.NewID(), ago)
	}
	_, _, err := s.Unadopt(t.Context(), false)
	if left, ok := errors.AsType[*unsent.Error](err); !ok || left.Runs != 3 ||
		strings.Join(left.Names, "; ") != "daily, fired today; in the middle; once" {
		t.Fatalf("%v", err)
	}
	if n := u.count(`select count(*) from tactus.adoptions`); n != 1 {
		t.Fatalf("%d adoptions", n)
	}
	s.CancelUnsent = true
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if n := u.count(`select count(*) from tactus.runs where status = 'due'`); n != 0 {
		t.Errorf("%d runs are still to be handed over", n)
	}
	got := u.django(oldBeat)
	for _, want := range []string{`(?m)^daily, fired today now 5$`, `(?m)^in the middle now 0$`, `(?m)^once now 0$`, `(?m)^daily, missed today in 14[2-3]\d min 0$`} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("the old beat says\n%s\nwant %s", strings.TrimSpace(got), want)
		}
	}
}

// TestHandingBackATableOfOnesOwn has a table without counts, and a time without a zone.
func TestHandingBackATableOfOnesOwn(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(`(name, task_name, cron_expression) values ('a', 'app.a', '* * * * *'), ('b', 'app.b', '0 0 1 1 *')`)
	u.exec(`alter table celery_beat_schedules alter last_run_at type timestamp using last_run_at at time zone 'UTC'`)
	u.adopt(s)
	u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		select $1, id, '2100-01-01 00:00Z', 'scheduled', 'sent', 1, '2100-01-01 00:00:01Z' from tactus.schedules where name = 'a'`, outbox.NewID())
	u.exec(`alter role current_user set timezone = 'Asia/Tokyo'`)
	if count, _, err := s.Unadopt(t.Context(), false); err != nil || count != 2 {
		t.Fatalf("%d, %v", count, err)
	}
	if n := u.count(`select count(*) from celery_beat_schedules where last_run_at = '2100-01-01 00:00:01' and name = 'a'
		or last_run_at is null and name = 'b'`); n != 2 {
		t.Errorf("%d rows say when they ran last", n)
	}
}

// TestHandingBackRunsNoForeignCode has a trigger of somebody else on the table, which would run with tactus' rights.
func TestHandingBackRunsNoForeignCode(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(`(name, task_name, cron_expression) values ('a', 'app.a', '* * * * *')`)
	u.adopt(s)
	stranger, _ := testenv.Role(t, u.url)
	u.exec(`create schema theirs; create function theirs.theirs() returns trigger language plpgsql as 'begin return new; end'`)
	u.exec(`alter function theirs.theirs() owner to ` + stranger)
	u.exec(`create trigger theirs before update on celery_beat_schedules for each row execute function theirs.theirs()`)
	if _, _, err := s.Unadopt(t.Context(), false); err == nil ||
		!strings.Contains(err.Error(), "trigger theirs of "+stranger) ||
		!strings.Contains(err.Error(), "--trust-triggers") {
		t.Errorf("%v", err)
	}
	if n := u.count(`select count(*) from tactus.adoptions`); n != 1 {
		t.Error("it is not followed any more")
	}
	s.TrustTriggers = true
	if count, _, err := s.Unadopt(t.Context(), false); err != nil || count != 1 {
		t.Errorf("%d, %v", count, err)
	}
}
