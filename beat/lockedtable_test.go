package beat

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// bounded makes a beat whose connections do not wait long for locks, and returns the beat and its log.
func (w *world) bounded() (*Beat, *bytes.Buffer) {
	w.Helper()
	with := "?"
	if strings.Contains(w.direct, "?") {
		with = "&"
	}
	var log bytes.Buffer
	b, err := New(testenv.Connect(w.T, w.direct+with+"lock_timeout=300"), nil, Config{Name: "bounded", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		w.Fatal(err)
	}
	if err := b.start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.step(b, w.now)
	return b, &log
}

// lock locks a table until free is called, or the test ends.
func (w *world) lock(table string) (free func()) {
	w.Helper()
	conn := testenv.Connect(w.T, w.direct)
	tx, err := conn.Begin(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = tx.Rollback(w.Context()) })
	if _, err := tx.Exec(w.Context(), `lock table `+table+` in access exclusive mode`); err != nil {
		w.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(w.Context()); err != nil {
			w.Fatal(err)
		}
	}
}

// TestLockedTableBesideTheWay locks for minutes a whole table that firing can do without. Everything fires in time,
// with its route, and missed due times are still told to rules.
func TestLockedTableBesideTheWay(t *testing.T) {
	t.Parallel()
	for _, table := range []string{
		"tactus.notification_rules", "tactus.notification_failing", "tactus.routes", "tactus.unjudged",
	} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.store.PutRoute(t.Context(), domain.Route{Pattern: "rou*", Queue: "of-route"}, nil); err != nil {
				t.Fatal(err)
			}
			s := w.create(minutely(`, "misfire_policy": "latest"`))
			routed := w.create(`{"task_name": "routed", "interval_seconds": 60, "misfire_policy": "all"}`)
			b, log := w.bounded()
			a := at{s}
			w.step(b, a.due(1))
			free := w.lock(table)
			w.step(b, a.due(2).Add(time.Second))
			w.step(b, a.due(5).Add(time.Second))
			if got, want := log.String(), table; !strings.Contains(got, want) || !strings.Contains(got, "pid ") {
				t.Errorf("the log does not say that somebody has locked %s:\n%s", want, got)
			}
			for _, innocent := range []string{s.ID.String(), routed.ID.String(), "takes longer"} {
				if strings.Contains(log.String(), innocent) {
					t.Errorf("the log blames %s:\n%s", innocent, log)
				}
			}
			if err := w.expect(s.ID, a.run(1), a.run(2), a.missed(3, 4, domain.ReasonSuperseded), a.run(5)); err != nil {
				t.Error(err)
			}
			if n := w.count(`select count(*) from tactus.outbox where type = 'run.due' and data->>'queue' = 'of-route'
				and aggregate_id in (select id from tactus.runs where schedule_id = $1)`, routed.ID); n < 3 {
				t.Errorf("%d runs went by the route", n)
			}
			free()
		})
	}
}

// TestLockedRoutesAndTheirCopy locks the routes and their copy at once, and changes a route. Nothing fires by a route
// that may have changed, and what waited goes by the new route.
func TestLockedRoutesAndTheirCopy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.store.PutRoute(t.Context(), domain.Route{Pattern: "rou*", Queue: "old"}, nil); err != nil {
		t.Fatal(err)
	}
	s := w.create(`{"task_name": "routed", "interval_seconds": 60, "misfire_policy": "all"}`)
	b, log := w.bounded()
	a := at{s}
	w.step(b, a.due(1).Add(time.Second))
	tx, err := testenv.Connect(t, w.direct).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.routes, tactus.living_routes in access exclusive mode;
		update tactus.routes set queue = 'new'`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	before := w.recorded(s)
	for n := 2; n <= 3; n++ {
		w.setClock(a.due(n).Add(time.Second))
		if _, err := b.step(t.Context(), w.now.UnixMicro()); err != nil {
			t.Log(err)
		}
	}
	if n := w.recorded(s); n != before {
		t.Errorf("%d runs, %d before", n, before)
	}
	if !strings.Contains(log.String(), "has locked the table tactus.living_routes") {
		t.Errorf("it is not told:\n%s", log)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	later := a.due(3).Add(2 * time.Second)
	testenv.Eventually(t, "what waited fires", func() error {
		w.setClock(later)
		if _, err := b.step(t.Context(), later.UnixMicro()); err != nil {
			return err
		}
		later = later.Add(time.Second)
		if n := w.recorded(s); n < 3 {
			return fmt.Errorf("%d runs", n)
		}
		return nil
	})
	queues := `select count(*) from tactus.outbox where type = 'run.due' and data->>'queue' = $1`
	if old, now := w.count(queues, "old"), w.count(queues, "new"); old != 1 || now < 2 {
		t.Errorf("%d runs went by the former route, %d by the new one", old, now)
	}
}

// TestLockedSinksDelayNoFiring locks a table that says how far sinks are. Handing over waits for the same lock, but due
// times fire.
func TestLockedSinksDelayNoFiring(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"tactus.relay_sinks", "tactus.relay_batches"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(""))
			b, log := w.bounded()
			a := at{s}
			w.step(b, a.due(1))
			w.lock(table)
			for n := 2; n <= 4; n++ {
				b.backlog.unasked = unaskedFirings
				w.step(b, a.due(n).Add(time.Second)) // a step that fails ends the test
			}
			if err := w.expect(s.ID, a.run(1), a.run(2), a.run(3), a.run(4)); err != nil {
				t.Error(err)
			}
			if got := log.String(); !strings.Contains(got, "has locked the table "+table) {
				t.Errorf("it is not told:\n%s", got)
			}
		})
	}
}

// recorded counts the runs of a schedule of these days, without a look at other partitions.
func (w *world) recorded(s domain.Schedule) int {
	w.Helper()
	return w.count(`select count(*) from tactus.runs where schedule_id = $1 and due_at > $2 and due_at < $3`,
		pgx.QueryExecModeExec, s.ID, w.now.Add(-time.Hour), w.now)
}

// TestLockedPartitions locks a partition of the runs in which nothing is recorded. Schedules whose runs may overlap
// fire in time. The others have to read runs of all months, and fire when the partition is free.
func TestLockedPartitions(t *testing.T) {
	t.Parallel()
	for _, partition := range []string{"tactus.runs_default", "tactus.outbox_schedule_0", "tactus.outbox_run_5000000"} {
		t.Run(partition, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(""))
			counted := w.create(minutely(`, "max_runs": 100`))
			queued := w.create(minutely(`, "execution_policy": "queue", "misfire_policy": "all"`))
			counts := w.create(minutely(`, "execution_policy": "skip", "misfire_policy": "all", "max_runs": 100`))
			b, log := w.bounded()
			a := at{s}
			w.step(b, a.due(1).Add(time.Second))
			w.execute(`create table if not exists tactus.outbox_run_5000000 partition of tactus.outbox_run
				for values from (5000000) to (10000000)`)
			before := w.recorded(queued)
			free := w.lock(partition)
			for n := 2; n <= 4; n++ {
				w.setClock(a.due(n).Add(time.Second))
				for range 3 { // a part that reads runs of whatever month fails
					if _, err := b.step(t.Context(), w.now.UnixMicro()); err != nil {
						t.Log(err)
					}
				}
				for _, one := range []domain.Schedule{s, counted} {
					if runs := w.recorded(one); runs != n {
						t.Errorf("%d runs after %d due times", runs, n)
					}
				}
			}
			if strings.Contains(partition, "runs") {
				for _, one := range []domain.Schedule{queued, counts} {
					if runs := w.recorded(one); runs != before {
						t.Errorf("what may not overlap has %d runs", runs)
					}
				}
				if !strings.Contains(log.String(), "has locked the table "+partition) {
					t.Errorf("it is not told:\n%s", log)
				}
			}
			if strings.Contains(log.String(), "takes longer") {
				t.Errorf("an innocent is blamed:\n%s", log)
			}
			free()
			later := a.due(4).Add(20 * time.Second)
			testenv.Eventually(t, "what may not overlap has all its runs", func() error {
				w.setClock(later)
				if _, err := b.step(t.Context(), later.UnixMicro()); err != nil {
					return err
				}
				later = later.Add(time.Second)
				for _, one := range []domain.Schedule{queued, counts} {
					if runs := w.recorded(one); runs < 4 { // more come due while the beat looks who holds the lock
						return fmt.Errorf("%d runs", runs)
					}
				}
				return nil
			})
		})
	}
}
