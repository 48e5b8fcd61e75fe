package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// bounded returns a world whose relays do not wait long for locks, like those of the program, and another world on the
// same servers.
func bounded(t *testing.T) (w, beside *world) {
	t.Helper()
	url := testenv.DirectURL(t)
	pool, err := postgres.OpenBounded(t.Context(), url, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	client := testenv.Redis(t)
	return at(t, pool, client), at(t, testenv.Connect(t, url), client)
}

// lockTable locks a table until free is called, or the test ends.
func (w *world) lockTable(t *testing.T, table string) (free func()) {
	t.Helper()
	return w.lockTableIn(t, table, "access exclusive")
}

func (w *world) lockTableIn(t *testing.T, table, mode string) (free func()) {
	t.Helper()
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	free = func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }
	t.Cleanup(free)
	if _, err := tx.Exec(t.Context(), `lock table `+table+` in `+mode+` mode`); err != nil {
		t.Fatal(err)
	}
	return free
}

// failing is a sink that takes nothing while it is set to, and then fails a number of times more.
type failing struct {
	relay.Sink
	holds atomic.Bool
	fails atomic.Int64
}

func (f *failing) Claim(o ledger.Owner) { f.Sink.(relay.Claimer).Claim(o) }

func (f *failing) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if f.holds.Load() || f.fails.Add(-1) >= 0 {
		return relay.Mark{}, errors.New("the sink takes nothing")
	}
	return f.Sink.Append(ctx, at, entries)
}

// copyRun fires a copy of a run, by statements that need only the tables of runs and of events.
func (w *world) copyRun(t *testing.T, run string) string {
	t.Helper()
	id, now := uuid.NewString(), time.Now()
	if _, err := w.pool.Exec(t.Context(), `
with copied as (
    insert into tactus.runs select n.* from tactus.runs r, jsonb_populate_record(r,
        jsonb_build_object('id', $2::text, 'slot', $2::text, 'status', 'due', 'sent_at', null)) n
    where r.id = $1::text::uuid and r.due_at > $3 and r.due_at < $4
)
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers)
select topic, $2::text::uuid, 1, type, replace(data::text, $1, $2)::json, headers
from tactus.outbox where topic = 'run' and aggregate_id = $1::text::uuid`, pgx.QueryExecModeExec, run, id,
		now.Add(-time.Hour), now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	return id
}

// awaitSent waits until a queue has exactly these tasks, in any order, and they are sent.
func (w *world) awaitSent(t *testing.T, queue string, want []string) {
	t.Helper()
	w.awaitSentOf(t, queue, want, len(want))
}

// awaitSentOf is awaitSent if only some are to be sent. It does not read other partitions of the runs.
func (w *world) awaitSentOf(t *testing.T, queue string, want []string, some int) {
	t.Helper()
	testenv.Eventually(t, "tasks are handed over and confirmed", func() error {
		got, wanted := slices.Sorted(slices.Values(w.handed(t, queue))), slices.Sorted(slices.Values(want))
		if !slices.Equal(got, wanted) {
			return fmt.Errorf("queue %s has the tasks %v, want %v", queue, got, wanted)
		}
		sent, now := 0, time.Now()
		err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.runs
			where status = 'sent' and due_at > $1 and due_at < $2`, pgx.QueryExecModeExec,
			now.Add(-time.Hour), now.Add(time.Hour)).Scan(&sent)
		if err == nil && sent != some {
			err = fmt.Errorf("%d of %d are sent, want %d", sent, len(want), some)
		}
		return err
	})
}

// TestLockedTableStopsNoLane locks a whole table that handing over can do without, or a partition of the runs in which
// nothing is due. A relay that starts then, and a lane that fails then, hand over earlier and later runs.
func TestLockedTableStopsNoLane(t *testing.T) {
	t.Parallel()
	for _, table := range []string{
		"runs_default", "runs of the newest month", "deadletters", "unlisted", "refusals", "installation", "routes",
		"notification_rules", "notification_failing", "cancellations", "unjudged", "stream_claims", "stream_keys",
		"cancellations, tactus.runs_default", "routes, tactus.living_routes", "calendars",
	} {
		for _, starts := range []bool{true, false} {
			if starts && table == "installation" {
				continue // TestStartsOnceTheInstallationIsFree
			}
			t.Run(fmt.Sprintf("%s/starts %t", table, starts), func(t *testing.T) {
				t.Parallel()
				w, other := bounded(t)
				route := w.tasks(t)
				sink := &failing{Sink: route.Sink}
				route.Sink = sink
				all := other.fire(t, "q", 3)
				stop := w.carry(t, route)
				other.awaitSent(t, "q", all)
				if starts {
					stop()
				}
				sink.holds.Store(true)
				all = append(all, other.fire(t, "q", 3)...)
				other.lockTable(t, other.tableNamed(t, table))
				all = append(all, other.copyRun(t, all[0]))
				sink.fails.Store(1)
				sink.holds.Store(false)
				if starts {
					w.carry(t, route)
				}
				other.awaitSent(t, "q", all)
				all = append(all, other.copyRun(t, all[0]))
				other.awaitSent(t, "q", all)
				if sink.fails.Load() >= 0 {
					t.Error("the lane has not failed")
				}
			})
		}
	}
}

// TestLockedRunNeedsNoOtherPartition locks a run while an empty partition of the runs is locked. All other runs are
// confirmed, and this one when its lock is gone.
func TestLockedRunNeedsNoOtherPartition(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	all := other.fire(t, "q", 3)
	other.lockTable(t, "tactus.runs_default")
	tx, err := other.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `select from tactus.runs where id = $1::text::uuid and due_at > $2 and due_at < $3 for update`,
		pgx.QueryExecModeExec, all[1], time.Now().Add(-time.Hour), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	w.carry(t, w.tasks(t))
	other.awaitSentOf(t, "q", all, 2)
	all = append(all, other.copyRun(t, all[0]))
	other.awaitSentOf(t, "q", all, 3)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.awaitSentOf(t, "q", all, 4)
}

// tableNamed returns the name of a table, or of the newest partition of the runs.
func (w *world) tableNamed(t *testing.T, name string) string {
	t.Helper()
	if name == "runs of the newest month" {
		if err := w.pool.QueryRow(t.Context(), `select max(relname) from pg_inherits join pg_class c on c.oid = inhrelid
			where inhparent = 'tactus.runs'::regclass and relname <> 'runs_default'`).Scan(&name); err != nil {
			t.Fatal(err)
		}
	}
	return "tactus." + name
}

// TestStartsOnceTheInstallationIsFree starts a relay while the table of the installation is locked. The relay reports
// who holds the lock, and goes on by itself.
func TestStartsOnceTheInstallationIsFree(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	all := other.fire(t, "q", 3)
	free := other.lockTable(t, "tactus.installation")
	r, _ := w.relay(t, relay.Config{}, w.tasks(t))
	w.awaitProblem(t, r, "has locked the table tactus.installation")
	free()
	other.awaitSent(t, "q", all)
}

// TestEmptySinkWaitsForRefusals makes a sink lose its mark while the table of the refusals is locked. Whether or not
// the sink belonged to another owner, it is given nothing as long as this is not known.
func TestEmptySinkWaitsForRefusals(t *testing.T) {
	t.Parallel()
	for _, foreign := range []bool{false, true} {
		t.Run(fmt.Sprintf("foreign %t", foreign), func(t *testing.T) {
			t.Parallel()
			w, other := bounded(t)
			all := other.fire(t, "q", 3)
			r, _ := w.relay(t, relay.Config{}, w.tasks(t))
			other.awaitSent(t, "q", all)
			if foreign {
				place := w.tasks(t).Sink.(interface{ Place() string }).Place()
				if err := ledger.Refuse(t.Context(), other.pool, place, "somebody else"); err != nil {
					t.Fatal(err)
				}
			}
			free := other.lockTable(t, "tactus.refusals")
			if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			w.awaitProblem(t, r, "whether another has owned it is not known: pid ")
			if n := len(w.handed(t, "q")); n > 0 {
				t.Errorf("%d tasks were handed over", n)
			}
			free()
			if foreign {
				w.awaitProblem(t, r, "is empty now, and belonged to another installation (somebody else;")
			} else {
				other.awaitAgain(t, "q", all)
			}
		})
	}
}

// awaitProblem waits until a relay reports the wanted problem.
func (w *world) awaitProblem(t *testing.T, r *relay.Relay, want string) {
	t.Helper()
	testenv.Eventually(t, "the relay says why it waits", func() error {
		if problem := r.Stats()[0].Problem; problem == nil || !strings.Contains(problem.Error(), want) {
			return fmt.Errorf("it says %v, want %q", problem, want)
		}
		return nil
	})
}
