package adopt_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
)

const makeTasks = `
nine, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="9", timezone="Asia/Tokyo")
never, _ = CrontabSchedule.objects.get_or_create(minute="0", hour="9", day_of_week="7")
tens, _ = CrontabSchedule.objects.get_or_create(minute="*/10", hour="*", day_of_week="mon, sun", timezone="America/New_York")
often, _ = IntervalSchedule.objects.get_or_create(every=10, period="minutes")
tiny, _ = IntervalSchedule.objects.get_or_create(every=500, period="microseconds")
then = ClockedSchedule.objects.create(clocked_time=datetime(2100, 1, 1, 12, tzinfo=timezone.utc))
past = ClockedSchedule.objects.create(clocked_time=datetime(2020, 1, 1, 12, tzinfo=timezone.utc))
dawn = SolarSchedule.objects.create(event="sunrise", latitude=35, longitude=139)
make = PeriodicTask.objects.create
make(name="nine", task="app.nine", crontab=nine, args='[1, "é"]', kwargs='{"a": {"b": null}}', queue="q", priority=5, headers='{"x": 1}', expire_seconds=60, description="d")
make(name="sundays", task="app.a", crontab=never)
make(name="tens", task="app.a", crontab=tens, exchange="e", routing_key="r")
make(name="often", task="app.a", interval=often, last_run_at=datetime(2026, 3, 2, 11, 55, tzinfo=timezone.utc), start_time=datetime(2026, 1, 1, tzinfo=timezone.utc))
make(name="once", task="app.a", interval=often, one_off=True, start_time=datetime(2026, 1, 1, tzinfo=timezone.utc))
make(name="done", task="app.a", interval=often, one_off=True, total_run_count=1)
make(name="tiny", task="app.a", interval=tiny)
make(name="then", task="app.a", clocked=then, one_off=True)
make(name="past", task="app.a", clocked=past, one_off=True)
make(name="dawn", task="app.a", solar=dawn)
make(name="off", task="app.a", crontab=nine, enabled=False)
make(name="expired", task="app.a", crontab=nine, expires=datetime(2021, 1, 1, tzinfo=timezone.utc))
PeriodicTask.objects.filter(name="off").update(args="no list")
`

// TestDjangoCeleryBeat follows the real tables, written by the real ORM.
func TestDjangoCeleryBeat(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(makeTasks)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	t.Run("preview", func(t *testing.T) { previewTasks(t, s, now) })
	u.adopt(s)
	t.Run("rows", func(t *testing.T) { adoptedTasks(t, u, now) })
	t.Run("writes", func(t *testing.T) { writtenTasks(t, u) })
	if n := u.count(`select count(*) from tactus.adopt_failures`); n != 0 {
		t.Errorf("%d failures", n)
	}
	if count, _, err := s.Unadopt(t.Context(), false); err != nil || count == 0 ||
		u.count(`select count(*) from pg_trigger where tgname like 'tactus%'`) != 0 {
		t.Errorf("unadopt: %d, %v", count, err)
	}
}

func previewTasks(t *testing.T, s adopt.Source, now time.Time) {
	began := time.Now()
	rows, err := s.Preview(t.Context(), "UTC", now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		if r.Name == "past" && r.Next != nil && began.Sub(*r.Next) < time.Minute {
			*r.Next = now // at once
		}
		got = append(got, told(r))
	}
	want := []string{
		"nine new 2026-03-03T00:00:00Z []", "sundays new 2026-03-08T09:00:00Z [celery_refuses]",
		"tens new 2026-03-02T12:10:00Z [dst]",
		"often new 2026-03-02T12:05:00Z []", "once new 2026-03-02T12:10:00Z []", "done new - [done]",
		"tiny new invalid - []", "then new 2100-01-01T12:00:00Z []",
		"past new 2026-03-02T12:00:00Z [past]", "dawn new invalid - []", "off new invalid - []",
		"expired new - [expired]",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func adoptedTasks(t *testing.T, u upstream, now time.Time) {
	nine := u.named("nine")
	if string(nine.Args) != `[1,"é"]` || string(nine.Kwargs) != `{"a":{"b":null}}` || nine.Queue != "q" ||
		*nine.Priority != 5 || string(nine.Headers["x"]) != "1" ||
		nine.ExpiresSeconds != 60 || nine.Description != "d" || nine.TaskName != "app.nine" {
		t.Errorf("%+v", nine)
	}
	for name, want := range map[string]string{
		"tiny": "trigger_unsupported at /interval: ",
		"dawn": "trigger_unsupported at /solar: ", "off": "args_not_list at /args: ",
	} {
		if s := u.named(name); !strings.HasPrefix(s.InvalidReason, want) || s.Runnable() {
			t.Errorf("%s: %q, want %s", name, s.InvalidReason, want)
		}
	}
	if s := u.named("then"); s.RunAt != "2100-01-01T12:00:00Z" || !s.Runnable() {
		t.Errorf("then: %+v", s)
	}
	past := u.named("past")
	if due, ok := past.Next(past.EffectiveFrom); !ok || due.Sub(past.EffectiveFrom) > 2*time.Second {
		t.Errorf("what was past at the adoption and never ran is due at %s, %v, not at once: %+v", due, ok, past)
	}
	if s := u.named("done"); s.IsEnabled() || s.MaxRuns != 1 {
		t.Errorf("done: %+v", s)
	}
	if s := u.named("once"); !s.IsEnabled() || s.MaxRuns != 1 {
		t.Errorf("once: %+v", s)
	}
	if s := u.named("tens"); s.CronExpression != "*/10 * * * mon,sun" || s.Exchange != "e" || s.RoutingKey != "r" ||
		s.Timezone != "America/New_York" {
		t.Errorf("tens: %+v", s)
	}
	if s := u.named("often"); s.IntervalAnchor != "2026-03-02T11:55:00Z" || s.StartsAt == "" {
		t.Errorf("often: %+v", s)
	}
}

// writtenTasks writes by the ORM, by QuerySet.update and by hand, and as the old beat does.
func writtenTasks(t *testing.T, u upstream) {
	events := u.count(`select count(*) from tactus.outbox`)
	u.django(`
PeriodicTask.objects.filter(name="often").update(last_run_at=datetime.now(timezone.utc), total_run_count=7)
task = PeriodicTask.objects.get(name="nine"); task.last_run_at = datetime.now(timezone.utc); task.total_run_count += 1; task.save()
`)
	if n := u.count(`select count(*) from tactus.outbox`); n != events {
		t.Errorf("the old beat's runs make %d events", n-events)
	}
	u.django(`
try:
    with transaction.atomic():
        PeriodicTask.objects.filter(name="nine").update(task="app.undone")
        raise KeyError
except KeyError:
    pass
with transaction.atomic():
    PeriodicTask.objects.filter(task="app.a").update(queue="moved")
    CrontabSchedule.objects.filter(minute="*/10").update(minute="*/15")
    IntervalSchedule.objects.filter(period="minutes").update(every=20)
    ClockedSchedule.objects.filter(clocked_time__year=2100).update(clocked_time=datetime(2101, 1, 1, tzinfo=timezone.utc))
PeriodicTask.objects.get(name="sundays").delete()
CrontabSchedule.objects.get(hour="9", day_of_week="*").periodictask_set.filter(name="expired").delete()
PeriodicTask.objects.create(name="new", task="app.new", interval=IntervalSchedule.objects.get(period="minutes"))
`)
	if s := u.named("nine"); s.TaskName != "app.nine" || s.Version != 1 {
		t.Errorf("rolled back: %+v", s)
	}
	if s := u.named("tens"); s.Queue != "moved" || s.CronExpression != "*/15 * * * mon,sun" || s.Version != 3 {
		t.Errorf("tens: %+v", s)
	}
	if s := u.named("often"); s.IntervalSeconds != 1200 || s.Queue != "moved" {
		t.Errorf("often: %+v", s)
	}
	if s := u.named("then"); s.RunAt != "2101-01-01T00:00:00Z" {
		t.Errorf("then: %+v", s)
	}
	if s := u.named("new"); s.TaskName != "app.new" || s.IntervalSeconds != 1200 {
		t.Errorf("new: %+v", s)
	}
	if n := u.count(`select count(*) from tactus.schedules where deleted_at is not null`); n != 2 {
		t.Errorf("%d are deleted, want two", n)
	}
	u.exec(`update django_celery_beat_periodictask set enabled = false where name = 'nine'`)
	if s := u.named("nine"); s.Runnable() {
		t.Errorf("by hand: %+v", s)
	}
	var kind domain.EventType
	if err := u.pool.QueryRow(t.Context(),
		`select type from tactus.outbox order by position desc limit 1`).Scan(&kind); err != nil ||
		kind != domain.ScheduleDisabled {
		t.Errorf("%s, %v", kind, err)
	}
}
