package results

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// queue makes a schedule whose runs wait for one another, with an unfinished run and one that waits for it.
func (s site) queue(t *testing.T) (schedule, running, waiting domain.ID) {
	t.Helper()
	schedule = s.schedule(t, domain.Definition{ExecutionPolicy: domain.OverlapQueue})
	s.exec(t, `update tactus.schedules set effective_from = effective_from - interval '1 day' where id = $1`, schedule)
	running, waiting = s.run(t, schedule, domain.Sent, time.Minute), s.run(t, schedule, domain.Due, time.Second)
	s.exec(t, `update tactus.runs set exclusive = true, waiting = id = $2, reason = case when id = $2 then 'waits' end
		where schedule_id = $1`, schedule, waiting)
	return schedule, running, waiting
}

// events counts the run.due events of a run.
func (s site) events(t *testing.T, run domain.ID) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(),
		`select count(*) from tactus.outbox where aggregate_id = $1 and data->>'run_id' = $1::text`,
		run).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func (s site) waits(t *testing.T, run domain.ID) (waiting bool) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select waiting from tactus.runs where id = $1`,
		run).Scan(&waiting); err != nil {
		t.Fatal(err)
	}
	return waiting
}

func release(t *testing.T, c *Collector, want int64) {
	t.Helper()
	if got, err := c.Release(t.Context()); err != nil || got != want {
		t.Errorf("released %d, want %d: %v", got, want, err)
	}
}

func TestReleasesWhenThePreviousRunHasFinished(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	_, running, waiting := s.queue(t)
	release(t, c, 0)
	if _, err := c.write(t.Context(), []answer{{run: running, status: domain.Failed, final: true}}); err != nil {
		t.Fatal(err)
	}
	s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"expires":90}')::text`)
	release(t, c, 1)
	release(t, c, 0)
	var lives int
	err := s.pool.QueryRow(t.Context(),
		`select count(*) from tactus.runs r join tactus.outbox e on e.aggregate_id = r.id
		where r.id = $1 and r.fired_at = e.occurred_at and r.expires_at = e.occurred_at + interval '90 seconds'`, waiting).Scan(&lives)
	if err != nil || lives != 1 {
		t.Errorf("its time does not begin when it is let go: %v", err)
	}
	if diff := cmp.Diff(row{Status: "due"}, s.row(t, waiting)); diff != "" || s.waits(t, waiting) ||
		s.events(t, waiting) != 1 {
		t.Errorf("%d events, %s", s.events(t, waiting), diff)
	}
}

func TestReleasesWhenThePreviousRunIsSilent(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{Longest: 30 * time.Second})
	_, running, waiting := s.queue(t)
	s.exec(t, `update tactus.runs set heard_at = now() where id = $1`, running)
	release(t, c, 0)
	s.exec(t, `update tactus.runs set heard_at = now() - interval '31 seconds' where id = $1`, running)
	release(t, c, 1)
	if s.events(t, waiting) != 1 {
		t.Error("no event")
	}
}

func TestDropsWhatWaitedWhileTheScheduleChanged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	for name, change := range map[string]string{
		"disabled": `enabled = false`, "deleted": `deleted_at = now()`, "another trigger": `effective_from = now()`,
	} {
		schedule, _, waiting := s.queue(t)
		s.exec(t, `update tactus.schedules set `+change+` where id = $1`, schedule)
		release(t, c, 1)
		if r := s.row(t, waiting); r.Status != "skipped" || r.Reason == "" || s.events(t, waiting) != 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestReleaseCounts checks that released runs count against max_runs.
func TestReleaseCounts(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.collector(t, nil, nil, Config{})
	schedule, running, _ := s.queue(t)
	s.exec(t, `update tactus.schedules set policy = (policy::jsonb || '{"max_runs":2}')::text where id = $1`, schedule)
	s.exec(t, `insert into tactus.schedule_counts select id, trigger_set_at, 1 from tactus.schedules where id = $1`,
		schedule)
	if _, err := c.write(t.Context(), []answer{{run: running, status: domain.Succeeded, final: true}}); err != nil {
		t.Fatal(err)
	}
	release(t, c, 1)
	var fired int
	if err := s.pool.QueryRow(t.Context(), `select fired from tactus.schedule_counts where schedule_id = $1`,
		schedule).Scan(&fired); err != nil || fired != 2 {
		t.Errorf("fired %d, %v", fired, err)
	}
}

// TestAnAnswerReleasesAtOnce has several collectors that hear a run's answer. The waiting run is released at once, and
// only once.
func TestAnAnswerReleasesAtOnce(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	for range 3 {
		start(t, s.collector(t, backend, nil, Config{}))
	}
	for range 5 {
		_, running, waiting := s.queue(t)
		answerAs(t, backend, running, succeeded(running, "1"), true)
		testenv.Eventually(t, "it is let go", func() error {
			if s.waits(t, waiting) {
				return errors.New("it waits")
			}
			return nil
		})
		if n := s.events(t, waiting); n != 1 {
			t.Error(fmt.Sprint(n, " events"))
		}
	}
}

// TestNothingThatWaitsCostsNothing checks that a look for waiting runs reads a few pages of an index, however many runs
// there are that do not wait, and whatever statistics the planner has of them.
func TestNothingThatWaitsCostsNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	schedule := s.schedule(t, domain.Definition{})
	s.exec(t, `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
		select gen_random_uuid(), $1, now() + n * interval '1 millisecond', 'scheduled', 'due', 1 from generate_series(1, 20000) n`, schedule)
	for _, known := range []string{"select", "analyze tactus.runs"} {
		s.exec(t, known)
		var plan []struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			} `json:"Plan"`
		}
		if err := s.pool.QueryRow(t.Context(), "explain (analyze, buffers, format json) "+anyWaitingSQL).Scan(&plan); err != nil {
			t.Fatal(err)
		}
		if read := plan[0].Plan.Hit + plan[0].Plan.Read; read > 20 {
			t.Errorf("after %q it reads %d pages", known, read)
		}
	}
}
