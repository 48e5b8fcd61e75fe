package outbox_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

const backlog = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', md5((n % 100)::text)::uuid, n, 'schedule.updated', '{}' from generate_series(1, $1::int) n`

// TestCutsInParts has a backlog whose cut takes longer than statement_timeout, with rows of a transaction that was open when the
// cut before was made. It is cut in parts, which have every row once and in order, and goes on whole behind them.
func TestCutsInParts(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	put(t, pool, "first")
	l, _ := open(t, pool, "e1")
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Exec(t.Context(), backlog, 500); err != nil {
		t.Fatal(err)
	}
	put(t, pool, "second")
	r := life(t, pool).Reader(pool, sink, outbox.Schedules, testenv.Patience)
	b := next(t, r, l.Newest)
	if _, err := pool.Exec(t.Context(), backlog, 150_000); err != nil {
		t.Fatal(err)
	}
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}

	took := time.Now()
	if n, err := r.Count(t.Context(), outbox.Batch{Kind: outbox.NextBatch, Previous: b.Snapshot, Snapshot: current(t, pool), Last: 1 << 40}); err != nil || n != 150_500 {
		t.Fatalf("%d rows, %v", n, err)
	}
	cfg := pool.Config().Copy()
	cfg.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(max(5, time.Since(took).Milliseconds()/3))
	hasty, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer hasty.Close()
	hurried := life(t, pool).Reader(hasty, sink, outbox.Schedules, testenv.Patience)
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
		if had := b.After(outbox.Place{Batch: b.Number, Seq: b.Rows}); b.More && had != b.Previous {
			t.Errorf("who has part %d is taken to have all of it", b.Number)
		}
	}
	if len(all) != 150_500 || !slices.IsSorted(all) || parts < 2 {
		t.Errorf("%d rows in %d parts, in order %v", len(all), parts, slices.IsSorted(all))
	}
	before, err := outbox.RowsBefore(t.Context(), pool, sink, b)
	if err != nil || before+b.Rows != 150_500 {
		t.Errorf("%d rows before the last part of %d, %v", before, b.Rows, err)
	}
	put(t, pool, "third")
	if b = next(t, r, b); b.More || b.PartOf != 0 || len(positions(t, r, b)) != 1 {
		t.Errorf("behind the parts: %+v", b)
	}
}

func cutWhatever(t *testing.T, r *outbox.Reader, after outbox.Batch) (outbox.Batch, error) {
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
