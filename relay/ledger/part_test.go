package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// many is a number of rows that take far longer to count than a part takes to cut.
const many = 400_000

const backlog = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', md5((n % 100)::text)::uuid, n, 'schedule.updated', '{}' from generate_series(1, $1::int) n`

// TestCutsInParts has a backlog whose cut takes longer than statement_timeout, with rows of a transaction that was open
// when the cut before was made. It is cut in parts, which have every row once and in order, and goes on whole behind
// them.
func TestCutsInParts(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // whose statement_timeout a pooler would not pass on
	put(t, pool, "first")
	l, _ := open(t, pool, "e1")
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(context.WithoutCancel(t.Context())) // or the pool would wait for it when the test fails
	if _, err := late.Exec(t.Context(), backlog, 500); err != nil {
		t.Fatal(err)
	}
	put(t, pool, "second")
	r := life(t, pool).Reader(pool, sink, outbox.Schedules, testenv.Patience)
	b := next(t, r, l.Newest)
	if _, err := pool.Exec(t.Context(), backlog, many); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}

	hurried := life(t, pool).Reader(testenv.Hasty(t, pool, many), sink, outbox.Schedules, testenv.Patience)
	whole := ledger.Batch{Kind: ledger.NextBatch, Previous: b.Snapshot, Snapshot: current(t, pool), First: 1, Last: 2 * many}
	if n, err := hurried.Count(t.Context(), whole); err != nil || n != many+500 {
		t.Errorf("counted in ranges: %d rows, %v", n, err)
	}
	var all []int64
	parts := 0
	for more := true; more; more = b.More {
		b, err = cutWhatever(t, hurried, b)
		if err != nil {
			t.Fatal(err)
		}
		parts++
		if again := positions(t, r, b); len(again) > 0 {
			all = append(all, again...)
		}
		if had := b.After(ledger.ID{Batch: b.Number, Seq: b.Rows}); b.More && had != b.Previous {
			t.Errorf("who has part %d is taken to have all of it", b.Number)
		}
	}
	if len(all) != many+500 || !slices.IsSorted(all) || parts < 2 {
		t.Errorf("%d rows in %d parts, in order %v", len(all), parts, slices.IsSorted(all))
	}
	before, err := ledger.RowsBefore(t.Context(), pool, sink, b)
	if err != nil || before+b.Rows != many+500 {
		t.Errorf("%d rows before the last part of %d, %v", before, b.Rows, err)
	}
	put(t, pool, "third")
	if b = next(t, r, b); b.More || b.PartOf != 0 || len(positions(t, r, b)) != 1 {
		t.Errorf("behind the parts: %+v", b)
	}
}

// TestReadsInHalvedPages reads a batch whose full pages take longer than a statement may: smaller ones have every row.
func TestReadsInHalvedPages(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // whose statement_timeout a pooler would not pass on
	const rows = 30_000
	l, r := open(t, pool, "e1")
	if _, err := pool.Exec(t.Context(), backlog, rows); err != nil {
		t.Fatal(err)
	}
	b := next(t, r, l.Newest)
	hurried := life(t, pool).Reader(testenv.Hasty(t, pool, 10_000), sink, outbox.Schedules, testenv.Patience)
	var all []int64
	testenv.Eventually(t, "every row is read", func() error { // a busy machine may be too slow for any statement
		all = nil
		for row, err := range hurried.Rows(t.Context(), b, 0) {
			if err != nil {
				return err
			}
			all = append(all, row.Position)
		}
		return nil
	})
	if len(all) != rows || !slices.IsSorted(all) {
		t.Errorf("%d of %d rows, in order %v", len(all), rows, slices.IsSorted(all))
	}
}

// TestLookReadsNoBacklog has one transaction that has written nearly all rows, with statistics that say so, while
// another one is open. A look for new rows finds those of the open one by an index all the same.
func TestLookReadsNoBacklog(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t))
	if _, err := pool.Exec(t.Context(), backlog, 50_000); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `analyze tactus.outbox`); err != nil {
		t.Fatal(err)
	}
	_, r := open(t, pool, "e")
	rows, err := pool.Query(t.Context(), "explain "+ledger.AnyNewSQL(r), pgx.QueryExecModeExec, pgx.NamedArgs{
		"topic": outbox.Schedules, "sink": sink, "epoch": "e", "number": 2, "previous": "1:1000000:5,6", "floor": 0, "late": "1:1:", "seen": "{}",
	})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || slices.ContainsFunc(plan, func(line string) bool { return strings.Contains(line, "Seq Scan on outbox_schedule_0") }) {
		t.Errorf("%v\n%s", err, strings.Join(plan, "\n"))
	}
}

func cutWhatever(t *testing.T, r *ledger.Reader, after ledger.Batch) (ledger.Batch, error) {
	t.Helper()
	for began := time.Now(); ; {
		b, cut, err := r.Next(t.Context(), after, false)
		if err == nil && cut {
			return b, nil
		}
		if time.Since(began) > testenv.Patience {
			return b, fmt.Errorf("cut %v: %w", cut, err)
		}
	}
}

// parts cuts the parts that follow the first one, with little patience, and returns the positions of all rows.
func parts(t *testing.T, hurried, calm *ledger.Reader, b ledger.Batch) (all []int64, last ledger.Batch) {
	t.Helper()
	first := b
	if !b.More || b.Rows != 0 {
		t.Fatalf("the first part: %+v", b)
	}
	for b.More {
		var err error
		if b, err = cutWhatever(t, hurried, b); err != nil {
			t.Fatal(err)
		}
		if b.Kind != first.Kind || b.PartOf != first.Number {
			t.Errorf("a part of %+v: %+v", first, b)
		}
		all = append(all, positions(t, calm, b)...)
	}
	return all, b
}

// TestOpensInParts registers a sink on a log whose rows take longer to count than statement_timeout. The epoch begins
// with parts, which have every row once and in order; an epoch that is opened in the middle of the parts begins again.
func TestOpensInParts(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // whose statement_timeout a pooler would not pass on
	put(t, pool, "first")
	if _, err := pool.Exec(t.Context(), backlog, many); err != nil {
		t.Fatal(err)
	}
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(context.WithoutCancel(t.Context())) // or the pool would wait for it when the test fails
	if _, err := late.Exec(t.Context(), backlog, 500); err != nil {
		t.Fatal(err)
	}
	put(t, pool, "second")
	quick := testenv.Hasty(t, pool, many)
	for _, epoch := range []string{"e1", "e2"} {
		was := life(t, pool)
		o := ledger.Opening{
			Sink: sink, Topic: outbox.Schedules, Was: was.Epoch, Epoch: epoch, Kind: ledger.FirstBatch,
			Number: was.Newest.Number + 1, Previous: was.Newest.After(was.End()),
		}
		if o.Previous == "" {
			o.Previous = outbox.Nothing
		}
		testenv.Eventually(t, "opened", func() error {
			made, err := ledger.Open(t.Context(), quick, o)
			if err == nil && !made {
				err = fmt.Errorf("another has opened %s", epoch)
			}
			return err
		})
	}
	l := life(t, pool)
	if l.Newest.Number != 2 {
		t.Fatalf("%+v", l)
	}
	calm := l.Reader(pool, sink, outbox.Schedules, testenv.Patience)
	all, b := parts(t, l.Reader(quick, sink, outbox.Schedules, testenv.Patience), calm, l.Newest)
	if len(all) != many+2 || !slices.IsSorted(all) {
		t.Errorf("%d rows, in order %v", len(all), slices.IsSorted(all))
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if b = next(t, calm, b); b.Kind != ledger.NextBatch || len(positions(t, calm, b)) != 500 {
		t.Errorf("behind the parts: %+v", b)
	}
}

// TestHandsOverAgainInParts has a sink of tasks that has lost more than can be counted at once.
func TestHandsOverAgainInParts(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // whose statement_timeout a pooler would not pass on
	l, r := open(t, pool, "e1")
	if _, err := pool.Exec(t.Context(), backlog, many); err != nil {
		t.Fatal(err)
	}
	b := next(t, r, l.Newest)
	put(t, pool, "new")
	quick := testenv.Hasty(t, pool, many)
	hurried := life(t, pool).Reader(quick, sink, outbox.Schedules, testenv.Patience)
	var again ledger.Batch
	testenv.Eventually(t, "cut", func() (err error) {
		again, _, err = hurried.Again(t.Context(), b, b.Previous, time.Now().Add(-time.Hour))
		return err
	})
	all, last := parts(t, hurried, r, again)
	if len(all) != many+1 || !slices.IsSorted(all) || life(t, pool).Again != again.Number {
		t.Errorf("%d rows, in order %v, again %d", len(all), slices.IsSorted(all), life(t, pool).Again)
	}
	put(t, pool, "newer")
	if b = next(t, r, last); b.Kind != ledger.NextBatch || len(positions(t, r, b)) != 1 {
		t.Errorf("behind the parts: %+v", b)
	}
}
