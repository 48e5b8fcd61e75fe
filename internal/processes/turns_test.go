package processes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSeedsOwnEndToEnd makes a schedule whose cron is a minute ahead, over HTTP, waits, reads its history, and deletes
// it.
func TestSeedsOwnEndToEnd(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	api := c.Start("api")
	c.Start("relay")
	c.Beat("one")
	at := time.Now().UTC().Add(30 * time.Second).Truncate(time.Minute).Add(time.Minute) // the machine may be slow
	status, body := Ask(t, http.MethodPost, api.URL()+"/api/v1/schedules",
		fmt.Sprintf(`{"name": "listed", "cron_expression": "%d %d * * *",
		"task_name": "fetch_listed_info_task", "task_params": {"from_date": "2026-01-01", "to_date": "2026-01-31"}}`, at.Minute(), at.Hour()))
	var made domain.Schedule
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	one := api.URL() + "/api/v1/schedules/" + made.ID.String()
	if status, body := Ask(t, http.MethodGet, one, ""); status != http.StatusOK ||
		!strings.Contains(body, `"from_date":"2026-01-01"`) {
		t.Errorf("read back: %d %s", status, body)
	}
	var history struct {
		History []struct {
			DueAt  time.Time `json:"due_at"`
			Status string
			TaskID string `json:"task_id"`
		}
		Total int
	}
	testenv.Eventually(t, "one execution, handed over", func() error {
		status, body := Ask(t, http.MethodGet, one+"/history", "")
		if err := json.Unmarshal([]byte(body), &history); err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s: %w", status, body, err)
		}
		if history.Total != 1 || history.History[0].Status != string(domain.Sent) {
			return fmt.Errorf("%s", body)
		}
		return nil
	})
	if !history.History[0].DueAt.Equal(at) {
		t.Errorf("due at %s, want %s", history.History[0].DueAt, at)
	}
	tasks, err := testenv.Client(t, c.Redis).LRange(t.Context(), "celery", 0, -1).Result()
	if err != nil || len(tasks) != 1 || !strings.Contains(tasks[0], history.History[0].TaskID) {
		t.Errorf("in the worker's queue: %v, %v", tasks, err)
	}
	if status, body := Ask(t, http.MethodDelete, one, ""); status != http.StatusNoContent {
		t.Errorf("delete: %d %s", status, body)
	}
	c.Verify(made.CreatedAt, at.Add(time.Second), 5*time.Second)
}

// TestStandbyTakesOver stops, kills and suspends the leader, while a schedule is due every second.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	if _, err := c.Pool.Exec(t.Context(), leaseHistory); err != nil {
		t.Fatal(err)
	}
	c.Start("relay")
	s := c.Create(`{"name": "secondly", "interval_seconds": 1, "task_name": "app.task", "misfire_policy": "all"}`)
	leader := c.Beat("a")
	c.Fires(s, 2)
	for i, end := range []func(*testenv.Process){
		func(p *testenv.Process) {
			if code := p.Stop(); code != exitOK {
				t.Errorf("stopped with %d", code)
			}
		},
		(*testenv.Process).Kill, (*testenv.Process).Pause,
	} {
		standby := c.Beat(fmt.Sprint("standby-", i)) // it is ready
		if strings.Contains(standby.Log(), "took the lease") {
			t.Error("two beats lead")
		}
		before := c.Runs(s)
		end(leader)
		standby.AwaitLog("took the lease")
		c.Fires(s, before+3)
		if i == 2 { // the zombie wakes up
			leader.Resume()
			leader.AwaitLog("lost the lease")
			c.Fires(s, before+5)
		}
		leader = standby
	}
	c.Verify(s.CreatedAt, c.Settled(), 15*time.Second)
	c.tookTurns(true, false, false)
}

// leaseHistory records each change of the lease, with the time of PostgreSQL's clock.
const leaseHistory = `
create schema own;
create table own.lease_history (n serial, at timestamptz default clock_timestamp(), holder text, epoch bigint, expires_at timestamptz);
create function own.note_lease() returns trigger language plpgsql as
    'begin insert into own.lease_history (holder, epoch, expires_at) values (new.holder, new.epoch, new.expires_at); return null; end';
create trigger note_lease after insert or update on tactus.leases for each row execute function own.note_lease()`

// turns selects the times at which the lease went from one beat to another, each with the state of the lease just
// before.
const turns = `
select h.at, before.expires_at, before.expires_at <= before.at
from own.lease_history h join own.lease_history before on before.n = h.n - 1 where h.epoch <> before.epoch and before.epoch > 0 order by h.n`

// tookTurns checks how often the lease went to another beat, and that it never did so before it had expired, by itself
// or because it was given up. It logs how long the taking took by PostgreSQL's clock; a test of package beat checks
// that it takes a second at most in a beat's own time.
func (c *Cluster) tookTurns(givenUp ...bool) {
	c.Helper()
	rows, err := c.Pool.Query(c.Context(), turns)
	if err != nil {
		c.Fatal(err)
	}
	defer rows.Close()
	var was []bool
	for rows.Next() {
		var taken, expired time.Time
		var given bool
		if err := rows.Scan(&taken, &expired, &given); err != nil {
			c.Fatal(err)
		}
		if taken.Before(expired) {
			c.Errorf("taken at %s: it ran until %s", taken, expired)
		}
		c.Logf("given up %v, taken %s after it ran out", given, taken.Sub(expired))
		was = append(was, given)
	}
	if err := rows.Err(); err != nil || !slices.Equal(was, givenUp) {
		c.Errorf("given up before it was taken: %v, %v; want %v", was, err, givenUp)
	}
	var shared int
	if err := c.Pool.QueryRow(c.Context(),
		`select count(*) from (select from own.lease_history group by epoch having count(distinct holder) > 1) e`).Scan(
		&shared); err != nil || shared > 0 {
		c.Errorf("%d epochs had several owners, %v", shared, err)
	}
}

// TestWithoutRedisAndRelay checks that a beat learns of changes by its poll alone while Redis or the relay is away, and
// that Redis catches up after it has come back empty.
func TestWithoutRedisAndRelay(t *testing.T) {
	t.Parallel()
	redis := testenv.RedisServer(t, nil)
	c := New(t, testenv.DatabaseURL(t), redis.URL(0))
	relay := c.Start("relay")
	c.Beat("one")
	began := time.Now()
	c.Fires(c.Create(`{"name": "with", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		c.Fires(c.Create(fmt.Sprintf(`{"name": "without-redis-%d", "interval_seconds": 1, "task_name": "app.task"}`,
			n)), 1)
	}
	relay.Kill()
	c.Fires(c.Create(`{"name": "without-relay", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	if err := redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Start("relay")
	c.Fires(c.Create(`{"name": "again", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	c.Verify(began, c.Settled(), 15*time.Second)
}

// TestSyncSwitchedOff starts a beat that must not listen to Redis. It fires a schedule that was made before the start.
func TestSyncSwitchedOff(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	s := c.Create(`{"interval_seconds": 1, "task_name": "app.task"}`)
	beat := c.Start("beat", "CELERY_BEAT_REDIS_SYNC_ENABLED=false")
	beat.AwaitLog(`sync by Redis is disabled.*interval=1m0s`)
	c.Fires(s, 1)
	if strings.Contains(beat.Log(), "subscribed") {
		t.Error("it listens to Redis")
	}
}

// TestClockAnHourOff starts a beat on a machine whose clock is an hour off PostgreSQL's. The beat goes by PostgreSQL's
// clock, and says so.
func TestClockAnHourOff(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
			s := c.Create(`{"interval_seconds": 1, "misfire_policy": "all", "task_name": "app.task"}`)
			start := func(name string) *testenv.Process {
				return c.StartBuilt("clockskew", "beat", "TACTUS_BEAT_NAME="+name,
					"TACTUS_TEST_CLOCK_SKEW="+ahead.String())
			}
			beat := start("one")
			c.Fires(s, 3)
			beat.Kill()
			beat = start("two")
			c.Fires(s, 15)
			var early, twice, missed int
			err := c.Pool.QueryRow(t.Context(),
				`select count(*) filter (where due_at > fired_at), count(*) - count(distinct due_at),
					count(*) filter (where status = 'missed')
				from tactus.runs where due_at > $1`, s.EffectiveFrom).Scan(&early, &twice, &missed)
			if err != nil || early+twice+missed > 0 {
				t.Errorf("%d early, %d twice, %d missed, %v", early, twice, missed, err)
			}
			var first time.Time
			if err := c.Pool.QueryRow(t.Context(), `select min(due_at) from tactus.runs`).Scan(&first); err != nil ||
				first.Sub(s.EffectiveFrom) > time.Second {
				t.Errorf("made at %s, first due at %s, %v", s.EffectiveFrom, first, err)
			}
			if skew := time.Duration(c.Metric(beat,
				"tactus_beat_clock_skew_seconds") * float64(time.Second)); (skew - ahead).Abs() > time.Minute {
				t.Errorf("this machine's clock is %s ahead, the skew is said to be %s", ahead, skew)
			}
		})
	}
}
