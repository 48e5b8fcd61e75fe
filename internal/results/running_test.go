package results

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// mate is a worker of a test. Several workers may have the same name.
type mate struct {
	r         *running
	by        process
	clock     int64
	processed int64
	ahead     time.Duration // by which its clock is
	runs      map[domain.ID]bool
}

func newMate(r *running, by process) *mate { return &mate{r: r, by: by, runs: map[domain.ID]bool{}} }

func after(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// begin makes a run begin, and returns a function that lets the collector hear of the start.
func (m *mate) begin(run domain.ID, seconds float64) (hear func()) {
	m.clock++
	m.processed++
	m.runs[run] = true
	e, at := celery.Event{Type: "task-started", Clock: m.clock}, after(seconds).Add(m.ahead)
	return func() { m.r.note(m.by, e, answer{run: run, status: domain.Started, started: at}) }
}

// ends makes a run end with an event.
func (m *mate) ends(run domain.ID) {
	m.clock++
	delete(m.runs, run)
	m.r.note(m.by, celery.Event{Type: "task-succeeded", Clock: m.clock}, answer{run: run, status: domain.Succeeded, final: true})
}

func (m *mate) beat(seconds float64) []answer {
	m.clock++
	return m.r.beats(m.by, celery.Event{
		Clock: m.clock, Heartbeat: &celery.Heartbeat{Every: 2, Active: int64(len(m.runs)), Processed: m.processed},
	}, after(seconds).Add(m.ahead))
}

// TestWhatIdleWorkersSay has a worker that ends tasks without an event, some of them while it runs others.
func TestWhatIdleWorkersSay(t *testing.T) {
	t.Parallel()
	r := newRunning()
	w, x := newMate(&r, process{"w", 1}), newMate(&r, process{"w", 2})
	done, ignored, late, held := outbox.NewID(), outbox.NewID(), outbox.NewID(), outbox.NewID()
	others := outbox.NewID()
	told := map[domain.ID]float64{}
	var hold func()
	for s := 0.; s <= 120; s += 2 {
		x.beat(s)
		for _, a := range w.beat(s + 0.1) {
			if told[a.run] = s; a.status != domain.Unknown || !a.final || a.reason == "" || a.worker != "w" {
				t.Errorf("%+v", a)
			}
		}
		switch s {
		case 20:
			w.begin(done, s+0.2)()
			w.begin(ignored, s+0.2)()
			x.begin(others, s+0.3)()
		case 24:
			w.ends(done)
			delete(w.runs, ignored)
		case 40: // the start is heard after two heartbeats that count the task
			hold = w.begin(held, s+0.5)
			delete(w.runs, held)
		case 44:
			hold()
		case 60:
			w.begin(late, s+0.5)()
		case 100:
			delete(w.runs, late)
		}
	}
	for run, want := range map[domain.ID]float64{ignored: 28, held: 46, late: 104} {
		if told[run] != want {
			t.Errorf("told at %g, want %g", told[run], want)
		}
	}
	if len(told) != 3 {
		t.Errorf("%d runs were told to have ended, want 3", len(told))
	}
}

// TestIdleNamesakesSayNothing has two workers of the same name. A run of one of them never counts as ended because the
// other one is idle, in whatever order their heartbeats come, whatever they have counted, and even while one of them
// sends none.
func TestIdleNamesakesSayNothing(t *testing.T) {
	t.Parallel()
	for phase := 0.05; phase < 2; phase += 0.19 {
		for counted := int64(0); counted <= 12; counted++ {
			for _, ahead := range []time.Duration{0, time.Second, -time.Second, time.Hour} {
				for _, clock := range []int64{0, 455, 470, 1000} {
					for _, kind := range []string{
						"both beat", "blocked", "never beats", "the other comes later", "the other works",
						"only the other beats and works", "blocked, the other works at once",
					} {
						r := newRunning()
						busy, idle := newMate(&r, process{"celery@app", 1}), newMate(&r, process{"celery@app", 1})
						busy.processed, idle.processed, busy.clock, idle.clock, idle.ahead = 6, counted, 470, clock, ahead
						run := outbox.NewID()
						for n := range 60 {
							s := float64(2 * n)
							running := len(busy.runs) > 0
							if kind != "never beats" && kind != "only the other beats and works" && !(strings.HasPrefix(kind, "blocked") && running) {
								if ended := busy.beat(s); len(ended) > 0 {
									t.Fatalf("%s: it is said to have ended by its own worker", kind)
								}
							}
							if n == 20 {
								busy.begin(run, s+0.01)()
							}
							if strings.HasSuffix(kind, "works") && n%3 == 2 || strings.HasSuffix(kind, "at once") && n == 20 {
								idle.clock++
								idle.processed++ // and sends no event
							}
							if kind == "the other comes later" && n < 22 {
								continue
							}
							if ended := idle.beat(s + phase); len(ended) > 0 {
								t.Fatalf("%s, %.2f s apart, %d tasks counted, %s ahead, clock %d: %+v", kind, phase, counted, ahead, clock, ended)
							}
						}
					}
				}
			}
		}
	}
}

// TestWorkersAreBounded hears of ever new workers, as when one is restarted again and again in the middle of a task.
// The collector remembers a bounded number of them.
func TestWorkersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRunning()
	steady := newMate(&r, process{"steady", 1})
	steady.beat(0)
	for pid := range 2 * mostWorkers {
		m := newMate(&r, process{"w", pid})
		m.beat(0)
		m.begin(outbox.NewID(), 1)()
		steady.begin(outbox.NewID(), 1)()
	}
	if len(r.workers) != mostWorkers || r.workers[process{"w", 2*mostWorkers - 1}] == nil {
		t.Errorf("%d workers are remembered", len(r.workers))
	}
	if w := r.workers[steady.by]; w == nil || len(w.runs) != 2*mostWorkers {
		t.Errorf("what is heard of all the time is forgotten: %+v", w)
	}
	for range most {
		steady.begin(outbox.NewID(), 1)()
	}
	if w := r.workers[steady.by]; len(w.starts) > most || len(w.runs) > most {
		t.Errorf("%d starts, %d runs", len(w.starts), len(w.runs))
	}
}

// publish sends an event as a worker does, with its name and process number.
func publish(t *testing.T, broker *redis.Client, channel string, event map[string]any) {
	t.Helper()
	event["hostname"], event["pid"] = "celery@app", 1
	body, err := json.Marshal(event)
	if err == nil {
		err = broker.Publish(t.Context(), "/0.celeryev/"+channel, fmt.Sprintf(
			`{"body":%q,"content-type":"application/json","properties":{"body_encoding":"base64","delivery_info":{"routing_key": "%s"}}}`,
			base64.StdEncoding.EncodeToString(body), channel)).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAnIdleNamesakeReleasesNothing starts a run while another worker of the same name and process number, as in
// another container, says that it is idle. The next run of the schedule continues to wait.
func TestAnIdleNamesakeReleasesNothing(t *testing.T) {
	t.Parallel()
	s, broker := newSite(t), testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	_, run, waiting := s.queue(t)
	after := s.run(t, s.schedule(t, domain.Definition{}), domain.Sent, time.Second)
	start(t, s.collector(t, nil, broker, Config{Every: time.Hour}))
	awaitListener(t, broker)
	unix := func(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }
	began := time.Now().Add(-8 * time.Second)
	publish(t, broker, "task.multi", map[string]any{
		"type": "task-started", "uuid": run.String(), "clock": 100, "timestamp": unix(began),
	})
	for n := range 4 {
		publish(t, broker, "worker.heartbeat", map[string]any{
			"type": "worker-heartbeat", "active": 0, "processed": 50, "freq": 2, "clock": 200 + n,
			"timestamp": unix(began.Add(time.Duration(2*n+2) * time.Second)),
		})
	}
	publish(t, broker, "worker.heartbeat", map[string]any{
		"type": "worker-heartbeat", "active": 0, "timestamp": unix(time.Now()),
	})
	publish(t, broker, "task.multi", map[string]any{
		"type": "task-succeeded", "uuid": after.String(), "clock": 300, "timestamp": unix(time.Now()), "result": "1",
	})
	s.await(t, after, domain.Succeeded)
	if r := s.row(t, run); r.Status != "started" || !s.waits(t, waiting) {
		t.Errorf("%+v", r)
	}
}
