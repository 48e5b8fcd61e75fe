package processes

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// teamsRows are the schedules of a team that runs Celery's beat with django-celery-beat. When they are due is set by
// restOfTheDay, after the old beat has run for a while.
const teamsRows = `
often, minute = (IntervalSchedule.objects.create(every=n, period="seconds") for n in (2, 60))
nine = CrontabSchedule.objects.create(minute="0", hour="9", timezone="UTC")
ago, make = lambda **kw: datetime.now(timezone.utc) - timedelta(**kw), PeriodicTask.objects.create
make(name="tick", task="app.note", interval=often, args='["tick"]')
make(name="off", task="app.note", interval=often, args='["off"]', enabled=False)
make(name="once before", task="app.note", clocked=ClockedSchedule.objects.create(clocked_time=ago(minutes=5)), args='["once before"]', one_off=True)
make(name="once", task="app.note", clocked=ClockedSchedule.objects.create(clocked_time=ago(days=-1)), args='["once"]', one_off=True)
make(name="slow", task="app.note", interval=minute, args='["slow"]', last_run_at=ago(seconds=1))
make(name="daily", task="app.note", crontab=nine, args='["daily"]', last_run_at=ago(seconds=1))
`

// restOfTheDay makes a daily crontab and a clocked task due at the next minute that is a while off, and puts an
// interval into the middle of its period.
const restOfTheDay = `
now = datetime.now(timezone.utc)
due = (now + timedelta(seconds=85)).replace(second=0, microsecond=0)
CrontabSchedule.objects.filter(hour="9").update(minute=str(due.minute), hour=str(due.hour))
ClockedSchedule.objects.filter(clocked_time__gt=now).update(clocked_time=due)
PeriodicTask.objects.filter(name="slow").update(last_run_at=now - timedelta(seconds=40))
PeriodicTask.objects.filter(name="daily").update(last_run_at=now - timedelta(days=1))
`

// oldBeatRuns is Celery's own beat until it has sent two more ticks.
const oldBeatRuns = `
import celery, json, redis, threading, time
from celery.beat import Service
app = celery.Celery("app", broker="%[1]s")
app.conf.timezone = "UTC"
service = Service(app, max_interval=1, scheduler_cls="django_celery_beat.schedulers:DatabaseScheduler")
client = redis.Redis.from_url("%[1]s")
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

// TestThereAndBack moves a team of django-celery-beat to tactus and back, by the commands of
// docs/migrate-from-celery-beat.md, with Celery's own beat running before and afterwards: nothing is sent twice, and
// nothing is left out.
func TestThereAndBack(t *testing.T) {
	t.Parallel()
	url := testenv.DjangoURL(t)
	c := New(t, url, testenv.RedisURL(t))
	by := func(command string) {
		t.Helper()
		if said := testenv.Run(t, append(strings.Fields(command), "--database-url", url)...); said.Code != exitOK {
			t.Fatalf("tactus %s: %d: %s%s", command, said.Code, said.Out, said.Problems)
		}
	}
	oldBeat := func() { testenv.Django(t, url, fmt.Sprintf(oldBeatRuns, c.Redis)) }
	testenv.Django(t, url, teamsRows)
	oldBeat()
	began := time.Now() // before Django, which takes a while to start, reads its clock
	testenv.Django(t, url, restOfTheDay)

	by("adopt --django-celery-beat --naive-timezone UTC --dry-run --accept queue")
	by("adopt --django-celery-beat --naive-timezone UTC --accept queue")
	relay, beat := c.Start("relay"), c.Beat("one")
	testenv.Eventually(t, "tactus has sent what is due", func() error {
		if sent := c.notes(true); sent["daily"] == 0 || sent["once"] == 0 || sent["slow"] == 0 || sent["tick"] < 3 {
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
	by("unadopt --django-celery-beat")
	oldBeat()

	all, slow := c.notes(false), 1
	if time.Since(began) > 75*time.Second { // the interval may have been due again
		slow = all["slow"]
	}
	for name, want := range map[string]int{"daily": 1, "once": 1, "once before": 1, "off": 0, "slow": slow} {
		if all[name] != want {
			t.Errorf("%s was sent %d times, want %d", name, all[name], want)
		}
	}
	t.Logf("sent: %v, of these by tactus: %v", all, c.notes(true))
	if left := strings.TrimSpace(testenv.Django(t, url,
		`print(*sorted(PeriodicTask.objects.filter(enabled=True).values_list("name", flat=True)))`)); left != "celery.backend_cleanup daily slow tick" {
		t.Errorf("enabled afterwards: %s", left)
	}
}

// notes counts the tasks in the queue by their argument: all, or those that tactus sent.
func (c *Cluster) notes(ours bool) map[string]int {
	c.Helper()
	tasks, err := testenv.Client(c, c.Redis).LRange(c.Context(), "celery", 0, -1).Result()
	if err != nil {
		c.Fatal(err)
	}
	sent := map[string]int{}
	for _, task := range tasks {
		var m struct {
			Headers struct {
				Args string `json:"argsrepr"`
			}
		}
		if err := json.Unmarshal([]byte(task), &m); err != nil {
			c.Fatal(err)
		}
		if !ours || strings.Contains(task, "x-tactus-due-at") {
			sent[strings.Trim(m.Headers.Args, "[]()',")]++
		}
	}
	return sent
}
