package importer_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/importer"
)

// TestAnyReplacedCodeIsTold has applications that put code of their own in the place of Celery's, wherever a beat runs
// it. Each is told with its place, by the kind of what it decides.
func TestAnyReplacedCodeIsTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ want, class, created, then string }{
		{want: "instants: app.now (by app)", then: `app.now = lambda: datetime.now(tokyo)`},
		{want: "instants: celery.app.base.Celery.now (by app)", then: `celery.Celery.now = lambda self: datetime.now(tokyo)`},
		{want: "instants: celery.app.base.Celery.now (by code that is not known)", then: `celery.Celery.now = staticmethod(datetime.utcnow)`},
		{want: "instants: celery.schedules.BaseSchedule.now (by app)", then: `BaseSchedule.now = lambda self: datetime.now(tokyo)`},
		{want: "instants: celery.schedules.BaseSchedule.now (by app.py)", then: `BaseSchedule.now.__code__ = (lambda self: datetime.now(tokyo)).__code__`},
		{want: "instants: celery.beat.maybe_schedule (by app)", then: `celery.beat.maybe_schedule = lambda s, relative=False, app=None: s`},
		{want: "instants: celery.beat.Scheduler.Entry (by app)", then: `
class Entry(celery.beat.ScheduleEntry):
    def is_due(self):
        return False, 3600
celery.beat.Scheduler.Entry = Entry
`},
		{want: "instants: celery.beat.PersistentScheduler.setup_schedule (by app)", then: `celery.beat.PersistentScheduler.setup_schedule = lambda self: None`},
		{want: "instants: scheduler.is_due (by app)", then: `
class Own(celery.beat.PersistentScheduler):
    def is_due(self, entry):
        return False, 60
app.conf.beat_scheduler = Own
`},
		{want: "hooks: celery.beat.PersistentScheduler.apply_async (by app)", then: `
def apply_async(self, entry, producer=None, advance=True, **kwargs):
    entry.options["queue"] = "tenant"
    return celery.beat.Scheduler.apply_async(self, entry, producer, advance, **kwargs)
celery.beat.PersistentScheduler.apply_async = apply_async
`},
		{want: "hooks: kombu.messaging.Producer._publish (by app)", then: `
own = Producer._publish
Producer._publish = lambda self, *args, **options: own(self, *args, **options)
`},
		{want: "hooks: celery.apps.beat.Beat.start_scheduler (by app)", then: `
own = celery.apps.beat.Beat.start_scheduler
celery.apps.beat.Beat.start_scheduler = functools.wraps(own)(lambda self: own(self))
`},
		{want: "hooks: app.amqp.send_task_message (by app)", then: `
own = app.amqp.send_task_message
app.amqp.send_task_message = lambda *args, **options: own(*args, **dict(options, routing_key="day"))
`},
		{
			want: "hooks: loader.on_worker_init (by app)", created: ", loader=Loader",
			class: `
class Loader(AppLoader):
    def on_worker_init(self):
        app.conf.task_default_queue = "tenant"
`,
		},
		{
			want: "hooks: shadow_name", created: ", task_cls=Task",
			class: `
class Task(celery.Task):
    def shadow_name(self, args, kwargs, options):
        return f"x-{datetime.now():%H:%M}"
`,
		},
		{want: "hooks: before_task_publish (by app)", then: `
def hook(tenant, sender=None, body=None, **_):
    body[0][:] = [tenant]
signals.before_task_publish.connect(retry=True)(functools.partial(hook, "acme"))
`},
		{want: "hooks: before_task_publish (by app)", then: `
class Hook:
    def __call__(self, sender=None, body=None, **_):
        body[0][:] = ["changed"]
signals.before_task_publish.connect(retry=True, weak=False)(Hook())
`},
		{want: "hooks: before_task_publish (by app)", then: `
traces = sys.modules["opentelemetry.x"] = types.ModuleType("opentelemetry.x")
exec("""
class Wrap:
    def __init__(self, called):
        self.called = called
    def __call__(self, **kwargs):
        return self.called(**kwargs)
""", vars(traces))
def hook(body=None, **_):
    body[0][:] = ["changed"]
signals.before_task_publish.connect(traces.Wrap(hook), weak=False)
`},
	} {
		if got := replacing(t, c.class, c.created, c.then); got != c.want {
			t.Errorf("%s%s: %q, want %q", c.class, c.then, got, c.want)
		}
	}
}

// TestUsualApplicationsReplaceNothing has what applications have of their own, and Celery makes for them, without being
// in the way of a message or of when it is sent.
func TestUsualApplicationsReplaceNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ class, created, then string }{
		{
			created: ", task_cls=Task", class: `
class Task(celery.Task):
    def __call__(self, *args, **kwargs):
        return super().__call__(*args, **kwargs)
    def on_failure(self, *args, **kwargs):
        pass
    @property
    def db(self):
        return None
class App(celery.Celery):
    def gen_task_name(self, name, module):
        return super().gen_task_name(name, module)
`, then: `
@celery.shared_task(bind=True, autoretry_for=(ValueError,), retry_backoff=True, rate_limit="1/s")
def shared(self):
    pass
class Based(app.Task):
    name = "based"
    def run(self):
        pass
app.register_task(Based())
`,
		},
		{then: `
import celery.app.control, celery.app.log, celery.backends.redis, celery.bin.beat, celery.canvas, celery.events, celery.result
import celery.worker.request, kombu.transport.redis
celery.worker.request.Request.on_failure = lambda self, *args, **kwargs: None
app.config_from_object({"task_acks_late": True})
app.conf.task_queues = [kombu.Queue("q", kombu.Exchange("e"), routing_key="k")]
app.conf.task_annotations = {"*": {"rate_limit": "1/s"}}
app.control, app.events, app.log, app.backend, app.tasks, app.current_task, app.AsyncResult, app.pool
@app.on_after_configure.connect
def more(sender, **_):
    sender.add_periodic_task(5, task.s())
signals.task_prerun.connect(lambda **_: None, weak=False)
`},
	} {
		if got := replacing(t, c.class, c.created, c.then); got != "" {
			t.Errorf("%s%s: %s", c.class, c.then, got)
		}
	}
}

// replacing returns what the script tells of an application's own code in the way of its entry.
func replacing(t *testing.T, class, created, then string) string {
	t.Helper()
	application, err := importer.ParseApplication(runScript(t, `
import functools, sys, types
from datetime import datetime
from zoneinfo import ZoneInfo
import celery, celery.apps.beat, celery.beat, kombu
from celery import signals
from celery.loaders.app import AppLoader
from celery.schedules import BaseSchedule, crontab
from kombu import Producer

tokyo = ZoneInfo("Asia/Tokyo")
`+class+`
app = celery.Celery("app", broker="redis://localhost:1/0"`+created+`)
app.conf.beat_schedule = {"e": {"task": "app.task", "schedule": crontab(minute=0, hour=9)}}
@app.task(name="app.task")
def task():
    pass
`+then))
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	for _, e := range application.In("") {
		for _, d := range e.Differences {
			_, text, _ := strings.Cut(d.Message, "does not run: ")
			told = append(told, d.Code+": "+text)
		}
		if e.Refused != "" {
			told = append(told, e.Refused)
		}
	}
	// A scheduler of the application's own has a kind of its own, besides.
	kept := told[:0]
	for _, text := range told {
		if !strings.HasPrefix(text, "scheduler: ") {
			kept = append(kept, text)
		}
	}
	return strings.Join(kept, "; ")
}
