package beat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestClock extrapolates PostgreSQL's time, through anchors that are late, early and hours off.
func TestClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var c clock
		for _, step := range []struct {
			what    string
			passes  time.Duration // on this machine
			takes   time.Duration // until an answer comes
			says    time.Duration // Postgres, of its time since the beginning; negative when it is not asked
			steps   time.Duration // for certain
			want    time.Duration
			wantFor string
		}{
			{"first asked", 0, 0, 0, 0, 0, "Postgres' time"},
			{"not asked", 3 * time.Second, 0, -1, 0, 3 * time.Second, "carried on"},
			{"the answer was long on its way", 0, time.Second, 3100 * time.Millisecond, 0, 3100 * time.Millisecond, "never early, and no step"},
			{"the next one was not", 0, 0, 3900 * time.Millisecond, 0, 3900 * time.Millisecond, "anchored, and no step"},
			{"a step forward", time.Second, 0, time.Hour + 4900*time.Millisecond, time.Hour, time.Hour + 4900*time.Millisecond, "as Postgres says"},
			{"a step back", time.Second, 0, 5900 * time.Millisecond, -time.Hour, 5900 * time.Millisecond, "as Postgres says"},
			{"not asked", time.Minute, 0, -1, 0, time.Minute + 5900*time.Millisecond, "it goes on"},
			{"a step while it was asked", 0, 2 * time.Second, 0, -time.Minute - 5900*time.Millisecond, 0, "the least that is certain"},
		} {
			time.Sleep(step.passes)
			if step.says >= 0 {
				asked := time.Now()
				time.Sleep(step.takes)
				if got := c.anchor(asked, server.Add(step.says)); got != step.steps {
					t.Errorf("%s: it stepped by %s, want %s", step.what, got, step.steps)
				}
				if got, want := c.ahead(), time.Since(server.Add(step.says)); got != want {
					t.Errorf("%s: the local clock is %s ahead, want %s", step.what, got, want)
				}
			}
			if got := c.now().Sub(server); got != step.want {
				t.Errorf("%s: %s since the beginning, want %s: %s", step.what, got, step.want, step.wantFor)
			}
		}
	})
}

// runningClock is Postgres' clock, shifted as the test says.
const runningClock = `
create schema own;
create table own.clock as select interval '0' as shift;
create function own.clock_timestamp() returns timestamptz language sql volatile as 'select pg_catalog.clock_timestamp() + (select shift from own.clock)';
create function own.statement_timestamp() returns timestamptz language sql stable as 'select pg_catalog.statement_timestamp() + (select shift from own.clock)';
do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`

// newRunningWorld is a world whose clock runs, and can be shifted.
func newRunningWorld(t *testing.T) *world {
	t.Helper()
	direct := testenv.DirectURL(t)
	if _, err := testenv.Connect(t, direct).Exec(t.Context(), runningClock); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, url: direct, pool: testenv.Connect(t, direct)}
	w.store = outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	return w
}

// shift makes the clock step.
func (w *world) shift(by string) {
	w.Helper()
	w.execute(`update own.clock set shift = $1::text::interval`, by)
}

// running starts a beat that runs until the test ends.
func (w *world) running(name string) *Beat {
	w.Helper()
	b, err := New(w.pool, nil, Config{Name: name, Log: slog.New(slog.NewTextHandler(w.Output(), nil))})
	if err != nil {
		w.Fatal(err)
	}
	ctx, stop := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			w.Error(err)
		}
	})
	return b
}

// TestPostgresClockSteps runs two beats while PostgreSQL's clock goes forward by five minutes, and back again.
// Schedules that are created afterwards fire when they are due by that clock, without delay and not early.
func TestPostgresClockSteps(t *testing.T) {
	t.Parallel()
	w := newRunningWorld(t)
	beats := [2]*Beat{w.running("beat-0"), w.running("beat-1")}
	before := w.fires("before")
	for n, shift := range []string{"5 min", "0"} {
		w.shift(shift)
		testenv.Eventually(t, "both have noticed the step", func() error {
			for _, b := range beats {
				if s := b.Stats(); s.Steps < int64(n+1) {
					return fmt.Errorf("%s: %d steps, the last one by %s", b.cfg.Name, s.Steps, s.Step)
				}
			}
			return nil
		})
	}
	var back, soon time.Time
	if err := w.pool.QueryRow(t.Context(), `select clock_timestamp(), clock_timestamp() + interval '4 min'`).Scan(&back, &soon); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "what was there before goes on", func() error {
		if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and until is null and due_at > $2 and due_at <= clock_timestamp()`,
			before.ID, back); n < 3 {
			return fmt.Errorf("%d runs", n)
		}
		return nil
	})
	once := w.create(fmt.Sprintf(`{"run_at": %q, "task_name": "app.task"}`, soon.Format(time.RFC3339Nano)))
	w.fires("after")
	if early := w.count(`select count(*) from tactus.runs where schedule_id = $1 and clock_timestamp() < due_at`, once.ID); early > 0 {
		t.Errorf("it fires up to four minutes early: %v", w.runs(once.ID))
	}
	if n := w.count(`select count(*) from tactus.runs where fired_at < due_at`); n > 0 {
		t.Errorf("%d runs were fired before they were due", n)
	}
}

// TestAcceptedAtTheEdgeFires creates schedules that are due once, within milliseconds of their creation, while
// PostgreSQL's clock steps back and forth. Each accepted schedule has a run or a reason.
func TestAcceptedAtTheEdgeFires(t *testing.T) {
	t.Parallel()
	w := newRunningWorld(t)
	w.running("a")
	var accepted, refused int
	for n := range 300 {
		if n%50 == 25 {
			w.shift(fmt.Sprintf("%d ms", rand.N(4000)-2000))
		}
		var now time.Time
		if err := w.pool.QueryRow(t.Context(), `select clock_timestamp()`).Scan(&now); err != nil {
			t.Fatal(err)
		}
		_, err := w.store.Create(t.Context(), domain.Definition{RunAt: now.Add(rand.N(12 * time.Millisecond)).Format(time.RFC3339Nano), TaskName: "app.task"}, "", nil)
		switch {
		case err == nil:
			accepted++
		case errors.Is(err, &domain.Error{Code: "at_in_past"}):
			refused++
		default:
			t.Fatal(err)
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	testenv.Eventually(t, "all have a run or a reason", func() error {
		if n := w.count(`select count(*) from tactus.schedules s where not exists (select from tactus.runs r where r.schedule_id = s.id)`); n > 0 || accepted == 0 {
			return fmt.Errorf("%d of %d have not", n, accepted)
		}
		return nil
	})
}

// TestPostgresClockWentBackSince makes a beat decide by a clock that has gone back since the beat read it. Nothing
// fires early, and nothing is recorded as missed that is not late.
func TestPostgresClockWentBackSince(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(`, "misfire_policy": "none"`))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1).Add(-time.Second))
	for range 3 {
		if err := b.fire(t.Context(), a.due(5).UnixMicro()); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.expect(s.ID); err != nil {
		t.Error(err)
	}
	w.step(b, a.due(1))
	if err := w.expect(s.ID, a.run(1)); err != nil {
		t.Error(err)
	}
}

// TestPostgresClockGoesBackMeanwhile sets the clock back by an hour whenever it is read: a statement fires by the same
// reading by which it judges.
func TestPostgresClockGoesBackMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(""))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1).Add(-time.Second))
	w.setClock(a.due(1))
	w.execute(`create sequence own.readings minvalue 0;
		create or replace function own.clock_timestamp() returns timestamptz language sql volatile
			as 'select now - nextval(''own.readings'') * interval ''1 hour'' from own.clock'`)
	if err := b.fire(t.Context(), a.due(1).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if err := w.expect(s.ID, a.run(1)); err != nil {
		t.Error(err)
	}
	if n := w.count(`select count(*) from tactus.runs where fired_at < due_at`); n > 0 {
		t.Error("it was fired before it was due")
	}
}

// fires creates a schedule, and waits for some of its runs. A beat that still went by the old clock would exceed the
// test's patience.
func (w *world) fires(name string) domain.Schedule {
	w.Helper()
	s := w.create(fmt.Sprintf(`{"name": %q, "interval_seconds": 1, "task_name": "app.task"}`, name))
	testenv.Eventually(w, name+": it fires", func() error {
		if len(w.runs(s.ID)) < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	return s
}
