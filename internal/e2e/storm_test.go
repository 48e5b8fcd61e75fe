package e2e_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// The storm of case 12, at a size for two busy processors. The benchmarks run it in full.
const (
	everySecond = 100
	everyHour   = 1000
	changes     = 200
)

// TestStorm is case 12. Schedules are due every second and changed all the time, two beats run, and the leader is
// killed. Each due time runs once, as the newest version before it says.
func TestStorm(t *testing.T) {
	t.Parallel()
	broker := testenv.RedisServer(t, nil)
	s := &stack{T: t, broker: broker, client: testenv.Client(t, broker.URL(0))}
	s.env = []string{"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + broker.URL(0)}
	s.api = s.start("api").URL() + "/api/v1"
	s.start("relay")
	beats := []*testenv.Process{s.start("beat", "TACTUS_BEAT_NAME=a"), s.start("beat", "TACTUS_BEAT_NAME=b")}
	beats[0].AwaitLog("took the lease")

	st := &storm{stack: s, said: map[string][]word{}}
	hourly := st.createMany(everyHour, `"interval_seconds": 3600, "task_name": "app.never"`)
	busy := st.createMany(everySecond, `"interval_seconds": 1, "task_name": "app.busy"`)
	shake := func() {
		for range changes / 2 {
			st.change(hourly[rand.N(len(hourly))])
			st.change(busy[rand.N(len(busy))])
		}
	}
	shake()
	beats[0].Kill()
	shake()
	beats[1].AwaitLog("took the lease")
	for range 3 { // changes one second apart
		before := len(s.history(busy[0]))
		testenv.Eventually(t, "the standby fires", func() error {
			if n := len(s.history(busy[0])); n <= before+1 {
				return fmt.Errorf("there are %d runs, before there were %d", n, before)
			}
			return nil
		})
		st.change(busy[0])
	}
	shake()
	for _, id := range busy {
		s.ask("POST", "/schedules/"+id+"/disable", "", nil)
	}
	st.wantEachOnce(busy)
	if p := (testenv.Program{Env: s.env}).Start(t, "verify"); p.Wait() != 0 {
		t.Errorf("verify found: %s", p.Log())
	}
}

// storm remembers the versions that the API has answered with.
type storm struct {
	*stack
	mu   sync.Mutex
	said map[string][]word // by schedule, the versions from the first on
}

// word is one version of a schedule, with the time of the answer.
type word struct {
	args     string
	answered time.Time
}

// createMany creates schedules, several at a time.
func (s *storm) createMany(n int, members string) []string {
	s.Helper()
	ids := make([]string, n)
	var group errgroup.Group
	group.SetLimit(8)
	for i := range ids {
		group.Go(func() error {
			var made struct{ ID string }
			if err := s.try("POST", "/schedules", fmt.Sprintf(`{%s, "args": [%d]}`, members, -i), &made); err != nil {
				return err
			}
			ids[i] = made.ID
			s.mu.Lock()
			defer s.mu.Unlock()
			s.said[made.ID] = []word{{fmt.Sprintf("[%d]", -i), time.Now()}}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		s.Fatal(err)
	}
	return ids
}

// change gives a schedule arguments that it never had before.
func (s *storm) change(id string) {
	s.Helper()
	args := fmt.Sprintf("[%d]", len(s.said[id]))
	var after struct{ Version int }
	s.ask("PUT", "/schedules/"+id, `{"args": `+args+`}`, &after)
	s.said[id] = append(s.said[id], word{args, time.Now()})
	if after.Version != len(s.said[id]) {
		s.Errorf("version %d after %d changes", after.Version, len(s.said[id]))
	}
}

// wantEachOnce compares the history with the queue. Every second of every schedule has one run, in order and without a
// gap. Each run has one message, with the arguments of its version. No version is used after a newer one was answered.
func (s *storm) wantEachOnce(schedules []string) {
	s.Helper()
	args := map[string]string{} // by run
	for _, id := range schedules {
		runs := s.history(id)
		slices.Reverse(runs)
		for i, r := range runs {
			if r.Status == "missed" && i > 0 && i == len(runs)-1 {
				break // the disabling has overtaken what was due just before
			}
			if i > 0 && !r.DueAt.Equal(runs[i-1].DueAt.Add(time.Second)) || r.Status != "due" && r.Status != "sent" {
				s.Errorf("%s after %s: %+v", r.DueAt, runs[max(i-1, 0)].DueAt, r)
			}
			words := s.said[id]
			if r.Version < len(words) && words[r.Version].answered.Before(r.DueAt) {
				s.Errorf("due at %s as version %d, but version %d was answered at %s", r.DueAt, r.Version, r.Version+1, words[r.Version].answered)
			}
			args[r.TaskID] = words[min(r.Version, len(words))-1].args
		}
	}
	messages := s.list("celery", len(args))
	if len(messages) != len(args) {
		s.Errorf("there are %d messages for %d runs", len(messages), len(args))
	}
	for _, m := range messages {
		var message struct {
			Headers struct{ ID, ArgsRepr string }
		}
		if err := json.Unmarshal([]byte(m), &message); err != nil {
			s.Fatal(err)
		}
		if want, known := args[message.Headers.ID]; !known || message.Headers.ArgsRepr != want {
			s.Errorf("run %s has a message twice, or with %s instead of %q", message.Headers.ID, message.Headers.ArgsRepr, want)
		}
		delete(args, message.Headers.ID)
	}
	s.Logf("%d runs, each once", len(messages))
}
