package main

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
	s := newCluster(t, url, testenv.RedisURL(t)).create(`{"interval_seconds": 1, "task_name": "app.task"}`)
	testenv.AwaitReplay(t, primary, standby)
	c := newCluster(t, standby.URL("tactus"), testenv.RedisURL(t))
	for _, process := range []string{"relay", "beat"} {
		p := testenv.Program{Env: c.env}.Start(t, process, "--http-addr", "127.0.0.1:0")
		testenv.Eventually(t, "the reason of the "+process, func() error {
			status, body := ask(t, http.MethodGet, p.URL()+"/readyz", "")
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
	c.fires(s, 2)
	c.verify(began, c.settled(), 15*time.Second)
}

// TestFailsOverToAStandbyThatLagged redirects a relay and a beat to a promoted standby that lacks their latest
// transactions. There, another edit brings a schedule to the version that the beat has in memory: it fires according to
// this edit. A schedule that was lost does not fire any more, and no due time has two tasks.
func TestFailsOverToAStandbyThatLagged(t *testing.T) {
	t.Parallel()
	primary, url := testenv.Postgres(t, nil)
	standby, replication := testenv.Standby(t, primary)
	proxy, through := testenv.Through(t, url)
	c := newCluster(t, through, testenv.RedisURL(t))
	relay, beat := c.start("relay"), c.beat("one")
	steady := c.create(`{"name": "steady", "interval_seconds": 1, "task_name": "app.task", "queue": "steady", "misfire_policy": "all"}`)
	edited := c.create(`{"name": "edited", "cron_expression": "0 0 1 1 *", "task_name": "app.task"}`)
	c.fires(steady, 2)
	testenv.AwaitReplay(t, primary, standby)
	replication.Refuse()

	lost := c.create(`{"name": "lost", "interval_seconds": 1, "task_name": "app.task"}`)
	c.second(edited, `{"interval_seconds": 3600}`)
	c.fires(lost, 2)
	c.fires(steady, c.runs(steady)+2)
	failOver(t, primary, standby, proxy)
	c.pool.Reset()

	began := time.Now()
	c.second(edited, `{"interval_seconds": 1}`)
	c.fires(edited, 2)
	c.fires(steady, 2)
	beat.AwaitLog("resynced.*anew=true")
	relay.AwaitLog("epoch started.*sink=events")
	if n := c.metric(beat, "tactus_beat_schedules"); n != 2 {
		t.Errorf("the beat knows %v schedules, 2 are there", n)
	}
	c.verify(began, c.settled(), 15*time.Second, "--known-restores")
	got := tactus(t, "verify", "--database-url", c.url, "--redis-url", c.redis, "--wait", "1m", "-o", "json")
	if got.code != exitFailure || strings.Count(got.out, `"kind": "log_went_back"`) != 3 ||
		!strings.Contains(got.out, "; 2 changes from ") {
		t.Errorf("of what was lost verify says %d: %s", got.code, got.out)
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
func (c *cluster) second(s domain.Schedule, patch string) {
	c.Helper()
	if after, err := c.store.Merge(c.Context(), s.ID, 0, []byte(patch)); err != nil || after.Version != 2 {
		c.Fatalf("version %d, %v", after.Version, err)
	}
}

// oneTaskEach checks that no due time has two tasks in a queue.
func (c *cluster) oneTaskEach(queue string) {
	c.Helper()
	all, err := testenv.Client(c, c.redis).LRange(c.Context(), queue, 0, -1).Result()
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
