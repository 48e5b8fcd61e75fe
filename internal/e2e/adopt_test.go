package e2e_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// movingIn creates what a team has: the tables of django-celery-beat and a table of its own, with a history of runs.
const movingIn = `
call_command("migrate", verbosity=0)
second, _ = IntervalSchedule.objects.get_or_create(every=1, period="seconds")
other, _ = IntervalSchedule.objects.get_or_create(every=2, period="seconds")
minutely, _ = CrontabSchedule.objects.get_or_create(minute="*")
past = ClockedSchedule.objects.create(clocked_time=datetime(2020, 1, 1, tzinfo=timezone.utc))
make = PeriodicTask.objects.create
make(name="edited", task="app.note", interval=second, args='["old"]')
make(name="stopped", task="app.note", interval=other, args='["stopped"]')
make(name="once", task="app.note", interval=second, args='["again"]', one_off=True, total_run_count=1)
make(name="then", task="app.note", clocked=past, args='["again"]', one_off=True, total_run_count=1, enabled=False)
make(name="late", task="app.note", clocked=past, args='["late"]', one_off=True)
make(name="expired", task="app.note", interval=second, args='["again"]', expires=datetime(2021, 1, 1, tzinfo=timezone.utc))
make(name="nine", task="app.note", crontab=CrontabSchedule.objects.create(minute="0", hour="9", day_of_month="1", month_of_year="1"), args='["again"]',
    last_run_at=datetime(2020, 1, 1, tzinfo=timezone.utc))
`

// edit is what the team's code writes later, in ways that send no signal. It prints a line when it has committed.
const edit = `
with transaction.atomic():
    PeriodicTask.objects.filter(name="edited").update(args='["new"]')
    IntervalSchedule.objects.filter(every=2).update(every=86400)
PeriodicTask.objects.create(name="made", task="app.note", interval=IntervalSchedule.objects.get(every=1), args='["made"]')
print(datetime.now(timezone.utc).isoformat())
`

// TestMovingIn adopts a team's tables while tactus runs, and lets the team's code write on. What it writes runs, what
// it removes does not, and what had run before does not run again.
func TestMovingIn(t *testing.T) {
	t.Parallel()
	broker := testenv.RedisServer(t, nil)
	s := &stack{T: t, broker: broker, client: testenv.Client(t, broker.URL(0)), lost: 3600}
	url := testenv.DirectURL(t)
	s.env = []string{"DATABASE_URL=" + url, "REDIS_URL=" + broker.URL(0)}
	pool := testenv.Connect(t, url)
	testenv.Django(t, url, movingIn)
	execute(t, pool, `create table public.celery_beat_schedules (id uuid primary key default gen_random_uuid(), name text, task_name text, cron_expression text,
		enabled boolean default true, args json default '[]', kwargs json default '{}')`)
	execute(t, pool, `insert into celery_beat_schedules (name, task_name, cron_expression, args) values ('minutely', 'app.note', '* * * * *', '["minutely"]')`)
	s.api = s.start("api").URL() + "/api/v1"
	s.start("relay")
	s.start("beat")
	s.work()
	s.adopt("--django-celery-beat")
	s.adopt("--table", "celery_beat_schedules")

	edited, stopped, minutely := s.named("edited"), s.named("stopped"), s.named("minutely")
	s.succeeded(edited, time.Time{})
	s.succeeded(stopped, time.Time{})
	committed, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(testenv.Django(t, url, edit)))
	if err != nil {
		t.Fatal(err)
	}
	s.adopt("--django-celery-beat") // adopting again changes nothing
	s.succeeded(edited, committed.Add(3*time.Second))
	s.succeeded(s.named("made"), committed)
	for _, r := range s.history(stopped) {
		if r.DueAt.After(committed) {
			t.Errorf("a run after the schedule was stopped at %s: %+v", committed, r)
		}
	}
	for _, r := range s.history(edited) {
		if late := r.DueAt.After(committed); late && r.Version != 2 {
			t.Errorf("the edit of %s had no effect: %+v", committed, r)
		}
	}
	s.succeeded(minutely, time.Time{})
	noted := s.list("noted", 1)
	if first := slices.Index(noted, "new"); first < 0 || slices.Contains(noted[first:], "old") || slices.Contains(noted, "again") || !slices.Contains(noted, "minutely") || !slices.Contains(noted, "late") {
		t.Errorf("tasks run: %q", noted)
	}
	for _, name := range []string{"once", "then", "expired", "nine"} {
		if runs := s.history(s.named(name)); len(runs) > 0 {
			t.Errorf("%s ran again: %+v", name, runs)
		}
	}
	if runs := s.history(s.named("late")); len(runs) != 1 {
		t.Errorf("a past one-off that never ran must run once, as with Celery's beat: %+v", runs)
	}
	for _, c := range [][2]string{{"PUT", `{"enabled": false}`}, {"PATCH", `{"args": []}`}, {"DELETE", ""}} {
		if err := s.try(c[0], "/schedules/"+minutely, c[1], nil); err == nil || !strings.Contains(err.Error(), "409") || !strings.Contains(err.Error(), "managed_elsewhere") {
			t.Errorf("%s: %v", c[0], err)
		}
	}
	if p := (testenv.Program{Env: s.env}).Start(t, "verify"); p.Wait() != 0 {
		t.Errorf("verify found: %s", p.Log())
	}
}

func execute(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// start starts a serving process.
func (s *stack) start(command string, env ...string) *testenv.Process {
	s.Helper()
	p := testenv.Program{Env: slices.Concat(s.env, env)}.Start(s, command, "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	return p
}

func (s *stack) adopt(source ...string) {
	s.Helper()
	if p := (testenv.Program{Env: s.env}).Start(s, append([]string{"adopt", "--accept", "queue"}, source...)...); p.Wait() != 0 {
		s.Fatalf("adopt %s: %s", source, p.Log())
	}
}

// named returns the id of a schedule.
func (s *stack) named(name string) string {
	s.Helper()
	var found struct{ Schedules []struct{ ID, Name string } }
	s.ask("GET", "/schedules?name="+name, "", &found)
	for _, schedule := range found.Schedules {
		if schedule.Name == name {
			return schedule.ID
		}
	}
	s.Fatalf("there is no schedule %s", name)
	return ""
}

// succeeded waits for a run of a schedule that was due after an instant and has succeeded.
func (s *stack) succeeded(schedule string, after time.Time) {
	s.Helper()
	testenv.Eventually(s, "a run after "+after.String(), func() error {
		runs := s.history(schedule)
		for _, r := range runs {
			if r.Status == "succeeded" && r.DueAt.After(after) {
				return nil
			}
		}
		if len(runs) == 0 {
			return errors.New("the schedule has not fired")
		}
		return fmt.Errorf("the newest of %d runs is %+v", len(runs), runs[0])
	})
}
