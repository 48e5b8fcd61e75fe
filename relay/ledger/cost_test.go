package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// explaining runs statements, and also makes PostgreSQL explain each one that reads rows of the log.
type explaining struct {
	*pgxpool.Pool
	t      *testing.T
	blocks float64 // that the statements have read, from memory or from disk
	temp   float64 // that they have written to temporary files
	plans  []string
}

func (e *explaining) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if strings.Contains(sql, "from tactus.outbox") {
		e.explain(ctx, sql, args)
	}
	return e.Pool.Query(ctx, sql, args...)
}

func (e *explaining) explain(ctx context.Context, sql string, args []any) {
	e.t.Helper()
	tx, err := e.Pool.Begin(ctx)
	if err != nil {
		e.t.Errorf("explain: %v", err)
		return
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // of a batch that was cut
	var text string
	if err := tx.QueryRow(ctx, "explain (analyze, buffers, timing off, format json) "+sql, args...).Scan(&text); err != nil {
		e.t.Errorf("explain: %v", err)
		return
	}
	var of []struct{ Plan plan }
	if err := json.Unmarshal([]byte(text), &of); err != nil {
		e.t.Errorf("explain: %v", err)
		return
	}
	p := of[0].Plan
	e.blocks, e.temp, e.plans = e.blocks+p.Hit+p.Read, e.temp+p.Temp, append(e.plans, p.String())
}

// plan is a node of PostgreSQL's explanation.
type plan struct {
	Node  string  `json:"Node Type"`
	Index string  `json:"Index Name"`
	Rows  float64 `json:"Actual Rows"`
	Hit   float64 `json:"Shared Hit Blocks"`
	Read  float64 `json:"Shared Read Blocks"`
	Temp  float64 `json:"Temp Written Blocks"`
	Plans []plan
}

func (p plan) String() string {
	parts := make([]string, len(p.Plans))
	for i, part := range p.Plans {
		parts[i] = part.String()
	}
	return fmt.Sprintf("%s %s: %v rows, %v blocks (%s)", p.Node, p.Index, p.Rows, p.Hit+p.Read, strings.Join(parts, ", "))
}

// logged writes rows of a topic, with data of a kilobyte.
const logged = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select $1, md5(n::text)::uuid, n, 'run.due', json_build_object('kwargs', repeat('x', 1000)) from generate_series(1, $2::int) n`

// TestARowCostsTheSameInAnyBacklog counts the blocks that PostgreSQL reads to cut a batch and to return its rows,
// without statistics of the table. The cost of a row is the same in a long batch as in a short one, and behind a long
// log as behind a short one; all rows are found by an index, and nothing is sorted.
func TestARowCostsTheSameInAnyBacklog(t *testing.T) {
	t.Parallel()
	const short, long = 1000, 60_000
	e, r, b := explained(t)
	cost := map[string]float64{}
	note := func(what string, rows int) {
		cost[what] = e.blocks / float64(rows)
		if plans := strings.Join(e.plans, "\n"); e.temp > 0 || strings.Contains(plans, "Sort") {
			t.Errorf("%s: %v blocks in temporary files:\n%s", what, e.temp, plans)
		}
		e.blocks, e.temp, e.plans = 0, 0, nil
	}
	batch := func(what string, rows int) {
		t.Helper()
		b = next(t, r, b)
		note(what+", cut", rows)
		read := 0
		for _, err := range r.Rows(t.Context(), b, 0) {
			if err != nil {
				t.Fatal(err)
			}
			read++
		}
		note(what+", read", rows)
		if read != rows {
			t.Errorf("%s: %d of %d rows", what, read, rows)
		}
	}
	for _, c := range []struct {
		what string
		rows int
	}{{"short", short}, {"long", long}, {"short behind long", short}} {
		e.write(e.Pool, c.rows)
		batch(c.what, c.rows)
	}
	// Transactions that end late, around many rows that were read before.
	for what, rows := range map[string]int{"few late": short, "many late": 5 * short} {
		tx, err := e.Pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(context.WithoutCancel(t.Context()))
		e.write(tx, rows/2)
		e.write(e.Pool, 6*rows)
		batch("around "+what, 6*rows)
		e.write(tx, rows/2)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		batch(what, rows)
	}
	t.Logf("blocks a row: %v", cost)
	for what, other := range map[string]string{
		"long, cut": "short, cut", "long, read": "short, read", "short behind long, cut": "short, cut",
		"short behind long, read": "short, read", "many late, cut": "few late, cut", "many late, read": "few late, read",
	} {
		if cost[what] > 1.5*cost[other] {
			t.Errorf("%s: %.2f blocks a row, but %s: %.2f", what, cost[what], other, cost[other])
		}
	}
	if cost["few late, read"] > 6 {
		t.Errorf("a late row takes %.2f blocks", cost["few late, read"])
	}
}

// uncompiled returns the URL of a database whose statements are not compiled, as those of the program are not.
func uncompiled(t *testing.T) string {
	t.Helper()
	u, err := url.Parse(testenv.DirectURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set("jit", "off")
	u.RawQuery = query.Encode()
	return u.String()
}

// explained returns a sink in its first epoch, with nothing in it, whose statements are explained.
func explained(t *testing.T) (*explaining, *ledger.Reader, ledger.Batch) {
	t.Helper()
	pool := testenv.Connect(t, uncompiled(t))
	l, _ := open(t, pool, "e1")
	e := &explaining{Pool: pool, t: t}
	return e, life(t, pool).Reader(e, sink, outbox.Schedules, testenv.Patience), l.Newest
}

// write logs rows of schedules.
func (e *explaining) write(q outbox.Querier, rows int) {
	e.t.Helper()
	answer, err := q.Query(e.t.Context(), logged, outbox.Schedules, rows)
	if err == nil {
		answer.Close()
		err = answer.Err()
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

// TestWhatIsNotForASinkCostsNothing checks the cost of asking whether a long batch has a row for a sink.
func TestWhatIsNotForASinkCostsNothing(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, uncompiled(t))
	if made, err := ledger.Open(t.Context(), pool, ledger.Opening{
		Sink: sink, Topic: outbox.Runs, Epoch: "e1", Kind: ledger.FirstBatch, Number: 1, Previous: outbox.Nothing,
	}); err != nil || !made {
		t.Fatalf("open: %v, %v", made, err)
	}
	e := &explaining{Pool: pool, t: t}
	r, b := life(t, pool).Reader(e, sink, outbox.Runs, testenv.Patience).Only(sqlexpr.ToStream), life(t, pool).Newest
	for n, want := range []bool{false, true} {
		if _, err := pool.Exec(t.Context(), logged, outbox.Runs, 50_000); err != nil {
			t.Fatal(err)
		}
		if want {
			if _, err := pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data)
				values ('run', gen_random_uuid(), 1, 'run.due', '{"stream":"s"}')`); err != nil {
				t.Fatal(err)
			}
		}
		b = next(t, r, b)
		e.blocks, e.plans = 0, nil
		if has, err := r.HasAny(t.Context(), b); err != nil || has != want {
			t.Errorf("batch %d has rows for the sink: %v, %v", n, has, err)
		}
		if e.blocks > 250 { // reading it takes 7,000
			t.Errorf("to know it takes %v blocks:\n%s", e.blocks, e.plans)
		}
	}
}

// weighing counts the bytes that statements which read rows of the log return.
type weighing struct {
	*pgxpool.Pool
	pages []int // bytes, by statement
}

func (w *weighing) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	rows, err := w.Pool.Query(ctx, sql, args...)
	w.pages = append(w.pages, 0)
	return &weighed{rows, w}, err
}

// weighed wraps the rows of a statement, and counts each row that is read.
type weighed struct {
	pgx.Rows
	by *weighing
}

func (w *weighed) Next() bool {
	next := w.Rows.Next()
	for _, value := range w.Rows.RawValues() {
		w.by.pages[len(w.by.pages)-1] += len(value)
	}
	return next
}

// TestNoStatementReadsMoreThanSoMuch reads batches whose rows have first a kilobyte, and then a quarter of a megabyte.
// Each row comes once and in order, no statement reads much more than a page, and once the size of rows is known, few
// rows are read twice.
func TestNoStatementReadsMoreThanSoMuch(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, uncompiled(t))
	l, _ := open(t, pool, "e1")
	w := &weighing{Pool: pool}
	r, b := life(t, pool).Reader(w, sink, outbox.Schedules, testenv.Patience), l.Newest
	const light, heavy, heavyBytes = 4000, 150, 250_000
	for n := range 2 {
		if _, err := pool.Exec(t.Context(), `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select $1, md5(n::text)::uuid, n, 'run.due', json_build_object('kwargs', repeat('x', case when n > $2 then $3::int else 1000 end))
from generate_series(1, $4::int) n`, outbox.Schedules, light, heavyBytes, light+heavy); err != nil {
			t.Fatal(err)
		}
		b = next(t, r, b)
		w.pages = nil
		read, last := 0, int64(0)
		for row, err := range r.Rows(t.Context(), b, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if row.Position <= last {
				t.Fatalf("position %d comes behind %d", row.Position, last)
			}
			read, last = read+1, row.Position
		}
		if read != light+heavy {
			t.Errorf("batch %d: %d rows", n, read)
		}
		sum := 0
		for _, size := range w.pages {
			if sum += size; size > 14<<20 {
				t.Errorf("batch %d: a statement reads %d bytes", n, size)
			}
		}
		if all := light*1000 + heavy*heavyBytes; sum > 2*all {
			t.Errorf("batch %d: %d bytes are read for %d: %v", n, sum, all, w.pages)
		}
	}
}
