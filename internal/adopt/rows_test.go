package adopt_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// TestOneRowHoldsUpNoOther adopts rows that cannot be read, among one that can: args nested too deeply for PostgreSQL
// or for Go, and a last run at the end of time.
func TestOneRowHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.seed("")
	u.exec(`alter table celery_beat_schedules alter column args drop default,
		alter column args type text using args::text`)
	u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression, args, last_run_at) values
		('deepest', 'a', '* * * * *', repeat('[', 100000) || repeat(']', 100000), null),
		('deep', 'a', '* * * * *', repeat('[', 12000) || repeat(']', 12000), null),
		('endless', 'a', '* * * * *', '[]', 'infinity'), ('beginless', 'a', '* * * * *', '[]', '-infinity'), ('good', 'a', '* * * * *', '[1]', null)`)
	s := u.source("celery_beat_schedules", adopt.CeleryBeatSchedules)
	if _, err := s.Preview(t.Context(), "UTC", time.Now()); err != nil {
		t.Errorf("preview: %v", err)
	}
	u.adopt(s)
	k := u.keeper()
	k.sweep()
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		t.Errorf("%d failures", n)
	}
	if n := u.count(`select count(*) from tactus.schedules
		where (invalid_reason is null) <> (name in ('good', 'endless', 'beginless'))`); n != 0 {
		t.Errorf("%d are valid that should not be, or the reverse", n)
	}
	if n := u.count(`select count(*) from tactus.schedules where deleted_at is null`); n != 5 {
		t.Errorf("%d schedules", n)
	}
	u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
	if count, left, err := s.Unadopt(t.Context(), false); err != nil || count != 5 || len(left) != 0 {
		t.Errorf("unadopt: %d, %v, %v", count, left, err)
	}
}

// TestEndsOfTime adopts rows whose bounds exclude all time, or none.
func TestEndsOfTime(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
nine, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="9", timezone="UTC")
often, _ = IntervalSchedule.objects.get_or_create(every=10, period="minutes")
for name in ["never starts", "has ended", "no start", "no end"]:
    PeriodicTask.objects.create(name=name, task="app.a", crontab=nine)
PeriodicTask.objects.create(name="every", task="app.a", interval=often)`)
	u.exec(`update django_celery_beat_periodictask set start_time = 'infinity' where name = 'never starts'`)
	u.exec(`update django_celery_beat_periodictask set start_time = '-infinity' where name = 'no start'`)
	u.exec(`update django_celery_beat_periodictask set expires = '-infinity' where name = 'has ended'`)
	u.exec(`update django_celery_beat_periodictask set expires = 'infinity' where name = 'no end'`)
	u.exec(`update django_celery_beat_periodictask set last_run_at = 'infinity' where name = 'every'`)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	for name, want := range map[string]string{
		"never starts": "2200-12-31T00:00:00Z ",
		"has ended":    " 1970-01-01T00:00:00Z", "no start": " ", "no end": " ", "every": " ",
	} {
		s := u.named(name)
		if got := strings.Join([]string{s.StartsAt, s.EndsAt}, " "); got != want || s.InvalidReason != "" {
			t.Errorf("%s: %q, want %q; %s", name, got, want, s.InvalidReason)
		}
	}
}

// TestDeepBodiesAreFaults gives put_schedule what is nested too deeply for workers, for Go and for PostgreSQL.
func TestDeepBodiesAreFaults(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	for _, depth := range []int{1500, 12000, 100000} {
		_, err := u.pool.Exec(t.Context(),
			`select tactus.put_schedule('{"name": "deep", "task_name": "a", "cron_expression": "* * * * *", "args": '
			|| repeat('[', $1) || repeat(']', $1) || '}')`, depth)
		if err == nil || !strings.Contains(err.Error(), "value_unreadable") || !strings.Contains(err.Error(), "22023") {
			t.Errorf("a body nested %d deep: %v", depth, err)
		}
	}
}
