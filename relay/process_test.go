package relay_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestKilledAndStoppedRelays runs two relay processes beside writers, and kills or stops one of them again and again at
// any point. No event is lost, doubled or out of order, and a stopped relay delays nobody.
func TestKilledAndStoppedRelays(t *testing.T) {
	t.Parallel()
	direct, events := testenv.DirectURL(t), testenv.RedisURL(t)
	w := at(t, testenv.Connect(t, direct), testenv.Client(t, events))
	program := testenv.Program{Env: []string{
		"DATABASE_URL=" + testenv.PooledApart(t, direct), "TACTUS_LISTEN_URL=" + direct, "REDIS_URL=" + events, "TACTUS_HTTP_ADDR=127.0.0.1:0",
	}}
	start := func() *testenv.Process { return program.Start(t, "relay") }
	relays := []*testenv.Process{start(), start()}
	for _, r := range relays {
		r.AwaitReady()
	}
	written := make(chan struct{})
	var writers sync.WaitGroup
	fired := make([][]string, 2)
	for n := range fired {
		writers.Go(func() {
			for range 15 {
				w.put(t, fmt.Sprint("s", n), 10)
				fired[n] = append(fired[n], w.fire(t, fmt.Sprint("q", n), 10)...)
			}
		})
	}
	go func() {
		writers.Wait()
		close(written)
	}()
	deaths := 0
	var resumed []*testenv.Process // stopped and replaced; a few of them are resumed
	for running := true; running; deaths++ {
		n := rand.N(len(relays))
		if rand.N(2) == 0 {
			relays[n].Kill()
			relays[n] = start()
		} else {
			stopped := relays[n]
			stopped.Pause()
			relays[n] = start() // the successor; the stopped one is resumed while it works
			time.AfterFunc(rand.N(300*time.Millisecond), stopped.Resume)
			if resumed = append(resumed, stopped); len(resumed) > 3 {
				resumed[0].Kill()
				resumed = resumed[1:]
			}
		}
		select {
		case <-written:
			running = false
		case <-time.After(rand.N(400 * time.Millisecond)):
		}
	}
	report := w.awaitEvents(t)
	for n, ids := range fired {
		queue := fmt.Sprint("q", n)
		testenv.Eventually(t, "every task in "+queue, func() error {
			if got := w.handed(t, queue); !slices.Equal(got, ids) {
				return fmt.Errorf("%d tasks, want %d", len(got), len(ids))
			}
			return nil
		})
	}
	t.Logf("%d deaths, %d events", deaths, report.Events)
}

// TestStoppedRelayDelaysNobody stops a relay for good. Another one takes over, and writers do not notice.
func TestStoppedRelayDelaysNobody(t *testing.T) {
	t.Parallel()
	direct, events := testenv.DirectURL(t), testenv.RedisURL(t)
	w := at(t, testenv.Connect(t, direct), testenv.Client(t, events))
	program := testenv.Program{Env: []string{"DATABASE_URL=" + direct, "REDIS_URL=" + events, "TACTUS_HTTP_ADDR=127.0.0.1:0"}}
	first := program.Start(t, "relay")
	first.AwaitReady()
	for range 5 {
		w.put(t, "a", 3)
		sessions := w.sessions(t)
		first.Pause()
		second := program.Start(t, "relay")
		w.put(t, "a", 3)
		w.awaitEvents(t)
		if n := w.number(t, `select count(*) from pg_stat_activity where datname = current_database() and pg_blocking_pids(pid) && $1`, sessions); n > 0 {
			t.Errorf("%d wait for the one that is stopped", n)
		}
		first.Kill()
		first = second
	}
}

// sessions returns the sessions of the database, without this one.
func (w *world) sessions(t *testing.T) (pids []int32) {
	t.Helper()
	err := w.pool.QueryRow(t.Context(), `select coalesce(array_agg(pid), '{}') from pg_stat_activity
		where datname = current_database() and pid <> pg_backend_pid()`).Scan(&pids)
	if err != nil {
		t.Fatal(err)
	}
	return pids
}
