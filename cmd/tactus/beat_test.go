package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// cluster is a database and a Redis, and the processes on them.
type cluster struct {
	*testing.T
	env   []string
	url   string // of the database
	redis string
	pool  *pgxpool.Pool
	store *outbox.Store
}

func newCluster(t *testing.T, database, redis string, env ...string) *cluster {
	t.Helper()
	pool := testenv.Connect(t, database)
	return &cluster{
		t, append([]string{"DATABASE_URL=" + database, "REDIS_URL=" + redis}, env...), database, redis, pool,
		outbox.NewStore(pool, "", handover.Limits{}.Check),
	}
}

// start starts a process and waits until it is ready. A beat needs a name.
func (c *cluster) start(process string, env ...string) *testenv.Process {
	c.Helper()
	return c.startBuilt("", process, env...)
}

// startBuilt starts a process of a program that is built with tags.
func (c *cluster) startBuilt(tags, process string, env ...string) *testenv.Process {
	c.Helper()
	p := testenv.Program{Env: append(env, c.env...), Tags: tags}.Start(c.T, process, "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	return p
}

func (c *cluster) beat(name string) *testenv.Process {
	c.Helper()
	return c.start("beat", "TACTUS_BEAT_NAME="+name)
}

func (c *cluster) create(definition string) domain.Schedule {
	c.Helper()
	d, err := domain.Decode([]byte(definition))
	if err != nil {
		c.Fatal(err)
	}
	s, err := c.store.Create(c.Context(), d, "", nil)
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// fires waits until a schedule has at least n runs that were fired.
func (c *cluster) fires(s domain.Schedule, n int) {
	c.Helper()
	testenv.Eventually(c, fmt.Sprintf("%s fires %d times", s.Name, n), func() error {
		var runs int
		if err := c.pool.QueryRow(c.Context(),
			`select count(*) from tactus.runs where schedule_id = $1 and status <> 'missed'`,
			s.ID).Scan(&runs); err != nil {
			return err
		}
		if runs < n {
			return fmt.Errorf("%d runs", runs)
		}
		return nil
	})
}

// verify runs every check of "tactus verify", including each due time between two instants; late is how long a due time
// may have taken to be settled.
func (c *cluster) verify(since, until time.Time, late time.Duration, flags ...string) {
	c.Helper()
	testenv.Eventually(c, "late is over", func() error {
		if left := time.Until(until.Add(late)); left > 0 {
			return fmt.Errorf("%s are left", left)
		}
		return nil
	})
	got := tactus(c.T, append([]string{
		"verify", "--database-url", c.url, "--redis-url", c.redis, "--wait", "1m",
		"--from", since.UTC().Format(time.RFC3339Nano), "--to", until.UTC().Format(time.RFC3339Nano), "--late",
		late.String(),
	}, flags...)...)
	if got.code != exitOK {
		c.Errorf("verify: %d\n%s%s", got.code, got.out, got.problems)
	}
	c.Log(got.out)
}

func ask(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return send(t, request)
}

// TestSeedsOwnEndToEnd makes a schedule whose cron is a minute ahead, over HTTP, waits, reads its history, and deletes
// it.
func TestSeedsOwnEndToEnd(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	api := c.start("api")
	c.start("relay")
	c.beat("one")
	at := time.Now().UTC().Add(30 * time.Second).Truncate(time.Minute).Add(time.Minute) // the machine may be slow
	status, body := ask(t, http.MethodPost, api.URL()+"/api/v1/schedules",
		fmt.Sprintf(`{"name": "listed", "cron_expression": "%d %d * * *",
		"task_name": "fetch_listed_info_task", "task_params": {"from_date": "2026-01-01", "to_date": "2026-01-31"}}`, at.Minute(), at.Hour()))
	var made domain.Schedule
	if err := json.Unmarshal([]byte(body), &made); err != nil || status != http.StatusCreated {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	one := api.URL() + "/api/v1/schedules/" + made.ID.String()
	if status, body := ask(t, http.MethodGet, one, ""); status != http.StatusOK ||
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
		status, body := ask(t, http.MethodGet, one+"/history", "")
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
	tasks, err := testenv.Client(t, c.redis).LRange(t.Context(), "celery", 0, -1).Result()
	if err != nil || len(tasks) != 1 || !strings.Contains(tasks[0], history.History[0].TaskID) {
		t.Errorf("in the worker's queue: %v, %v", tasks, err)
	}
	if status, body := ask(t, http.MethodDelete, one, ""); status != http.StatusNoContent {
		t.Errorf("delete: %d %s", status, body)
	}
	c.verify(made.CreatedAt, at.Add(time.Second), 5*time.Second)
}

// TestStandbyTakesOver stops, kills and suspends the leader, while a schedule is due every second.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	if _, err := c.pool.Exec(t.Context(), leaseHistory); err != nil {
		t.Fatal(err)
	}
	c.start("relay")
	s := c.create(`{"name": "secondly", "interval_seconds": 1, "task_name": "app.task", "misfire_policy": "all"}`)
	leader := c.beat("a")
	c.fires(s, 2)
	for i, end := range []func(*testenv.Process){
		func(p *testenv.Process) {
			if code := p.Stop(); code != exitOK {
				t.Errorf("stopped with %d", code)
			}
		},
		(*testenv.Process).Kill, (*testenv.Process).Pause,
	} {
		standby := c.beat(fmt.Sprint("standby-", i)) // it is ready
		if strings.Contains(standby.Log(), "took the lease") {
			t.Error("two beats lead")
		}
		before := c.runs(s)
		end(leader)
		standby.AwaitLog("took the lease")
		c.fires(s, before+3)
		if i == 2 { // the zombie wakes up
			leader.Resume()
			leader.AwaitLog("lost the lease")
			c.fires(s, before+5)
		}
		leader = standby
	}
	c.verify(s.CreatedAt, c.settled(), 15*time.Second)
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
func (c *cluster) tookTurns(givenUp ...bool) {
	c.Helper()
	rows, err := c.pool.Query(c.Context(), turns)
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
	if err := c.pool.QueryRow(c.Context(),
		`select count(*) from (select from own.lease_history group by epoch having count(distinct holder) > 1) e`).Scan(
		&shared); err != nil || shared > 0 {
		c.Errorf("%d epochs had several owners, %v", shared, err)
	}
}

// settled returns an instant up to which every due time is settled. To know that, it makes a schedule after the
// instant, and waits until it has fired.
func (c *cluster) settled() time.Time {
	c.Helper()
	now := time.Now()
	c.fires(c.create(`{"interval_seconds": 1, "task_name": "app.task"}`), 2)
	return now
}

func (c *cluster) runs(s domain.Schedule) (n int) {
	c.Helper()
	if err := c.pool.QueryRow(c.Context(), `select count(*) from tactus.runs where schedule_id = $1`,
		s.ID).Scan(&n); err != nil {
		c.Fatal(err)
	}
	return n
}

// TestWithoutRedisAndRelay checks that a beat learns of changes by its poll alone while Redis or the relay is away, and
// that Redis catches up after it has come back empty.
func TestWithoutRedisAndRelay(t *testing.T) {
	t.Parallel()
	redis := testenv.RedisServer(t, nil)
	c := newCluster(t, testenv.DatabaseURL(t), redis.URL(0))
	relay := c.start("relay")
	c.beat("one")
	began := time.Now()
	c.fires(c.create(`{"name": "with", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		c.fires(c.create(fmt.Sprintf(`{"name": "without-redis-%d", "interval_seconds": 1, "task_name": "app.task"}`,
			n)), 1)
	}
	relay.Kill()
	c.fires(c.create(`{"name": "without-relay", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	if err := redis.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.start("relay")
	c.fires(c.create(`{"name": "again", "interval_seconds": 1, "task_name": "app.task"}`), 1)
	c.verify(began, c.settled(), 15*time.Second)
}

// TestSyncSwitchedOff starts a beat that must not listen to Redis. It fires a schedule that was made before the start.
func TestSyncSwitchedOff(t *testing.T) {
	t.Parallel()
	c := newCluster(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
	s := c.create(`{"interval_seconds": 1, "task_name": "app.task"}`)
	beat := c.start("beat", "CELERY_BEAT_REDIS_SYNC_ENABLED=false")
	beat.AwaitLog(`sync by Redis is disabled.*interval=1m0s`)
	c.fires(s, 1)
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
			c := newCluster(t, testenv.DatabaseURL(t), testenv.RedisURL(t))
			s := c.create(`{"interval_seconds": 1, "misfire_policy": "all", "task_name": "app.task"}`)
			start := func(name string) *testenv.Process {
				return c.startBuilt("clockskew", "beat", "TACTUS_BEAT_NAME="+name,
					"TACTUS_TEST_CLOCK_SKEW="+ahead.String())
			}
			beat := start("one")
			c.fires(s, 3)
			beat.Kill()
			beat = start("two")
			c.fires(s, 15)
			var early, twice, missed int
			err := c.pool.QueryRow(t.Context(),
				`select count(*) filter (where due_at > fired_at), count(*) - count(distinct due_at),
					count(*) filter (where status = 'missed')
				from tactus.runs where due_at > $1`, s.EffectiveFrom).Scan(&early, &twice, &missed)
			if err != nil || early+twice+missed > 0 {
				t.Errorf("%d early, %d twice, %d missed, %v", early, twice, missed, err)
			}
			var first time.Time
			if err := c.pool.QueryRow(t.Context(), `select min(due_at) from tactus.runs`).Scan(&first); err != nil ||
				first.Sub(s.EffectiveFrom) > time.Second {
				t.Errorf("made at %s, first due at %s, %v", s.EffectiveFrom, first, err)
			}
			if skew := time.Duration(c.metric(beat,
				"tactus_beat_clock_skew_seconds") * float64(time.Second)); (skew - ahead).Abs() > time.Minute {
				t.Errorf("this machine's clock is %s ahead, the skew is said to be %s", ahead, skew)
			}
		})
	}
}

// metric reads a metric that has no labels. A process leaves out a metric that it cannot determine in time.
func (c *cluster) metric(p *testenv.Process, name string) (value float64) {
	c.Helper()
	testenv.Eventually(c, "the metric "+name, func() error {
		_, body := ask(c.T, http.MethodGet, p.URL()+"/metrics", "")
		_, after, found := strings.Cut(body, "\n"+name+" ")
		text, _, _ := strings.Cut(after, "\n")
		if !found {
			return errors.New(body)
		}
		var err error
		value, err = strconv.ParseFloat(text, 64)
		return err
	})
	return value
}
