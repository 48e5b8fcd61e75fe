package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

const sink = "events"

// open begins an epoch of an empty sink.
func open(t *testing.T, pool *pgxpool.Pool, epoch string) (ledger.State, *ledger.Reader) {
	t.Helper()
	before := life(t, pool)
	made, err := ledger.Open(t.Context(), pool, ledger.Opening{
		Sink: sink, Topic: outbox.Schedules, Was: before.Epoch, Epoch: epoch, Kind: ledger.FirstBatch,
		Number: before.Newest.Number + 1, Previous: outbox.Nothing,
	})
	if err != nil || !made {
		t.Fatalf("open: %v, %v", made, err)
	}
	l := life(t, pool)
	return l, l.Reader(pool, sink, outbox.Schedules, testenv.Patience)
}

func life(t *testing.T, pool *pgxpool.Pool) ledger.State {
	t.Helper()
	l, err := ledger.ReadState(t.Context(), pool, sink)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func next(t *testing.T, r *ledger.Reader, after ledger.Batch) ledger.Batch {
	t.Helper()
	b, cut, err := r.Next(t.Context(), after, false)
	if err != nil || !cut {
		t.Fatalf("the batch after %d: %v, %v", after.Number, cut, err)
	}
	return b
}

// positions reads a batch, checks its number of rows, and returns their positions.
func positions(t *testing.T, r *ledger.Reader, b ledger.Batch) (all []int64) {
	t.Helper()
	for row, err := range r.Rows(t.Context(), b, 0) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, row.Position)
	}
	n, err := r.Count(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(all)) != b.Rows || n != b.Rows || !slices.IsSorted(all) {
		t.Fatalf("batch %d says %d rows, counts %d and has %v", b.Number, b.Rows, n, all)
	}
	return all
}

func put(t *testing.T, pool *pgxpool.Pool, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), definition(name)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBatchesHaveEachRowOnce(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put(t, pool, "a", "b")
	l, r := open(t, pool, "e1")
	if l.Newest.Kind != ledger.FirstBatch || len(positions(t, r, l.Newest)) != 2 || !l.Same || l.Standby || l.WentBack {
		t.Errorf("%+v", l)
	}
	if b, cut, err := r.Next(t.Context(), l.Newest, false); err != nil || cut {
		t.Errorf("nothing is new, yet %+v, %v", b, err)
	}
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Put(t.Context(), late, definition("late")); err != nil {
		t.Fatal(err)
	}
	put(t, pool, "c", "d")
	second := next(t, r, l.Newest)
	before := positions(t, r, second)
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := next(t, r, second)
	if after := positions(t, r, third); len(before) != 2 || len(after) != 1 || after[0] > before[0] {
		t.Errorf("read %v, then %v", before, after)
	}
	if again := positions(t, r, second); !slices.Equal(again, before) {
		t.Errorf("read again: %v, not %v", again, before)
	}
	empty, cut, err := r.Next(t.Context(), third, true)
	if err != nil || !cut || empty.Rows != 0 || empty.Number != 4 || len(positions(t, r, empty)) != 0 {
		t.Errorf("an empty batch: %+v, %v, %v", empty, cut, err)
	}
}

// TestManyRelaysCutTheSameBatches lets several relays cut batches while writers write.
func TestManyRelaysCutTheSameBatches(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	l, r := open(t, pool, "e1")
	const writers, changes = 4, 50
	var group sync.WaitGroup
	for n := range writers {
		group.Go(func() {
			for i := range changes {
				put(t, pool, fmt.Sprint("s", n, "-", i))
			}
		})
	}
	seen := make([][]ledger.Batch, 3)
	for n := range seen {
		group.Go(func() {
			last, rows := l.Newest, int64(0)
			for rows < writers*changes && t.Context().Err() == nil {
				b, cut, err := r.Next(t.Context(), last, false)
				if err != nil {
					t.Error(err)
					return
				}
				if cut {
					last, rows, seen[n] = b, rows+b.Rows, append(seen[n], b)
				}
			}
		})
	}
	group.Wait()
	for _, other := range seen[1:] {
		if !slices.EqualFunc(seen[0], other, func(a, b ledger.Batch) bool {
			return a.Number == b.Number && a.Snapshot == b.Snapshot && a.Rows == b.Rows
		}) {
			t.Fatalf("two relays have cut\n%+v\n%+v", seen[0], other)
		}
	}
	all := map[int64]bool{}
	for _, b := range seen[0] {
		for _, p := range positions(t, r, b) {
			if all[p] {
				t.Errorf("position %d is in two batches", p)
			}
			all[p] = true
		}
	}
	if len(all) != writers*changes {
		t.Errorf("%d rows", len(all))
	}
}

// TestEpochOverRowsOfAnotherServer begins an epoch over rows whose xids this server has still to assign, as after a
// restore.
func TestEpochOverRowsOfAnotherServer(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	var xid int64
	if err := pool.QueryRow(t.Context(), `select pg_current_xact_id()::text::bigint`).Scan(&xid); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		sql(t, pool, `insert into tactus.outbox (xid, topic, aggregate_id, version, type, data) values ($1::text::xid8, 'schedule', $2, 1, 'schedule.created', '{}')`,
			fmt.Sprint(xid+int64(20*i)), outbox.NewID())
	}
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Put(t.Context(), late, definition("late")); err != nil {
		t.Fatal(err)
	}
	put(t, pool, "a")
	l, r := open(t, pool, "e1")
	if got := positions(t, r, l.Newest); len(got) != 21 {
		t.Errorf("the first batch has %v", got)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	last, later := l.Newest, 0
	for i := range 30 {
		for range 15 {
			sql(t, pool, `select pg_current_xact_id()`)
		}
		put(t, pool, fmt.Sprint("later ", i))
		last = next(t, r, last)
		later += len(positions(t, r, last))
	}
	if later != 31 {
		t.Errorf("%d rows came after the first batch: want the late one and 30", later)
	}
	if got := positions(t, r, l.Newest); len(got) != 21 {
		t.Errorf("the first batch has become %v", got)
	}
}

func TestEpochBeginsOnce(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put(t, pool, "a", "b")
	l, r := open(t, pool, "e1")
	put(t, pool, "c")
	second := next(t, r, l.Newest)
	o := ledger.Opening{
		Sink: sink, Topic: outbox.Schedules, Was: "e1", Epoch: "e2", Kind: ledger.EpochBatch, Number: 9,
		Previous: second.Snapshot, After: ledger.ID{Batch: 2, Seq: 1}, Replay: 2,
	}
	made := make([]bool, 4)
	var group sync.WaitGroup
	for n := range made {
		group.Go(func() {
			mine := o
			mine.Epoch += fmt.Sprint(n)
			var err error
			if made[n], err = ledger.Open(t.Context(), pool, mine); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	winner := slices.Index(made, true)
	if winner < 0 || slices.Contains(made[winner+1:], true) {
		t.Fatalf("epochs begun: %v", made)
	}
	now := life(t, pool)
	if now.Epoch != o.Epoch+fmt.Sprint(winner) || now.Opened != 9 || now.After != o.After || now.Newest.Kind != ledger.EpochBatch {
		t.Errorf("%+v", now)
	}
	if got := positions(t, now.Reader(pool, sink, outbox.Schedules, testenv.Patience), now.Newest); len(got) != 3 {
		t.Errorf("an hour is published again: %v", got)
	}
	if b, cut, err := r.Next(t.Context(), second, true); err != nil || cut {
		t.Errorf("a relay of the old epoch has cut %+v, %v", b, err)
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put(t, pool, "old")
	l, r := open(t, pool, "e1")
	sql(t, pool, `update tactus.outbox set occurred_at = occurred_at - interval '2 hours'`)
	put(t, pool, "a")
	second := next(t, r, l.Newest)
	put(t, pool, "b")
	third := next(t, r, second)
	put(t, pool, "c")
	again, cut, err := r.Again(t.Context(), third, l.Newest.Snapshot, time.Now().Add(-time.Hour))
	if err != nil || !cut || again.Number != 4 || again.Kind != ledger.AgainBatch {
		t.Fatalf("%+v, %v, %v", again, cut, err)
	}
	if got := positions(t, r, again); len(got) != 3 {
		t.Errorf("again: %v, want a, b and c", got)
	}
	if same, cut, err := r.Again(t.Context(), third, l.Newest.Snapshot, time.Now()); err != nil || !cut || same.Rows != 3 {
		t.Errorf("another relay has cut %+v, %v, %v", same, cut, err)
	}
	if b, cut, err := r.Next(t.Context(), again, false); err != nil || cut {
		t.Errorf("nothing is new, yet %+v, %v", b, err)
	}
	if now := life(t, pool); now.Again != 4 || now.Opened != 1 {
		t.Errorf("%+v", now)
	}
}

func TestRowsBehindAPlace(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	sql(t, pool, `insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', gen_random_uuid(), 1, 'schedule.created', '{}' from generate_series(1, 12345)`)
	l, r := open(t, pool, "e1")
	all := positions(t, r, l.Newest)
	for _, place := range []int64{0, 1, 199, 200, 201, 7000, 12344, 12345} {
		var got []int64
		for row, err := range r.Rows(t.Context(), l.Newest, place) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Position)
		}
		if !slices.Equal(got, all[place:]) {
			t.Errorf("behind place %d: %d rows", place, len(got))
		}
	}
}

func sql(t *testing.T, pool *pgxpool.Pool, text string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}
