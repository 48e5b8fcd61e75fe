package processes

import (
	"errors"
	"fmt"
	"io"
	"net/http"
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

// Cluster is a database and a Redis, and the processes on them.
type Cluster struct {
	*testing.T
	Env   []string
	URL   string // of the database
	Redis string
	Pool  *pgxpool.Pool
	Store *outbox.Store
}

// New returns a cluster on a database and a Redis, whose processes have these settings besides.
func New(t *testing.T, database, redis string, env ...string) *Cluster {
	t.Helper()
	pool := testenv.Connect(t, database)
	return &Cluster{
		t, append([]string{"DATABASE_URL=" + database, "REDIS_URL=" + redis}, env...), database, redis, pool,
		outbox.NewStore(pool, "", handover.Limits{}.Check),
	}
}

// Start starts a process and waits until it is ready. A beat needs a name.
func (c *Cluster) Start(process string, env ...string) *testenv.Process {
	c.Helper()
	return c.StartBuilt("", process, env...)
}

// StartBuilt starts a process of a program that is built with tags.
func (c *Cluster) StartBuilt(tags, process string, env ...string) *testenv.Process {
	c.Helper()
	p := testenv.Program{Env: append(env, c.Env...), Tags: tags}.Start(c.T, process, "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	return p
}

// Beat starts a beat.
func (c *Cluster) Beat(name string) *testenv.Process {
	c.Helper()
	return c.Start("beat", "TACTUS_BEAT_NAME="+name)
}

// Create makes a schedule.
func (c *Cluster) Create(definition string) domain.Schedule {
	c.Helper()
	d, err := domain.Decode([]byte(definition))
	if err != nil {
		c.Fatal(err)
	}
	s, err := c.Store.Create(c.Context(), d, "", nil)
	if err != nil {
		c.Fatal(err)
	}
	return s
}

// Fires waits until a schedule has at least n runs that were fired.
func (c *Cluster) Fires(s domain.Schedule, n int) {
	c.Helper()
	testenv.Eventually(c, fmt.Sprintf("%s fires %d times", s.Name, n), func() error {
		var runs int
		if err := c.Pool.QueryRow(c.Context(),
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

// Verify runs every check of "tactus verify", including each due time between two instants; late is how long a due time
// may have taken to be settled.
func (c *Cluster) Verify(since, until time.Time, late time.Duration, flags ...string) {
	c.Helper()
	testenv.Eventually(c, "late is over", func() error {
		if left := time.Until(until.Add(late)); left > 0 {
			return fmt.Errorf("%s are left", left)
		}
		return nil
	})
	got := testenv.Run(c.T, append([]string{
		"verify", "--database-url", c.URL, "--redis-url", c.Redis, "--wait", "1m",
		"--from", since.UTC().Format(time.RFC3339Nano), "--to", until.UTC().Format(time.RFC3339Nano), "--late",
		late.String(),
	}, flags...)...)
	if got.Code != 0 {
		c.Errorf("verify: %d\n%s%s", got.Code, got.Out, got.Problems)
	}
	c.Log(got.Out)
}

// Ask sends a request, and returns what is answered.
func Ask(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// Settled returns an instant up to which every due time is settled. To know that, it makes a schedule after the
// instant, and waits until it has fired.
func (c *Cluster) Settled() time.Time {
	c.Helper()
	now := time.Now()
	c.Fires(c.Create(`{"interval_seconds": 1, "task_name": "app.task"}`), 2)
	return now
}

// Runs counts the runs of a schedule.
func (c *Cluster) Runs(s domain.Schedule) (n int) {
	c.Helper()
	if err := c.Pool.QueryRow(c.Context(), `select count(*) from tactus.runs where schedule_id = $1`,
		s.ID).Scan(&n); err != nil {
		c.Fatal(err)
	}
	return n
}

// Execute runs a statement.
func (c *Cluster) Execute(sql string) {
	c.Helper()
	if _, err := c.Pool.Exec(c.Context(), sql); err != nil {
		c.Fatal(err)
	}
}

// Metric reads a metric that has no labels. A process leaves out a metric that it cannot determine in time.
func (c *Cluster) Metric(p *testenv.Process, name string) (value float64) {
	c.Helper()
	testenv.Eventually(c, "the metric "+name, func() error {
		_, body := Ask(c.T, http.MethodGet, p.URL()+"/metrics", "")
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
