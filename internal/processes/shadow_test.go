package processes

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// oldBeatApp is an application with a beat of its own.
const oldBeatApp = `
import celery
from celery.schedules import crontab

app = celery.Celery("app")
app.conf.update(task_send_sent_event=True, beat_max_loop_interval=1, beat_schedule={
    "every two": {"task": "app.two", "schedule": 2.0, "args": (1, "é"), "kwargs": {"b": [1, 2], "a": {"名": None}}},
    "each minute": {"task": "app.minute", "schedule": crontab()},
})
`

// TestShadowBesideCelerysBeat runs a shadow beside Celery's own beat. They agree until a schedule differs, and the
// shadow sends nothing. A second shadow continues for one that was killed; then a beat that fires takes over.
func TestShadowBesideCelerysBeat(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	c.Start("relay")
	first := c.Start("beat", "TACTUS_BEAT_NAME=first", "TACTUS_BEAT_SHADOW=true")
	first.AwaitLog("watching what is sent")
	two := c.Create(`{"name": "every two", "interval_seconds": 2, "task_name": "app.two", "args": [1, "é"], "kwargs": {"a": {"名": null}, "b": [1, 2]}}`)
	c.Create(`{"name": "each minute", "cron_expression": "* * * * *", "task_name": "app.minute"}`)
	testenv.Worker(t, servers.CeleryConfig{App: oldBeatApp, BrokerURL: c.Redis, Beat: true})

	c.saysShadow(first)
	c.agrees(func(r shadow.Report) bool {
		return row(r, "every two").Matched >= 3 && row(r, "each minute").Matched >= 1 &&
			row(r, "every two").OtherArgs == 0
	})

	c.Create(`{"name": "new", "interval_seconds": 2, "task_name": "app.new"}`)
	if _, err := c.Store.SetEnabled(t.Context(), two.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	disabled := time.Now()
	last := c.reports("what differs is told", func() time.Time { return disabled }, func(r shadow.Report, code int) bool {
		return code == exitFailure && !r.Agree && row(r, "new").OnlyTactus > 2 && row(r, "every two").OnlyOld > 2
	})
	for name, guess := range map[string]string{
		"new":       "the old beat never sent this task",
		"every two": "it is disabled here",
	} {
		guessed := func(e shadow.Example) bool { return strings.Contains(e.Guess, guess) }
		if e := row(last, name).Examples; !slices.ContainsFunc(e, guessed) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	if said := testenv.Run(t, "shadow", "report", "--database-url", c.URL, "--tolerance", "1s", "--late",
		"3s"); said.Code != exitFailure || !strings.Contains(said.Out, "They do not agree.") {
		t.Errorf("%+v", said)
	}

	second := c.Start("beat", "TACTUS_BEAT_NAME=second", "TACTUS_BEAT_SHADOW=true")
	first.Kill()
	second.AwaitLog("took the lease")
	c.decides("new", 12)
	c.nothingSent()

	third := c.Beat("third") // it fires
	third.AwaitLog("took over from a beat in shadow mode")
	c.firesAfterShadow("new")
	testenv.Eventually(t, "the shadow does nothing any more, and says so", func() error {
		if status, body := Ask(t, http.MethodGet, second.URL()+"/readyz", ""); status != http.StatusServiceUnavailable ||
			!strings.Contains(body, "shadow") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
}

// saysShadow checks that logs, health and metrics show the mode.
func (c *Cluster) saysShadow(p *testenv.Process) {
	c.Helper()
	p.AwaitLog(`beat started.*shadow=true`)
	p.AwaitLog(`shadow mode: due times are decided and recorded, nothing is sent`)
	p.AwaitLog(`msg="what would have been done" runs=\d+`)
	for path, want := range map[string]string{"/readyz": `"mode":"shadow`, "/metrics": "tactus_beat_shadow 1"} {
		if status, body := Ask(c.T, http.MethodGet, p.URL()+path, ""); status != http.StatusOK ||
			!strings.Contains(body, want) {
			c.Errorf("%s: %d %.300s", path, status, body)
		}
	}
}

// agrees waits until the report of some stretch of time is as it should be. After a stretch in which the two beats did
// not agree it tries a new one: Celery's beat may not have begun, or the machine was too busy for it.
func (c *Cluster) agrees(ok func(shadow.Report) bool) {
	c.Helper()
	since := time.Now()
	c.reports("they agree", func() time.Time { return since }, func(r shadow.Report, code int) bool {
		differ := slices.ContainsFunc(r.Schedules, func(s shadow.Row) bool { return s.OnlyTactus+s.OnlyOld > 0 })
		if differ {
			since = time.Now()
		}
		return code == exitOK && r.Agree && ok(r)
	})
}

// reports waits until a report about the time since an instant is as it should be, and returns it.
func (c *Cluster) reports(what string, since func() time.Time, ok func(shadow.Report, int) bool) (r shadow.Report) {
	c.Helper()
	testenv.Eventually(c, what, func() error {
		said := testenv.Run(c.T, "shadow", "report", "--database-url", c.URL, "--since",
			since().UTC().Format(time.RFC3339Nano), "--tolerance", "1s", "--late", "3s", "-o", "json")
		r = shadow.Report{}
		if err := json.Unmarshal([]byte(said.Out), &r); err != nil {
			return fmt.Errorf("%w: %+v", err, said)
		}
		if !ok(r, said.Code) {
			return fmt.Errorf("%d %s", said.Code, said.Out)
		}
		return nil
	})
	return r
}

func row(r shadow.Report, name string) (found shadow.Row) {
	for _, s := range r.Schedules {
		if s.Name == name {
			found = s
		}
	}
	return found
}

// decides waits until the shadow has decided about n due times of an interval of two seconds, about each once and
// without a gap.
func (c *Cluster) decides(name string, n int) {
	c.Helper()
	testenv.Eventually(c, "due times are decided about", func() error {
		var rows, between int
		err := c.Pool.QueryRow(c.Context(),
			`select count(*), 1 + coalesce(extract(epoch from max(coalesce(until, due_at)) - min(due_at)) / 2,
				0)::int - coalesce(sum(extract(epoch from until - due_at) / 2), 0)::int
			from tactus.shadow_runs where schedule_name = $1`, name).Scan(&rows, &between)
		if err == nil && rows != between {
			c.Fatalf("%d rows for %d due times", rows, between)
		}
		if rows < n {
			return errors.Join(err, fmt.Errorf("%d of %d", rows, n))
		}
		return err
	})
}

// nothingSent checks that there is no run and no event of a run, and that the broker has only what Celery's beat sent.
func (c *Cluster) nothingSent() {
	c.Helper()
	var left int
	if err := c.Pool.QueryRow(c.Context(),
		`select (select count(*) from tactus.runs) + (select count(*) from tactus.outbox where topic = 'run')`).Scan(
		&left); err != nil || left != 0 {
		c.Errorf("%d runs and events, %v", left, err)
	}
	client := testenv.Client(c, c.Redis)
	tasks, err := client.LRange(c.Context(), "celery", 0, -1).Result()
	if err != nil || len(tasks) == 0 {
		c.Errorf("the old beat sent %d tasks, %v", len(tasks), err)
	}
	for _, task := range tasks {
		if strings.Contains(task, "x-tactus") || strings.Contains(task, "app.new") {
			c.Errorf("tactus sent %s", task)
		}
	}
	keys, err := client.Keys(c.Context(), "*").Result()
	for _, key := range keys {
		if err != nil || !strings.Contains(key, "tactus:") && !strings.HasPrefix(key, "_kombu") && key != "celery" {
			c.Errorf("%s is on the broker, %v", key, err)
		}
	}
}

// firesAfterShadow checks that every due time of the shadow's time has a recorded reason, and that later due times
// fire.
func (c *Cluster) firesAfterShadow(name string) {
	c.Helper()
	testenv.Eventually(c, "it fires after the switch", func() error {
		var passed, early, fired int
		err := c.Pool.QueryRow(c.Context(),
			`select count(*) filter (where r.reason like 'in shadow mode%' and r.due_at <= l.watermark),
			count(*) filter (where r.status <> 'missed' and r.due_at <= l.watermark), count(*) filter (where r.status <> 'missed' and r.due_at > l.watermark)
			from tactus.runs r join tactus.schedules s on s.id = r.schedule_id, tactus.leases l where s.name = $1 and l.name = 'switch'`, name).Scan(&passed, &early, &fired)
		if err == nil && early > 0 {
			c.Fatalf("%d due times of the shadow's time fired", early)
		}
		if passed != 1 || fired < 2 {
			return errors.Join(err, fmt.Errorf("%d ranges passed over, %d fired", passed, fired))
		}
		return err
	})
}
