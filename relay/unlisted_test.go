package relay_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// broken makes a queue refuse all entries.
func (w *world) broken(t *testing.T, queue string) {
	t.Helper()
	if err := w.redis.Set(t.Context(), queue, "not a list", 0).Err(); err != nil {
		t.Fatal(err)
	}
}

// awaitNumber waits until a query returns a number.
func (w *world) awaitNumber(t *testing.T, what string, want int64, sql string) {
	t.Helper()
	testenv.Eventually(t, what, func() error {
		if n := w.number(t, sql); n != want {
			return fmt.Errorf("%d, want %d", n, want)
		}
		return nil
	})
}

const (
	unlistedRuns = `select count(*) from tactus.unlisted u join tactus.runs r on u.reference = r.id || '/1' and u.source = 'celery'
		and r.status = 'failed' and r.error = 'it could not be handed over: ' || u.reason`
	listedRuns = `select count(*) from tactus.deadletters d join tactus.runs r on d.reference = r.id || '/1' and d.source = 'celery'
		and r.status = 'failed' and r.error = 'it could not be handed over: ' || d.reason`
)

// TestLockedLettersStopNoOtherQueue locks the whole table of the dead letters while one queue refuses all entries. All
// other queues go on. Refused entries are set aside at once, and their runs end; they are listed when the lock is gone.
func TestLockedLettersStopNoOtherQueue(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"access exclusive", "share"} {
		for _, starts := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/starts %t", mode, starts), func(t *testing.T) {
				t.Parallel()
				w, other := bounded(t)
				w.broken(t, "bad")
				all := other.fire(t, "q", 2)
				var r *relay.Relay
				if !starts {
					r, _ = w.relay(t, relay.Config{}, w.tasks(t))
					other.awaitSent(t, "q", all)
				}
				free := other.lockTableIn(t, "tactus.deadletters", mode)
				other.fire(t, "bad", 1)
				all = append(all, other.fire(t, "q", 2)...)
				if starts {
					r, _ = w.relay(t, relay.Config{}, w.tasks(t))
				}
				other.awaitTasks(t, "q", all)
				other.fire(t, "bad", 2)
				all = append(all, other.fire(t, "q", 2)...)
				other.awaitTasks(t, "q", all)
				other.awaitNumber(t, "set aside with their runs", 3, unlistedRuns)
				if err := relay.ListUnlisted(r, t.Context()); err != nil {
					t.Errorf("while the table is locked: %v", err)
				}
				free()
				other.fire(t, "bad", 1)
				testenv.Eventually(t, "all are listed", func() error {
					if err := relay.ListUnlisted(r, t.Context()); err != nil {
						return err
					}
					if listed, not := other.number(t, listedRuns), other.number(t, unlistedRuns); listed != 4 || not != 0 {
						return fmt.Errorf("%d are listed, %d are not", listed, not)
					}
					return nil
				})
			})
		}
	}
}

// TestUnlistedStaysAside is TestSetAsideStaysAside with a locked table of dead letters and a locked run: only
// tactus.unlisted shows that the run was set aside. The run ends when its lock is gone.
func TestUnlistedStaysAside(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	w.broken(t, "bad")
	all := other.fire(t, "q", 2)
	stop := w.carry(t, w.tasks(t))
	other.awaitSent(t, "q", all)
	stop()
	free := other.lockTable(t, "tactus.deadletters")
	bad := other.fire(t, "bad", 1)
	unlock := other.lock(t, bad[0])
	all = append(all, other.fire(t, "q", 2)...)
	route := w.tasks(t)
	route.Sink = &interrupted{Sink: route.Sink}
	stop = w.carry(t, route)
	other.awaitNumber(t, "set aside", 1, `select count(*) from tactus.unlisted`)
	stop()
	w.redis.Del(t.Context(), "bad")
	stop = w.carry(t, w.tasks(t)) // the table is still locked
	other.awaitTasks(t, "q", all)
	stop()
	free()
	w.redis.Del(t.Context(), "q")
	w.carry(t, w.tasks(t))
	all = other.fire(t, "q", 1)
	other.awaitTasks(t, "q", all)
	if ids := w.handed(t, "bad"); len(ids) != 0 {
		t.Errorf("handed over: %v", ids)
	}
	const ended = `select count(*) from tactus.runs where status = 'failed'`
	if n := other.number(t, ended); n != 0 {
		t.Error("a locked run has ended")
	}
	unlock()
	other.awaitNumber(t, "the run ends", 1, ended)
	other.awaitNumber(t, "the upkeep lists the letter", 1, listedRuns)
}

// TestListsLetters lists more letters than are moved at once, in the order in which they were set aside. A locked one
// is left for later, and one that was dropped before stays dropped.
func TestListsLetters(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	other.sql(t, `insert into tactus.unlisted (source, reference, reason, data, created_at)
		select 'celery', n || '/1', 'because', repeat('x', 1000000), now() - n * interval '1 second' from generate_series(1, 12) n`)
	other.sql(t, `insert into tactus.deadletters (source, reference, reason, data, dropped_at)
		select source, reference, reason, data, clock_timestamp() from tactus.unlisted where reference = '7/1'`)
	tx, err := other.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
	if _, err := tx.Exec(t.Context(), `select from tactus.unlisted where reference = '5/1' for update`); err != nil {
		t.Fatal(err)
	}
	r, err := relay.New(w.pool, nil, relay.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for want, step := range []func() error{
		func() error { return nil }, func() error { return tx.Rollback(t.Context()) },
	} {
		err := errors.Join(step(), relay.ListUnlisted(r, t.Context()))
		if n := other.number(t, `select count(*) from tactus.unlisted`); err != nil || n != int64(1-want) {
			t.Fatalf("%d are unlisted (%v), want %d", n, err, 1-want)
		}
	}
	var order []string
	if err := other.pool.QueryRow(t.Context(), `select array_agg(reference order by id) from tactus.deadletters
		where dropped_at is null and created_at < now() and reason = 'because' and data = repeat('x', 1000000)`).Scan(&order); err != nil {
		t.Fatal(err)
	}
	if want := []string{"12/1", "11/1", "10/1", "9/1", "8/1", "6/1", "4/1", "3/1", "2/1", "1/1", "5/1"}; !slices.Equal(order, want) {
		t.Errorf("they are listed as %v, want %v", order, want)
	}
}

// TestEventIsUnlisted sets an event aside while the table of the dead letters is locked. Verify does not take it for
// lost.
func TestEventIsUnlisted(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	other.put(t, "s", 3)
	route := w.events()
	encode := route.Encode
	route.Encode = func(row outbox.Row, epoch string) (*message.Message, error) {
		if row.Version == 2 {
			return nil, fmt.Errorf("it is bad")
		}
		return encode(row, epoch)
	}
	free := other.lockTable(t, "tactus.deadletters")
	w.carry(t, route)
	other.awaitNumber(t, "set aside", 1, `select count(*) from tactus.unlisted where source = 'events' and reason = 'it is bad'`)
	free()
	other.awaitEvents(t)
}

// TestSetsAsideOnTheSchemaBefore runs on a schema without tactus.unlisted.
func TestSetsAsideOnTheSchemaBefore(t *testing.T) {
	t.Parallel()
	w, other := bounded(t)
	other.sql(t, `drop table tactus.unlisted`)
	w.broken(t, "bad")
	all := other.fire(t, "q", 2)
	stop := w.carry(t, w.tasks(t))
	other.awaitSent(t, "q", all)
	stop()
	bad := other.fire(t, "bad", 1)
	unlock := other.lock(t, bad[0])
	all = append(all, other.fire(t, "q", 1)...)
	route := w.tasks(t)
	route.Sink = &interrupted{Sink: route.Sink}
	stop = w.carry(t, route)
	other.awaitNumber(t, "set aside", 1, `select count(*) from tactus.deadletters`)
	stop()
	w.redis.Del(t.Context(), "bad")
	r, _ := w.relay(t, relay.Config{}, w.tasks(t))
	other.awaitTasks(t, "q", all)
	if ids := w.handed(t, "bad"); len(ids) != 0 {
		t.Errorf("handed over: %v", ids)
	}
	unlock()
	other.awaitNumber(t, "the run ends", 1, listedRuns)
	if err := relay.ListUnlisted(r, t.Context()); err != nil {
		t.Error(err)
	}
	free := other.lockTable(t, "tactus.deadletters")
	w.broken(t, "bad")
	other.fire(t, "bad", 1)
	all = append(all, other.fire(t, "q", 1)...)
	w.awaitProblem(t, r, "has locked the table tactus.deadletters")
	free()
	other.awaitTasks(t, "q", all)
	other.awaitNumber(t, "set aside", 2, listedRuns)
}
