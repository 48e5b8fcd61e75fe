package relay_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// aged makes all batches older than the time for which they are kept.
func (w *world) aged(t *testing.T) {
	t.Helper()
	w.sql(t, `update tactus.relay_batches set committed_at = committed_at - interval '8 days'`)
}

// TestPruneBatches checks that batches that a sink lacks and young batches are kept, and that an emptied stream begins
// a new epoch after pruning.
func TestPruneBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	route := w.events()
	var trimmed []relay.ID
	route.Trim = func(_ context.Context, before relay.ID) error {
		trimmed = append(trimmed, before)
		return nil
	}
	r, _ := w.relay(t, relay.Config{}, route)
	batches := func() int64 { return w.number(t, `select count(*) from tactus.relay_batches`) }
	for range 5 {
		w.put(t, "a", 1)
		w.awaitEvents(t)
	}
	before := batches()
	if err := r.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := batches(); n != before || n < 5 {
		t.Errorf("%d young batches are left of %d", n, before)
	}
	w.aged(t)
	w.put(t, "b", 1)
	w.awaitEvents(t)
	if err := r.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := batches(); n != 2 {
		t.Errorf("%d batches are left: want the young one and the one before it", n)
	}
	if want := fmt.Sprint(relay.ID{Batch: before + 1}); len(trimmed) < 2 || trimmed[len(trimmed)-1].String() != want {
		t.Errorf("trimmed before %v, want %s", trimmed, want)
	}
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "a new epoch", func() error {
		if all := w.ids(t); len(all) == 0 || !strings.HasSuffix(all[0], "-0") {
			return fmt.Errorf("the stream has %v", all)
		}
		return nil
	})
	if report := w.awaitEvents(t); report.StreamEntries != 2 {
		t.Errorf("%+v", report)
	}
}

// maintain maintains partitions until none is deferred.
func (w *world) maintain(t *testing.T) {
	t.Helper()
	testenv.Eventually(t, "no partition is put off", func() error {
		did, err := outbox.Maintain(t.Context(), w.pool, time.Now(), outbox.Retention{Runs: 1000 * time.Hour, Keys: time.Hour})
		if err == nil && len(did.Deferred) > 0 {
			err = fmt.Errorf("%v are", did.Deferred)
		}
		return err
	})
}

// TestPruneRunEvents drops a partition of run events once both sinks have had all of its events for long enough.
func TestPruneRunEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.tasks(t)
	other.Name = "other"
	other.Sink, other.Encode = w.otherTasks(t), nothing
	r, _ := w.relay(t, relay.Config{}, w.tasks(t))
	partitions := func() int64 {
		return w.number(t, `select count(*) from pg_inherits where inhparent = 'tactus.outbox_run'::regclass`)
	}
	all := w.fire(t, "q", 3)
	w.awaitTasks(t, "q", all)
	w.maintain(t)
	w.sql(t, `select setval('tactus.outbox_position', 5000000)`)
	w.aged(t)
	before := partitions()
	_, stop := w.relay(t, relay.Config{}, other)
	testenv.Eventually(t, "the other sink registered", func() error {
		if w.number(t, `select count(*) from tactus.relay_sinks`) < 2 {
			return errNotYet
		}
		return nil
	})
	stop()
	keeps := func(why string) {
		t.Helper()
		if err := r.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := partitions(); n != before {
			t.Errorf("%s: %d partitions of %d", why, n, before)
		}
	}
	keeps("another sink has them not for long")
	w.sql(t, `update tactus.relay_batches set committed_at = committed_at - interval '8 days' where sink = 'other'`)
	w.sql(t, `update tactus.relay_sinks set confirmed_batch = 0, confirmed_place = 0 where sink = 'other'`)
	keeps("another sink does not have them")
	w.sql(t, `update tactus.relay_sinks set confirmed_batch = 1, confirmed_place = 3 where sink = 'other'`)
	testenv.Eventually(t, "the partition is dropped, since all have what is in it", func() error {
		if err := r.Prune(t.Context()); err != nil {
			return err
		}
		if n := partitions(); n != before-1 { // a try may be deferred: it waits only a tenth of a second for a lock
			return fmt.Errorf("%d partitions of %d", n, before)
		}
		return nil
	})
	all = append(all, w.fire(t, "q", 1)...)
	w.awaitTasks(t, "q", all)
}

// TestSinkAwayBeyondRetention has a sink of tasks away for four times as long as batches and run events are kept, while
// another one is served. It gets everything once it is back.
func TestSinkAwayBeyondRetention(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, w.tasks(t))
	all := w.fire(t, "q", 3)
	w.awaitTasks(t, "q", all)
	stop()
	other := w.tasks(t)
	other.Name = "other"
	other.Sink, other.Encode = w.otherTasks(t), nothing
	r, _ := w.relay(t, relay.Config{}, other)
	all = append(all, w.fire(t, "q", 4)...)
	testenv.Eventually(t, "the other sink served", func() error {
		if w.number(t, `select coalesce(sum(row_count), 0)::bigint from tactus.relay_batches where sink = 'other'`) < 7 {
			return errNotYet
		}
		return nil
	})
	w.maintain(t)
	w.sql(t, `select setval('tactus.outbox_position', 5000000)`)
	for range 4 {
		w.aged(t)
	}
	w.sql(t, `update tactus.outbox set occurred_at = occurred_at - interval '32 days'`)
	if err := r.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.carry(t, w.tasks(t))
	w.awaitTasks(t, "q", all)
	all = append(all, w.fire(t, "q", 1)...)
	w.awaitTasks(t, "q", all)
}

// TestPruneWhileTheClockIsAhead sets PostgreSQL's clock ten years ahead, as it may be for a minute. No batch counts as
// old, and nothing is trimmed.
func TestPruneWhileTheClockIsAhead(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	w := at(t, testenv.Connect(t, direct), testenv.Redis(t))
	route := w.events()
	_, stop := w.relay(t, relay.Config{}, route)
	for range 3 {
		w.put(t, "a", 1)
		w.awaitEvents(t)
	}
	stop()
	before := w.number(t, `select count(*) from tactus.relay_batches`)
	for _, sql := range []string{
		`create schema own`,
		`create function own.clock_timestamp() returns timestamptz language sql as
			'select pg_catalog.clock_timestamp() + interval ''10 years'''`,
		`do $$ begin execute format('alter database %I set search_path = own, pg_catalog', current_database()); end $$`,
	} {
		w.sql(t, sql)
	}
	route.Trim = func(_ context.Context, before relay.ID) error {
		if oldest := w.number(t, `select min(number) from tactus.relay_batches`); before.Batch > oldest {
			t.Errorf("trimmed before %s, and the oldest batch is %d", before, oldest)
		}
		return nil
	}
	r, _ := at(t, testenv.Connect(t, direct), w.redis).relay(t, relay.Config{}, route)
	w.put(t, "b", 1)
	w.awaitEvents(t)
	if err := r.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.number(t, `select count(*) from tactus.relay_batches`); n <= before {
		t.Errorf("%d batches are left of more than %d", n, before)
	}
}
