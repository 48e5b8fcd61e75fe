package processes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// chaos is two relays and two beats. Now and then one of them is killed, or stopped and resumed.
type chaos struct {
	*Cluster
	random  *rand.Rand
	kinds   []string
	running []*testenv.Process
	paused  []bool
}

// TestChaos changes schedules 5,000 times while some 2,000 runs are due, in a world where processes are killed, stopped
// and resumed, and Postgres crashes. Then every event is in the stream, and every due time has one run or one reason.
func TestChaos(t *testing.T) {
	t.Parallel()
	postgres, url := testenv.Postgres(t, nil)
	c := &chaos{Cluster: New(t, url, testenv.RedisURL(t)), random: rand.New(rand.NewPCG(1, 2))}
	for n, kind := range []string{"relay", "relay", "beat", "beat"} {
		c.kinds, c.paused = append(c.kinds, kind), append(c.paused, false)
		c.running = append(c.running, c.run(n))
	}
	began := time.Now()
	var schedules []domain.Schedule
	for n := range 100 {
		schedules = append(schedules,
			c.Create(fmt.Sprintf(`{"name": "s%d", "interval_seconds": 1, "task_name": "app.task", "misfire_policy": %q}`, n, []string{"all", "latest", "none"}[n%3])))
	}
	var writers sync.WaitGroup
	for n := range 4 {
		writers.Go(func() { c.edit(schedules, n, 1250) })
	}
	done := make(chan struct{})
	go func() {
		writers.Wait()
		close(done)
	}()
	c.harm(postgres, done)
	for n := range c.running {
		if c.paused[n] {
			c.running[n].Resume()
		}
		if c.running[n].HasEnded() {
			c.running[n] = c.run(n)
		}
	}
	until := c.Settled()
	var runs, events int
	if err := c.Pool.QueryRow(t.Context(),
		`select (select count(*) from tactus.runs), (select count(*) from tactus.outbox where topic = 'schedule')`).Scan(&runs, &events); err != nil {
		t.Fatal(err)
	}
	if runs < 2000 || events < 4500 {
		t.Errorf("%d runs and %d events show little", runs, events)
	}
	c.Verify(began, until, c.away())
}

// away returns the longest time for which a due time had to wait for a beat, from PostgreSQL's records, and how long a
// beat may take to learn of a change. A due time that an edit removed sooner than that may have no run.
func (c *chaos) away() (d time.Duration) {
	c.Helper()
	err := c.Pool.QueryRow(c.Context(), `select max(fired_at - due_at) from tactus.runs where kind = 'scheduled'`).Scan(&d)
	if err != nil {
		c.Fatal(err)
	}
	c.Logf("a due time waited at most %s for a beat", d)
	return d.Round(time.Second) + 3*time.Second
}

// run starts one of the processes. Its name is the same each time.
func (c *chaos) run(n int) *testenv.Process {
	c.Helper()
	return testenv.Program{Env: append(c.Env, fmt.Sprint("TACTUS_BEAT_NAME=beat-", n))}.Start(c.T, c.kinds[n],
		"--http-addr", "127.0.0.1:0")
}

// edit makes changes of every kind except deletion. While PostgreSQL is away, it tries again.
func (c *chaos) edit(schedules []domain.Schedule, writer, changes int) {
	random := rand.New(rand.NewPCG(uint64(writer), 3))
	for range changes {
		id := schedules[random.IntN(len(schedules))].ID
		for {
			err := c.change(id, random)
			if err == nil || errors.Is(err, domain.ErrVersionConflict) {
				break
			}
			select {
			case <-c.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

func (c *chaos) change(id domain.ID, random *rand.Rand) (err error) {
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	switch random.IntN(20) {
	case 0:
		if _, err = c.Store.SetEnabled(ctx, id, 0, false); err == nil {
			_, err = c.Store.SetEnabled(ctx, id, 0, true)
		}
	case 1:
		_, err = c.Store.Merge(ctx, id, 0, fmt.Appendf(nil, `{"interval_anchor": "2026-01-01T00:00:00.%03dZ"}`,
			random.IntN(1000)))
	default:
		_, err = c.Store.Merge(ctx, id, 0, fmt.Appendf(nil, `{"description": "%d"}`, random.Int()))
	}
	return err
}

// harm kills, stops and resumes processes for a while, and at least until the changes are made. PostgreSQL crashes
// once.
func (c *chaos) harm(postgres *servers.Postgres, done <-chan struct{}) {
	c.Helper()
	const rounds = 50
	for round := 0; ; round++ {
		select {
		case <-done:
			if round >= rounds {
				return
			}
		default:
		}
		time.Sleep(time.Duration(c.random.Int64N(int64(time.Second)))) // let the process do something first
		if round == rounds/2 {
			if err := postgres.Kill(); err != nil {
				c.Fatal(err)
			}
			// Its backends end a moment after it, and until then it does not start.
			testenv.Eventually(c, "Postgres starts again", func() error { return postgres.Start(c.Context()) })
		}
		n := c.random.IntN(len(c.running))
		switch {
		case c.paused[n]:
			c.running[n].Resume()
			c.paused[n] = false
		case c.random.IntN(2) == 0:
			c.running[n].Pause()
			c.paused[n] = true
		default:
			c.running[n].Kill()
			c.running[n] = c.run(n)
		}
	}
}
