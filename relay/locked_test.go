package relay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// lock locks the row of a run, as a transaction does that writes to it, until rollback is called.
func (w *world) lock(t *testing.T, run string) (rollback func()) {
	t.Helper()
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `select from tactus.runs where id::text = $1 for update`, pgx.QueryExecModeExec, run); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitHandedOver waits until a queue has a number of tasks, and all runs that are not locked are sent.
func (w *world) awaitHandedOver(t *testing.T, queue string, tasks int, due int64) {
	t.Helper()
	testenv.Eventually(t, "tasks handed over", func() error {
		if n, still := len(w.handed(t, queue)), w.number(t, `select count(*) from tactus.runs where status = 'due'`); n != tasks || still != due {
			return fmt.Errorf("%d tasks, %d due", n, still)
		}
		return nil
	})
}

// TestLockedRunIsConfirmedLater locks a run while it is confirmed, and then rolls back. An idle relay confirms the run,
// and so does another relay after a crash. The first one knows when the sink had taken the run, and says so.
func TestLockedRunIsConfirmedLater(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %t", crash), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			all := w.fire(t, "q", 5)
			rollback := w.lock(t, all[2])
			stop := w.carry(t, w.tasks(t))
			w.awaitHandedOver(t, "q", 5, 1)
			all = append(all, w.fire(t, "q", 3)...)
			w.awaitHandedOver(t, "q", 8, 1)
			taken := w.clock(t)
			if crash {
				stop()
				rollback()
				w.carry(t, w.tasks(t))
			} else {
				rollback()
			}
			w.awaitTasks(t, "q", all)
			testenv.Eventually(t, "the confirmed place at the end", func() error {
				if w.number(t, `select count(*) from tactus.relay_sinks s join tactus.relay_batches b using (sink)
					where (b.number, b.row_count) > (s.confirmed_batch, s.confirmed_place)`) > 0 {
					return errNotYet
				}
				return nil
			})
			if n := w.number(t, `select count(*) from tactus.runs where sent_at > $1`, taken); !crash && n > 0 {
				t.Errorf("%d runs were handed over after the sink had taken them", n)
			}
		})
	}
}

// TestLockedRunIsNotHandedOverTwice restores the database before a locked run is confirmed.
func TestLockedRunIsNotHandedOverTwice(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"another timeline": `update tactus.relay_sinks set timeline = 'another'`,
		"gone back":        `delete from tactus.relay_batches where number = (select max(number) from tactus.relay_batches)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			all := w.fire(t, "q", 5)
			rollback := w.lock(t, all[2])
			stop := w.carry(t, w.tasks(t))
			w.awaitHandedOver(t, "q", 5, 1)
			all = append(all, w.fire(t, "q", 3)...)
			w.awaitHandedOver(t, "q", 8, 1)
			stop()
			rollback()
			w.sql(t, change)
			all = append(all, w.fire(t, "q", 2)...)
			w.carry(t, w.tasks(t))
			w.awaitTasks(t, "q", all)
		})
	}
}

// TestLockedRunIsSetAside locks a run that can never be handed over. All others are handed over, and this run is ended
// when the lock is gone, by this relay or the next one.
func TestLockedRunIsSetAside(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprintf("crash %t", crash), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := w.redis.Set(t.Context(), "bad", "not a list", 0).Err(); err != nil {
				t.Fatal(err)
			}
			all := w.fire(t, "q", 2)
			bad := w.fire(t, "bad", 1)[0]
			rollback := w.lock(t, bad)
			all = append(all, w.fire(t, "q", 2)...)
			stop := w.carry(t, w.tasks(t))
			w.awaitTasks(t, "q", all)
			if n := w.number(t, `select count(*) from tactus.runs where id::text = $1 and status = 'due'`, bad); n != 1 {
				t.Error("the locked run is not due")
			}
			if crash {
				stop()
				w.redis.Del(t.Context(), "bad") // mended: it stays aside all the same
			}
			rollback()
			if crash {
				w.carry(t, w.tasks(t))
			}
			testenv.Eventually(t, "the run has failed", func() error {
				if w.number(t, `select count(*) from tactus.runs where id::text = $1 and status = 'failed' and error like '%WRONGTYPE%'`, bad) == 0 {
					return errNotYet
				}
				return nil
			})
			if crash && len(w.handed(t, "bad")) > 0 {
				t.Error("it was handed over")
			}
		})
	}
}

// TestLockedSinkDelaysNoTask locks the row of a sink in the ledger. Runs that fire meanwhile are handed over and
// confirmed, and the confirmed place is written once the lock is gone.
func TestLockedSinkDelaysNoTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fire(t, "q", 2)
	w.carry(t, w.tasks(t))
	w.awaitHandedOver(t, "q", 2, 0)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.relay_sinks for update`); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		w.fire(t, "q", 1)
		w.awaitHandedOver(t, "q", 3+n, 0)
	}
	kept := `select confirmed_batch from tactus.relay_sinks`
	before := w.number(t, kept)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.fire(t, "q", 1)
	testenv.Eventually(t, "the place is kept", func() error {
		if now := w.number(t, kept); now <= before+3 {
			return fmt.Errorf("batch %d, before %d", now, before)
		}
		return nil
	})
}

// TestLockedPartitionDelaysNoTask builds an index on an empty partition of the runs, and then locks that partition
// altogether.
func TestLockedPartitionDelaysNoTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t, w.tasks(t))
	first := w.fire(t, "q", 3)
	w.awaitTasks(t, "q", first)
	w.awaitHandedOver(t, "q", 3, 0)
	for n, mode := range []string{"share", "access exclusive"} {
		tx, err := w.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), `lock table tactus.runs_default in `+mode+` mode`); err != nil {
			t.Fatal(err)
		}
		w.fire(t, "q", 3)
		testenv.Eventually(t, "tasks are handed over and confirmed", func() error {
			var sent int
			if err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = 'sent' and due_at > $1 and due_at < $2`,
				pgx.QueryExecModeExec, time.Now().Add(-time.Hour), time.Now().Add(time.Hour)).Scan(&sent); err != nil {
				return err
			}
			if want := 3 * (n + 2); len(w.handed(t, "q")) != want || sent != want {
				return fmt.Errorf("%d tasks, %d sent", len(w.handed(t, "q")), sent)
			}
			return nil
		})
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
