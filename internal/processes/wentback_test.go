package processes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestRefusesAStandby starts a relay and a beat on a hot standby: they say why they do nothing, and work once the
// standby is promoted.
func TestRefusesAStandby(t *testing.T) {
	t.Parallel()
	primary, url := testenv.Postgres(t, nil)
	standby, _ := testenv.Standby(t, primary)
	s := New(t, url, testenv.RedisURL(t)).Create(`{"interval_seconds": 1, "task_name": "app.task"}`)
	testenv.AwaitReplay(t, primary, standby)
	c := New(t, standby.URL("tactus"), testenv.RedisURL(t))
	for _, process := range []string{"relay", "beat"} {
		p := testenv.Program{Env: c.Env}.Start(t, process, "--http-addr", "127.0.0.1:0")
		testenv.Eventually(t, "the reason of the "+process, func() error {
			status, body := Ask(t, http.MethodGet, p.URL()+"/readyz", "")
			if status != http.StatusServiceUnavailable || !strings.Contains(body, "the database is a standby") {
				return fmt.Errorf("%d %s", status, body)
			}
			return nil
		})
		defer p.AwaitReady()
	}
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c.Fires(s, 2)
	c.Verify(began, c.Settled(), 15*time.Second)
}

// TestFailsOverToAStandbyThatLagged redirects a relay and a beat to a promoted standby that lacks their latest
// transactions. There, another edit brings a schedule to the version that the beat has in memory: it fires according to
// this edit. A schedule that was lost does not fire any more, and no due time has two tasks.
func TestFailsOverToAStandbyThatLagged(t *testing.T) {
	t.Parallel()
	primary, url := testenv.Postgres(t, nil)
	standby, replication := testenv.Standby(t, primary)
	proxy, through := testenv.Through(t, url)
	c := New(t, through, testenv.RedisURL(t))
	relay, beat := c.Start("relay"), c.Beat("one")
	steady := c.Create(`{"name": "steady", "interval_seconds": 1, "task_name": "app.task", "queue": "steady", "misfire_policy": "all"}`)
	edited := c.Create(`{"name": "edited", "cron_expression": "0 0 1 1 *", "task_name": "app.task"}`)
	c.Fires(steady, 2)
	testenv.AwaitReplay(t, primary, standby)
	replication.Refuse()

	lost := c.Create(`{"name": "lost", "interval_seconds": 1, "task_name": "app.task"}`)
	c.second(edited, `{"interval_seconds": 3600}`)
	c.Fires(lost, 2)
	c.Fires(steady, c.Runs(steady)+2)
	failOver(t, primary, standby, proxy)
	c.Pool.Reset()

	began := time.Now()
	c.second(edited, `{"interval_seconds": 1}`)
	c.Fires(edited, 2)
	c.Fires(steady, 2)
	beat.AwaitLog("resynced.*anew=true")
	relay.AwaitLog("epoch started.*sink=events")
	if n := c.Metric(beat, "tactus_beat_schedules"); n != 2 {
		t.Errorf("the beat knows %v schedules, 2 are there", n)
	}
	c.Verify(began, c.Settled(), 15*time.Second, "--known-restores")
	got := testenv.Run(t, "verify", "--database-url", c.URL, "--redis-url", c.Redis, "--wait", "1m", "-o", "json")
	if got.Code != exitFailure || strings.Count(got.Out, `"kind": "log_went_back"`) != 3 ||
		!strings.Contains(got.Out, "; 2 changes from ") {
		t.Errorf("of what was lost verify says %d: %s", got.Code, got.Out)
	}
	c.oneTaskEach("steady")
}

// failOver crashes the primary, promotes its standby, and redirects every process to it.
func failOver(t *testing.T, primary, standby *servers.Postgres, proxy *testenv.Proxy) {
	t.Helper()
	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy.Retarget(t, standby.URL("tactus"))
}

// second makes an edit that, in this database, is the schedule's first and leads to version 2.
func (c *Cluster) second(s domain.Schedule, patch string) {
	c.Helper()
	if after, err := c.Store.Merge(c.Context(), s.ID, 0, []byte(patch)); err != nil || after.Version != 2 {
		c.Fatalf("version %d, %v", after.Version, err)
	}
}

// oneTaskEach checks that no due time has two tasks in a queue.
func (c *Cluster) oneTaskEach(queue string) {
	c.Helper()
	all, err := testenv.Client(c, c.Redis).LRange(c.Context(), queue, 0, -1).Result()
	if err != nil || len(all) < 6 {
		c.Fatalf("%d tasks in the queue, %v", len(all), err)
	}
	tasks := map[string]string{}
	for _, text := range all {
		var m struct {
			Headers struct {
				ID    string
				DueAt string `json:"x-tactus-due-at"`
			}
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			c.Fatal(err)
		}
		if other, twice := tasks[m.Headers.DueAt]; twice && other != m.Headers.ID {
			c.Errorf("due at %s has the tasks %s and %s", m.Headers.DueAt, other, m.Headers.ID)
		}
		tasks[m.Headers.DueAt] = m.Headers.ID
	}
}
