package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// stack is tactus with its servers.
type stack struct {
	*testing.T
	api    string
	broker *servers.Redis
	client *redis.Client
	env    []string
	lost   int // seconds after which an unacknowledged message is delivered again
}

// newStack starts "tactus dev" on a PostgreSQL and a Redis of its own.
func newStack(t *testing.T, env ...string) *stack {
	t.Helper()
	broker := testenv.RedisServer(t, map[string]string{"appendonly": "yes", "appendfsync": "always"})
	s := &stack{T: t, broker: broker, client: testenv.Client(t, broker.URL(0)), lost: 3600}
	s.env = append([]string{"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + broker.URL(0)}, env...)
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	p := testenv.Program{Env: s.env}.Start(t, "dev", "--state-dir", filepath.Join(dir, "state"), "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	s.api = p.URL() + "/api/v1"
	return s
}

// work starts a Celery worker.
func (s *stack) work(args ...string) *servers.Celery {
	s.Helper()
	app, err := os.ReadFile("testdata/app.py")
	if err != nil {
		s.Fatal(err)
	}
	source := strings.Replace(string(app), "3600", strconv.Itoa(s.lost), 1)
	return testenv.Worker(s, servers.CeleryConfig{App: source, BrokerURL: s.broker.URL(0), Args: append([]string{"--events"}, args...)})
}

// run is an entry of the history, and the status of a task.
type run struct {
	TaskID     string          `json:"task_id"`
	ScheduleID string          `json:"schedule_id"`
	DueAt      time.Time       `json:"due_at"`
	ExecutedAt time.Time       `json:"executed_at"`
	Kind       string          `json:"kind"`
	Version    int             `json:"schedule_version"`
	Status     string          `json:"status"`
	Reason     string          `json:"reason"`
	ExpiresAt  *time.Time      `json:"expires_at"`
	SentAt     *time.Time      `json:"sent_at"`
	StartedAt  *time.Time      `json:"started_at"`
	FinishedAt *time.Time      `json:"finished_at"`
	Worker     string          `json:"worker"`
	Result     json.RawMessage `json:"result"`
	Error      string          `json:"error"`
	Traceback  string          `json:"traceback"`
}

// final reports whether the run's status is final.
func (r run) final() bool {
	switch r.Status {
	case "due", "sent", "started", "retrying":
		return false
	}
	return true
}

// ask sends a request and decodes the answer.
func (s *stack) ask(method, path, body string, into any, headers ...string) {
	s.Helper()
	if err := s.try(method, path, body, into, headers...); err != nil {
		s.Fatal(err)
	}
}

func (s *stack) try(method, path, body string, into any, headers ...string) error {
	request, err := http.NewRequestWithContext(s.Context(), method, s.api+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 400 {
		return fmt.Errorf("%s %s %.300s: %s %s: %w", method, path, body, response.Status, text, err)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

// create creates a schedule and returns its id.
func (s *stack) create(members string) string {
	s.Helper()
	var made struct{ ID string }
	s.ask("POST", "/schedules", "{"+members+"}", &made)
	return made.ID
}

// once creates a schedule that is due once, soon.
func (s *stack) once(members string) string {
	s.Helper()
	return s.create(`"interval_seconds": 1, "max_runs": 1, ` + members)
}

// never creates a schedule that is not due for a long time, to be triggered by hand.
func (s *stack) never(members string) string {
	s.Helper()
	return s.create(`"cron_expression": "0 0 1 1 *", ` + members)
}

// trigger triggers a schedule and returns the run's id.
func (s *stack) trigger(schedule string, headers ...string) string {
	s.Helper()
	var made struct {
		RunID string `json:"run_id"`
	}
	s.ask("POST", "/schedules/"+schedule+"/trigger", "", &made, headers...)
	return made.RunID
}

func (s *stack) history(schedule string) []run {
	s.Helper()
	var h struct{ History []run }
	s.ask("GET", "/schedules/"+schedule+"/history?limit=1000", "", &h)
	return h.History
}

// await waits until the newest run of a schedule meets a condition.
func (s *stack) await(schedule, what string, ok func(run) bool) run {
	s.Helper()
	var last run
	testenv.Eventually(s, what, func() error {
		runs := s.history(schedule)
		if len(runs) == 0 {
			return fmt.Errorf("the schedule has not fired")
		}
		if last = runs[0]; !ok(last) {
			return fmt.Errorf("the newest run is %+v", last)
		}
		return nil
	})
	return last
}

// ended waits until the newest run of a schedule has ended.
func (s *stack) ended(schedule string) run {
	s.Helper()
	return s.await(schedule, "the end of the run", run.final)
}

// list waits until a list in the broker has the given length.
func (s *stack) list(key string, length int) (items []string) {
	s.Helper()
	testenv.Eventually(s, fmt.Sprintf("%q has %d items", key, length), func() (err error) {
		if items, err = s.client.LRange(s.Context(), key, 0, -1).Result(); err == nil && len(items) < length {
			err = fmt.Errorf("its items are %q", items)
		}
		return err
	})
	return items
}
