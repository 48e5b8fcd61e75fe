package adopt_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/outbox"
)

// TestIntervalsBeginWhenEnabled disables and enables intervals as the ORM and the admin do, a few and many at once: one
// without a last run begins anew, as it does where its own beat reads it, and one that has one goes on in its phase.
func TestIntervalsBeginWhenEnabled(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
day = IntervalSchedule.objects.create(every=1, period="days")
ago, ahead = datetime.now(timezone.utc) - timedelta(hours=7), datetime.now(timezone.utc) + timedelta(hours=7)
make = lambda name, **more: PeriodicTask.objects.create(name=name, task="app.a", interval=day, last_run_at=ago, **more)
for name in ["saved", "toggled", "queued"]: make(name)
make("never enabled", enabled=False)
make("starts later", start_time=ahead)
make("had started", start_time=ago - timedelta(days=3))
for n in range(60): make("many %d" % n)`)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	u.exec(`update tactus.schedules set created_at = created_at - interval '1 day', effective_from = effective_from - interval '1 day',
		trigger_set_at = trigger_set_at - interval '1 day'`)
	began := time.Now().Add(-time.Second)
	u.django(`
for name in ["saved", "never enabled", "starts later", "had started"]:
    task = PeriodicTask.objects.get(name=name); task.enabled = False; task.save(); task.enabled = True; task.save()
PeriodicTask.objects.filter(name="toggled").update(enabled=False)
PeriodicTask.objects.filter(name="toggled").update(enabled=True)
PeriodicTask.objects.filter(name="queued").update(queue="q")
PeriodicTask.objects.filter(name__startswith="many").update(enabled=False, last_run_at=None)
PeriodicTask.objects.filter(name__startswith="many").update(enabled=True)`)
	due := map[string]time.Duration{ // from now
		"saved": 24 * time.Hour, "never enabled": 24 * time.Hour, "had started": 24 * time.Hour, "starts later": 7 * time.Hour,
		"toggled": 17 * time.Hour, "queued": 17 * time.Hour, "many 0": 24 * time.Hour, "many 59": 24 * time.Hour,
	}
	var theirs map[string]time.Time
	if err := json.Unmarshal([]byte(u.django(whenDue)), &theirs); err != nil {
		t.Fatal(err)
	}
	for name, want := range due {
		s := u.named(name)
		at, ok := s.Next(time.Now())
		if first := began.Add(want); !s.Runnable() || !ok || at.Before(first.Add(-time.Minute)) || at.After(first.Add(5*time.Minute)) {
			t.Errorf("%s is due at %s, want %s later than %s", name, at, want, began)
		}
		if their, ok := theirs[name]; !ok || their.Sub(at).Abs() > 5*time.Minute {
			t.Errorf("%s is due at %s, under its own beat at %s", name, at, their)
		}
	}
}

// TestOwnIntervalsBeginWhenEnabled is the same with a table of one's own.
func TestOwnIntervalsBeginWhenEnabled(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(`(name, task_name, cron_expression, last_run_at) select 'a' || n, 'app.a', '@every 24h', clock_timestamp() - interval '7 hours'
		from generate_series(1, 60) n`))
	due := func(name string, want time.Duration) {
		t.Helper()
		s := u.named(name)
		at, ok := s.Next(s.EffectiveFrom)
		if in := time.Until(at); !s.Runnable() || !ok || in < want-5*time.Minute || in > want+time.Minute {
			t.Errorf("%s is due in %s, want %s: %s", name, in, want, s.InvalidReason)
		}
	}
	due("a1", 17*time.Hour)
	for _, rows := range []string{"name = 'a1'", "name <> 'a1'"} {
		u.exec(`update celery_beat_schedules set enabled = false, last_run_at = case name when 'a3' then last_run_at end where ` + rows)
		u.exec(`update celery_beat_schedules set enabled = true where ` + rows)
	}
	due("a1", 24*time.Hour)
	due("a2", 24*time.Hour)
	due("a3", 17*time.Hour)
}

// ownNames are names that a schedule of tactus cannot have, or that another has.
var ownNames = []string{
	"0b5e6a3e-3f0c-4c6e-9d0a-0123456789ab", "two\nlines", "\ttab", " spaced ", "bell\x07", "\u00a0nbsp", "0B5E6A3E-3F0C-4C6E-9D0A-0123456789AC ",
	strings.Repeat("é", 230), "", "same", "same ", "next\u0085line", "csi\u009b2J", "\u2028separated\u2029",
}

// TestNamesOfRows has rows whose names are mended: all of them fire, and their messages say the names of the rows.
func TestNamesOfRows(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed("")
	for _, name := range ownNames {
		u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression) values ($1, 'app.a', '* * * * *')`, name)
	}
	u.adopt(s)
	rows, err := u.pool.Query(t.Context(), `select s.id, s.invalid_reason is null and s.enabled, r.name,
		tactus.run_due(s.id, s.name, s.task, $1::uuid, clock_timestamp(), 'scheduled')::text
		from celery_beat_schedules r left join tactus.schedules s on s.id = tactus.adopted_id('public.celery_beat_schedules', r.id::text)`, outbox.NewID())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var id domain.ID
		var runs bool
		var name, due string
		if err := rows.Scan(&id, &runs, &name, &due); err != nil {
			t.Fatal(err)
		}
		if !runs {
			t.Errorf("%q does not fire", name)
		}
		run, err := celery.ReadRun([]byte(due))
		if err != nil {
			t.Fatal(err)
		}
		_, message, err := celery.Encode(run, "tag", celery.Config{})
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		var sent struct {
			Headers, Properties struct {
				Name *string `json:"periodic_task_name"`
			}
		}
		if err := json.Unmarshal(message, &sent); err != nil {
			t.Fatal(err)
		}
		for where, said := range map[string]*string{"headers": sent.Headers.Name, "properties": sent.Properties.Name} {
			if said == nil || *said != name {
				t.Errorf("the %s of the row %q say %v", where, name, said)
			}
		}
	}
	if n != len(ownNames) {
		t.Errorf("%d rows", n)
	}
}

// TestTextsOfRows has rows with texts that are refused of late: new ones are told of, and those that a schedule has
// already stay.
func TestTextsOfRows(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed("")
	u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression, description, tags) values
		('old', 'app.a', '* * * * *', 'was', '["was"]')`)
	u.adopt(s)
	u.exec(`alter table celery_beat_schedules disable trigger user`)
	u.exec(`update celery_beat_schedules set name = 'old` + "\u009b" + `', description = 'was` + "\u009b" + `', tags = '["was` + "\u009b" + `"]'`)
	u.exec(`alter table celery_beat_schedules enable trigger user`)
	u.exec(`update tactus.schedules set name = 'old` + "\u009b" + `', tags = '{"was` + "\u009b" + `"}',
		definition = replace(replace(definition::text, 'was', 'was` + "\u009b" + `'), 'old', 'old` + "\u009b" + `')::json`)
	u.exec(`update celery_beat_schedules set cron_expression = '*/5 * * * *'`)
	u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression, description, tags) values
		('described', 'app.a', '* * * * *', 'new` + "\u2028" + `', null), ('tagged', 'app.a', '* * * * *', null, '["new` + "\u0085" + `"]'),
		('tasked', 'app` + "\u009b" + `', '* * * * *', null, null), ('good', 'app.a', '* * * * *', 'new', '["new"]')`)
	for name, reason := range map[string]string{
		"old\u009b": "", "good": "", "described": "text_invalid at /description", "tagged": "text_invalid at /tags/0",
		"tasked": "text_invalid at /task_name",
	} {
		if n := u.count(`select count(*) from tactus.schedules where name = $1 and enabled = ($2 = '') and deleted_at is null
			and coalesce(invalid_reason, '') like $2 || '%'`, name, reason); n != 1 {
			t.Errorf("%q is not as wanted: %q", name, reason)
		}
	}
	if n := u.count(`select count(*) from tactus.schedules where name = 'old` + "\u009b" + `' and trigger like '%/5%'
		and definition->>'description' = 'was` + "\u009b" + `' and tags = '{"was` + "\u009b" + `"}'`); n != 1 {
		t.Error("what was stored before did not stay, or was not changed")
	}
}

// TestEditedOneOffsStayDone has one-offs that tactus ran. Their own beat would have disabled them: a new time alone has
// them run no more, and what is disabled and enabled runs once more.
func TestEditedOneOffsStayDone(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
at = lambda hour: CrontabSchedule.objects.get_or_create(minute="0", hour=hour, timezone="UTC")[0]
often = IntervalSchedule.objects.create(every=10, period="minutes")
then = ClockedSchedule.objects.create(clocked_time=datetime(2100, 1, 1, tzinfo=timezone.utc))
for n in range(60):
    PeriodicTask.objects.create(name="crontab %d" % n, task="app.a", one_off=True, crontab=at("9"))
    PeriodicTask.objects.create(name="interval %d" % n, task="app.a", one_off=True, interval=often)
    PeriodicTask.objects.create(name="clocked %d" % n, task="app.a", one_off=True, clocked=then)`)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	u.adopt(s)
	u.exec(`insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) select id, trigger_set_at, 1 from tactus.schedules where name not like '% 1_'`)
	u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		select gen_random_uuid(), id, trigger_set_at, 'scheduled', 'succeeded', 1, trigger_set_at from tactus.schedules where name not like '% 1_'`)
	// As the beat counts.
	left := func() int {
		return u.count(`select count(*) from tactus.schedules s left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
			where s.enabled and (s.trigger = '{"once":true}' or s.policy::json->>'max_runs' = '1') and coalesce(n.fired, 0) = 0`)
	}
	if n := left(); n != 30 {
		t.Fatalf("%d are still to run, want 30", n)
	}
	edit := func(of string) string {
		return `
one, many = (dict(name__endswith=" 1"), {}) if ` + of + ` else ({}, {})
at = lambda hour: CrontabSchedule.objects.get_or_create(minute="0", hour=hour, timezone="UTC")[0]
rows = PeriodicTask.objects.filter(**one)
rows.filter(name__startswith="crontab").update(crontab=at("10"))
rows.filter(name__startswith="interval").update(interval=IntervalSchedule.objects.get_or_create(every=20, period="minutes")[0])
rows.filter(name__startswith="clocked").update(clocked=ClockedSchedule.objects.get_or_create(clocked_time=datetime(2101, 1, 1, tzinfo=timezone.utc))[0])
rows.filter(name__startswith="interval").update(one_off=False)
CrontabSchedule.objects.filter(hour="9").update(hour="11")`
	}
	u.django(edit("True"))
	if n := left(); n != 30 {
		t.Errorf("with one of each edited, %d are still to run, want 30", n)
	}
	u.django(edit("False"))
	const never = 20 // those of an interval are one-offs no more
	if n := left(); n != never {
		t.Errorf("edited, %d are still to run, want %d", n, never)
	}
	if _, err := adopt.NewUpkeep(u.pool, slog.New(slog.NewTextHandler(t.Output(), nil))).Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := left(); n != never {
		t.Errorf("compared, %d are still to run, want %d", n, never)
	}
	u.django(`
for name in ["crontab 1", "crontab 2", "clocked 2"]:
    task = PeriodicTask.objects.get(name=name); task.enabled = False; task.save(); task.enabled = True; task.save()`)
	if n := left(); n != never+3 {
		t.Errorf("with three that were enabled again, %d are still to run, want %d", n, never+3)
	}
	if s := u.named("clocked 2"); s.RunAt != "2101-01-01T00:00:00Z" {
		t.Errorf("enabled again it runs at %s", s.RunAt)
	}
	if _, _, err := s.Unadopt(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	got := u.django(`print(*[r.name for r in PeriodicTask.objects.filter(enabled=True, one_off=True).order_by("name") if " 1" not in r.name or r.name == "crontab 1"], sep=", ")`)
	if strings.TrimSpace(got) != "clocked 2, crontab 1, crontab 2" {
		t.Errorf("handed back enabled: %s", got)
	}
}

// TestRunsAreCountedOnce adopts, lets go with the schedules kept, and adopts again.
func TestRunsAreCountedOnce(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`PeriodicTask.objects.create(name="a", task="app.a", total_run_count=2, interval=IntervalSchedule.objects.create(every=1, period="days"))`)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	s.NaiveTimezone = "UTC"
	runs, want := 0, 2
	run := func(times int) {
		for range times {
			u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				select gen_random_uuid(), id, clock_timestamp() + $1 * interval '1 second', 'scheduled', 'succeeded', 1, clock_timestamp() from tactus.schedules`, runs)
			runs++
		}
	}
	for round, keep := range []bool{true, false, true, true, false} {
		u.adopt(s)
		run(3)
		u.adopt(s) // which changes nothing
		run(round)
		if _, _, err := s.Unadopt(t.Context(), keep); err != nil {
			t.Fatal(err)
		}
		want += 3 + round
		if n := u.count(`select total_run_count from django_celery_beat_periodictask`); n != want {
			t.Fatalf("round %d: the row counts %d runs, want %d", round, n, want)
		}
		if keep {
			run(1) // of tactus' own
		}
	}
}
