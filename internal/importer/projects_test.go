package importer_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// projects have, each in its own way of writing, what the applications of published projects have. Which entries come
// in is decided by comparing when Celery's own beat sends each under a simulated clock, and what, with tactus.
var projects = map[string]struct {
	app    string
	accept []string
	want   []string // name, change, trigger, reason and differences; where each is sent
}{
	"enumerations for priorities, queues and tasks": {app: `
import enum
from datetime import timedelta
class Priority(int, enum.Enum):
    HIGH, LOW = 1, 4
class Name(str, enum.Enum):
    MONITORING = "monitoring"
    CHECK = "app.check"
app.conf.beat_schedule = {
    "check": {"task": Name.CHECK, "schedule": timedelta(seconds=15), "options": {"priority": Priority.LOW, "expires": 15 * 60}},
    "monitor": {"task": "app.monitor", "schedule": timedelta(minutes=5), "options": {"priority": Priority.HIGH, "queue": Name.MONITORING}},
}
`, want: []string{
		"check | new | every 15 s -> app.check celery 4 900", "monitor | new | every 300 s -> app.monitor monitoring 1 0",
	}},
	"pickled arguments": {app: `
from datetime import timedelta
app.conf.task_serializer = "pickle"
app.conf.beat_schedule = {
    "alerts": {"task": "app.alerts", "schedule": timedelta(hours=1), "args": [timedelta(hours=1)]},
    "cleanup": {"task": "app.cleanup", "schedule": timedelta(hours=8)},
}
`, want: []string{
		"alerts | refused | every 3600 s | args_unreadable at /args",
		"cleanup | refused | every 28800 s | it would not run as it did | serializer",
	}},
	"a zone that is an object, and results that are ignored": {app: `
import pytz
from celery.schedules import crontab
app.conf.update(timezone=pytz.timezone("Asia/Shanghai"), task_ignore_result=True)
day = 2
app.conf.beat_schedule = {
    "embeddings": {"task": "app.embeddings", "schedule": crontab(minute="0", hour="2", day_of_month=f"*/{day}")},
    "mail": {"task": "app.mail", "schedule": crontab(minute="0", hour="10", day_of_week="1")},
    "upgrade": {"task": "app.upgrade", "schedule": crontab(minute="*/15")},
}
`, want: []string{
		"embeddings | new | 0 2 */2 * * Asia/Shanghai -> app.embeddings celery - 0",
		"mail | new | 0 10 * * 1 Asia/Shanghai -> app.mail celery - 0", "upgrade | new | */15 * * * * Asia/Shanghai -> app.upgrade celery - 0",
	}},
	"a default queue, and a queue for what takes long": {app: `
from celery.schedules import crontab
class Config:
    task_default_queue = "short-running"
    beat_schedule = {
        "builds": {"task": "app.babysit_builds", "schedule": 3600.0, "options": {"queue": "long-running"}},
        "maintenance": {"task": "app.maintenance", "schedule": crontab(minute=0, hour=1)},
    }
    task_send_sent_event = True
app.config_from_object(Config)
`, want: []string{
		"builds | new | every 3600 s -> app.babysit_builds long-running - 0",
		"maintenance | new | 0 1 * * * UTC -> app.maintenance short-running - 0",
	}},
	"a router by its name, and queues as a dict": {app: `
import json
class Router:
    def route_for_task(self, task, args=None, kwargs=None):
        return {"queue": "core.high"} if task.startswith("grades.") else None
class Config:
    CELERY_DEFAULT_QUEUE = CELERY_DEFAULT_ROUTING_KEY = "core.default"
    CELERY_QUEUES = json.loads('{"core.default": {}, "core.high": {}}')
    CELERY_ROUTES = "app.Router"
    CELERYBEAT_SCHEDULE = {
        "grades": {"task": "grades.recompute", "schedule": 1800},
        "sessions": {"task": "sessions.clear", "schedule": 86400.0},
    }
app.config_from_object(Config)
`, want: []string{
		"grades | new | every 1800 s -> grades.recompute core.high - 0",
		"sessions | new | every 86400 s -> sessions.clear core.default - 0",
	}},
	"another broker, and results in a database that is not there": {app: `
app.conf.update(broker_url="amqp://guest:guest@localhost", result_backend="nowhere-db")
app.conf.beat_schedule = {
    "delete": {"task": "app.delete", "schedule": 15},
    "message": {"task": "app.message", "schedule": 15, "args": ("Beat is running",)},
}
`, want: []string{
		"delete | new | every 15 s -> app.delete celery - 0", "message | new | every 15 s -> app.message celery - 0",
	}},
	"zeros before digits, and a queue for each task": {app: `
from celery.schedules import crontab
app.conf.update(timezone="Asia/Yekaterinburg", result_backend="rpc://")
app.conf.beat_schedule = {
    "daily": {"task": "app.daily", "schedule": crontab(minute="00", hour="00")},
    "often": {"task": "app.often", "schedule": 5.0},
}
app.conf.task_routes = {"app.often": {"queue": "often"}, "app.daily": {"queue": "rare"}}
`, want: []string{
		"daily | new | 0 0 * * * Asia/Yekaterinburg -> app.daily rare - 0", "often | new | every 5 s -> app.often often - 0",
	}},
	"numbers in a crontab, and steps of one": {app: `
from celery.schedules import crontab
app.conf.timezone = "Asia/Shanghai"
app.conf.beat_schedule = {
    "country": {"task": "rank", "schedule": crontab(day_of_month=2, hour=0, minute=0)},
    "timeline": {"task": "timeline", "schedule": crontab(hour=20, minute=0), "args": (2012, 3, 1, 8)},
    "token": {"task": "token", "schedule": crontab(minute=0, hour="*/1")},
    "users": {"task": "users", "schedule": crontab(minute=30)},
}
`, want: []string{
		"country | new | 0 0 2 * * Asia/Shanghai -> rank celery - 0", "timeline | new | 0 20 * * * Asia/Shanghai -> timeline celery - 0",
		"token | new | 0 * * * * Asia/Shanghai -> token celery - 0", "users | new | 30 * * * * Asia/Shanghai -> users celery - 0",
	}},
	"patterns, a star behind them, and limits of workers": {app: `
from kombu import Exchange, Queue
app.conf.task_queues = [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in ("default", "tracking", "eta")]
app.conf.task_default_queue = "default"
app.conf.task_routes = {"apps.tracking.*": {"queue": "tracking"}, "apps.eta.*": {"queue": "eta"}, "*": {"queue": "default"}}
app.conf.update(task_time_limit=1800, task_soft_time_limit=900, task_annotations={"apps.eta.update": {"rate_limit": "5/m"}})
app.conf.beat_schedule = {
    "analytics": {"task": "apps.stats.daily", "schedule": 3600.0},
    "etas": {"task": "apps.eta.update", "schedule": 60.0},
    "offline": {"task": "apps.tracking.offline", "schedule": 120.0},
}
`, want: []string{
		"analytics | new | every 3600 s -> apps.stats.daily default - 0", "etas | new | every 60 s -> apps.eta.update eta - 0",
		"offline | new | every 120 s -> apps.tracking.offline tracking - 0",
	}},
	"entries that are added": {app: `
from celery.schedules import crontab
@app.task(name="app.cleanup")
def cleanup(*args):
    pass
@app.on_after_finalize.connect
def setup(sender, **_):
    sender.add_periodic_task(3600, cleanup.s(), name="audit")
    sender.add_periodic_task(30.0, cleanup.s("hello"), expires=10)
    sender.add_periodic_task(crontab(hour=7, minute=30, day_of_week=1), cleanup.s("Monday"))
`, want: []string{
		"app.cleanup('Monday') | new | 30 7 * * 1 UTC -> app.cleanup celery - 0",
		"app.cleanup('hello') | new | every 30 s -> app.cleanup celery - 10", "audit | new | every 3600 s -> app.cleanup celery - 0",
	}},
	"a zone by the setting of old, with intervals that follow its clocks": {app: `
from datetime import timedelta
from celery.schedules import crontab
class Config:
    CELERY_TIMEZONE = "US/Mountain"
    CELERY_ENABLE_UTC = False
    CELERYBEAT_SCHEDULE = {
        "minutely": {"task": "app.update", "schedule": crontab(minute="*/1")},
        "status": {"task": "app.status", "schedule": timedelta(seconds=10)},
    }
app.config_from_object(Config)
`, accept: []string{"dst"}, want: []string{
		"minutely | new | * * * * * US/Mountain | dst -> app.update celery - 0", "status | new | every 10 s | dst -> app.status celery - 0",
	}},
}

// TestProjects brings in what applications of published projects have, twice.
func TestProjects(t *testing.T) {
	t.Parallel()
	for name, project := range projects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			application, err := importer.ParseApplication(runScript(t, "import celery\n"+
				`app = celery.Celery("app", broker="redis://localhost:1/0")`+project.app))
			if err != nil {
				t.Fatal(err)
			}
			entries, pool := application.In(""), testenv.Database(t)
			slices.SortFunc(entries, func(a, b importer.Entry) int {
				return strings.Compare(a.Definition.Name, b.Definition.Name)
			})
			told := bring(t, pool, importer.Celery, entries, application.Timezone, project.accept...)
			for i, e := range entries {
				if strings.Contains(told[i], " | new | ") {
					told[i] += " -> " + whereTo(named(t, pool, e.Definition.Name))
				}
			}
			equal(t, told, project.want...)
			for i, again := range bring(t, pool, importer.Celery, entries, application.Timezone, project.accept...) {
				if strings.Contains(told[i], " | new | ") && !strings.Contains(again, " | same | ") {
					t.Errorf("again: %s", again)
				}
			}
		})
	}
}

// TestProjectsOfRedBeat has entries as programs make them: with a number or a colon in the name, with null for the
// arguments, and by a crontab that says one field only.
func TestProjectsOfRedBeat(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	const options = `"options": {"queue": "q"}, "enabled": true`
	for name, definition := range map[string]string{
		"17": `"name": 17, "task": "app.trigger", "args": [17, "2026-03-02 09:00:00"], "kwargs": null, "schedule": {"__type__": "interval", "every": 3600.0, "relative": false}`,
		"check_model_status": `"name": "check_model_status", "task": "app.check", "args": null, "kwargs": null,
			"schedule": {"__type__": "crontab", "minute": "*/20", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}`,
		"cron:8f14e45f": `"name": "cron:8f14e45f", "task": "app.job", "args": ["8f14e45f"], "kwargs": {},
			"schedule": {"__type__": "crontab", "minute": "0", "hour": "9", "day_of_week": "1-5", "day_of_month": "*", "month_of_year": "*"}`,
		"test": `"name": "test", "task": "app.execute", "args": ["app", "Common", "{\"a\": {}}"], "kwargs": {"text": ""}, "schedule": {"__type__": "interval", "every": 5.0, "relative": false}`,
	} {
		client.HSet(t.Context(), "redbeat:"+name, "definition", "{"+definition+", "+options+"}")
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:" + name})
	}
	entries, err := importer.ReadRedBeat(t.Context(), client,
		importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "Asia/Shanghai"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, testenv.Database(t), importer.RedBeat, entries, "Asia/Shanghai"),
		"17 | new | every 3600 s", "check_model_status | new | */20 * * * * Asia/Shanghai",
		"cron:8f14e45f | new | 0 9 * * 1-5 Asia/Shanghai", "test | new | every 5 s")
}

// TestProjectsOfCron has lines as distributions and packages ship them: zeros before digits, 7 for Sunday, an escaped
// percent sign, tabs, and steps of one.
func TestProjectsOfCron(t *testing.T) {
	t.Parallel()
	system := true
	entries := crontab(t, `SHELL=/bin/sh
PATH=/usr/sbin:/usr/bin

17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
47 6	* * 7	root	test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }
09,39 *     * * *     root   [ -x /usr/lib/sessionclean ] && /usr/lib/sessionclean
57 0 * * 0 root if [ -x /usr/share/checkarray ] && [ $(date +\%d) -le 7 ]; then /usr/share/checkarray --cron; fi
* */1 * * * root renew -q
`, importer.CrontabOptions{Task: "app.run", System: &system, Timezone: "UTC"})
	var commands []string
	for _, e := range entries {
		var args []string
		if err := json.Unmarshal(e.Definition.Args, &args); err != nil {
			t.Fatal(err)
		}
		commands = append(commands, fmt.Sprint(args))
	}
	equal(t, commands, "[cd / && run-parts --report /etc/cron.hourly]",
		"[test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.weekly; }]",
		"[[ -x /usr/lib/sessionclean ] && /usr/lib/sessionclean]",
		"[if [ -x /usr/share/checkarray ] && [ $(date +%d) -le 7 ]; then /usr/share/checkarray --cron; fi]", "[renew -q]")
	told := bring(t, testenv.Database(t), importer.Crontab, entries, "UTC")
	for i := range told {
		_, told[i], _ = strings.Cut(told[i], " | ")
	}
	equal(t, told, "new | 17 * * * * UTC", "new | 47 6 * * 0 UTC", "new | 9,39 * * * * UTC", "new | 57 0 * * 0 UTC",
		"new | * * * * * UTC")
}

// whereTo describes where a schedule's task goes.
func whereTo(s domain.Schedule) string {
	queue, priority := s.Queue, "-"
	if s.Exchange != "" {
		queue = s.Exchange + "/" + s.RoutingKey
	}
	if s.Priority != nil {
		priority = fmt.Sprint(*s.Priority)
	}
	return fmt.Sprintf("%s %s %s %d", s.TaskName, queue, priority, s.ExpiresSeconds)
}
