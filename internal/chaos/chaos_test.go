package chaos

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
)

const queue = "chaos"

// settings returns for how long to inject faults, and with which seed.
func settings(t *testing.T) (lasts time.Duration, seed uint64) {
	t.Helper()
	lasts, seed = 15*time.Second, 7 // the same faults in every run of the tests
	if text := os.Getenv("TACTUS_CHAOS_FOR"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatalf("TACTUS_CHAOS_FOR: %v", err)
		}
		lasts, seed = d, uint64(time.Now().UnixNano())
	}
	if text := os.Getenv("TACTUS_CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("TACTUS_CHAOS_SEED: %v", err)
		}
		seed = n
	}
	return lasts, seed
}

func TestChaos(t *testing.T) {
	lasts, seed := settings(t)
	t.Logf("seed %d: TACTUS_CHAOS_SEED=%[1]d TACTUS_CHAOS_FOR=%s make chaos", seed, lasts)
	w := newWorld(t, seed)
	s := &writers{store: outbox.NewStore(w.pool, "", handover.Limits{}.Check), w: w}
	k := &workers{w: w, ran: map[string]int{}}
	s.steady()
	began := time.Now()
	ctx, stop := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	busy.Go(func() { s.run(ctx, seed) })
	busy.Go(func() { k.run(ctx) })
	defer busy.Wait()
	defer stop()

	counts := w.harm(lasts)
	w.heal()
	stop()
	busy.Wait()
	w.awaitHandedOver()
	report := w.check(began)
	w.awaitKnown()
	t.Logf("%s", table(counts))
	t.Logf("%d changes made, %d failed or unanswered; %d events, %d runs, %d due times; workers ran %d tasks, %d of them more than once",
		s.made.Load(), s.failed.Load(), report.Events, report.Runs, report.DueTimes, len(k.ran), k.again())
	if report.Events < 50 || report.Runs < 10 {
		t.Errorf("only %d events and %d runs, so the test shows little", report.Events, report.Runs)
	}
	for _, p := range report.Problems {
		t.Errorf("%+v", p)
	}
	if n := w.number(`select count(*) from tactus.relay_batches where kind = 'epoch'`); n > 0 {
		t.Errorf("%d epochs were begun, although PostgreSQL never went back", n)
	}
}

// awaitHandedOver waits until every fired run is handed over.
func (w *world) awaitHandedOver() {
	w.t.Helper()
	testenv.Eventually(w.t, "every run handed over", func() error {
		if n := w.number(`select count(*) from tactus.runs where status = 'due' and fired_at < clock_timestamp() - interval '5 seconds'`); n > 0 {
			return fmt.Errorf("%d runs wait", n)
		}
		return nil
	})
}

// awaitKnown waits until each beat has exactly the enabled schedules in its memory.
func (w *world) awaitKnown() {
	w.t.Helper()
	want := fmt.Sprintf("\ntactus_beat_schedules %d\n", w.number(`select count(*) from tactus.schedules where enabled and deleted_at is null`))
	for _, p := range w.processes {
		if p.command[0] != "beat" {
			continue
		}
		testenv.Eventually(w.t, p.name+" has the enabled schedules in memory", func() error {
			response, err := http.Get(p.running.URL() + "/metrics")
			if err != nil {
				return err
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err == nil && !strings.Contains(string(text), want) {
				err = fmt.Errorf("its metrics do not have %q", strings.TrimSpace(want))
			}
			return err
		})
	}
}

func (w *world) number(sql string) (n int64) {
	w.t.Helper()
	w.must(w.pool.QueryRow(w.t.Context(), sql).Scan(&n))
	return n
}

// harm applies faults for a while, and counts them.
func (w *world) harm(lasts time.Duration) map[string]int {
	counts := map[string]int{}
	active := map[string]ending{}
	for until := time.Now().Add(lasts); time.Now().Before(until); w.pause(200 + w.random.IntN(600)) {
		for group, e := range active {
			if time.Now().After(e.at) {
				e.end()
				delete(active, group)
			}
		}
		f := faults[w.random.IntN(len(faults))]
		if _, busy := active[f.group]; busy || len(active) >= 2 {
			continue
		}
		counts[f.name]++
		if end := f.harm(w); end != nil {
			active[f.group] = ending{time.Now().Add(time.Duration(w.random.Int64N(int64(f.hold) + 1))), end}
		}
	}
	for _, e := range active {
		e.end()
	}
	return counts
}

type ending struct {
	at  time.Time
	end func()
}

// pause waits for some milliseconds.
func (w *world) pause(milliseconds int) {
	select {
	case <-w.t.Context().Done():
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
	}
}

// settled waits until a beat's lease says that the beat knows every change and has settled all due times until now, and
// returns that instant: a due time before it that has no run will never get one.
func (w *world) settled() (now time.Time) {
	w.t.Helper()
	var log string
	w.must(w.pool.QueryRow(w.t.Context(), `select clock_timestamp(), pg_current_snapshot()::text`).Scan(&now, &log))
	testenv.Eventually(w.t, "a beat has settled all due times", func() error {
		var watermark *time.Time
		var knows bool
		err := w.pool.QueryRow(w.t.Context(), `select watermark, pg_snapshot_xmin(snapshot) >= pg_snapshot_xmax($1::text::pg_snapshot) from tactus.leases where name = 'beat'`, log).Scan(&watermark, &knows)
		if err == nil && (watermark == nil || watermark.Before(now) || !knows) {
			err = fmt.Errorf("the watermark is %v; the beat knows all changes: %v", watermark, knows)
		}
		return err
	})
	return now
}

// away returns the longest time that a due time had to wait for a beat, from PostgreSQL's records: schedules that
// nobody edits are due each second, and show it. A due time that an edit removed sooner than that may have no run.
func (w *world) away() (d time.Duration) {
	w.t.Helper()
	w.must(w.pool.QueryRow(w.t.Context(), `select max(fired_at - due_at) from tactus.runs where kind = 'scheduled'`).Scan(&d))
	return d + recognition
}

// recognition is how long a beat may take to learn of a change: it polls the log each second.
const recognition = 2 * time.Second

// check verifies everything.
func (w *world) check(began time.Time) *verify.Report {
	w.t.Helper()
	until, away := w.settled(), w.away()
	w.t.Logf("a due time waited at most %s for a beat", away-recognition)
	report, err := verify.Run(w.t.Context(), w.pool, testenv.Client(w.t, w.redis.URL(0)), verify.Config{
		Stream: redis.EventStream, Sink: "events", Wait: 2 * time.Minute, Limit: 20,
		Window: &verify.Window{From: began, To: until, Away: away},
	})
	w.must(err)
	return report
}

func table(counts map[string]int) string {
	var lines []string
	for name, n := range counts {
		lines = append(lines, fmt.Sprintf("%4d  %s", n, name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[6:], b[6:]) })
	return "faults:\n" + strings.Join(lines, "\n")
}
