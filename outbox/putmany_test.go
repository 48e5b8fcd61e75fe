package outbox_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// rowsRead is how many rows of schedules a transaction has read.
const rowsRead = `select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables
	where relid = 'tactus.schedules'::regclass`

// TestManyCallsOfOneTransaction writes hundreds of schedules by one statement each way, into a table that nobody has
// analyzed. Each call reads as many rows as the first.
func TestManyCallsOfOneTransaction(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	const calls = 600
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	read := func() (rows int64) {
		t.Helper()
		if err := tx.QueryRow(t.Context(), rowsRead).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		return rows
	}
	for _, c := range [][2]string{
		{"put", `select count(tactus.put_schedule(json_build_object('name', 'n' || n, 'interval_seconds', 60, 'task_name', 'a')::text::json))
			from generate_series(1, $1::int) n`},
		{"put again", `select count(tactus.put_schedule(json_build_object('name', 'n' || n, 'interval_seconds', 90, 'task_name', 'a')::text::json))
			from generate_series(1, $1::int) n`},
		{"delete", `select count(*) filter (where tactus.delete_schedule('n' || n)) from generate_series(1, $1::int) n`},
	} {
		what, before := c[0], read()
		if _, err := tx.Exec(t.Context(), c[1], calls); err != nil {
			t.Fatal(err)
		}
		if rows := read() - before; rows > 50*calls {
			t.Errorf("%s: %d rows of schedules were read by %d calls", what, rows, calls)
		} else {
			t.Logf("%s: %d rows by %d calls", what, rows, calls)
		}
	}
}

// TestManyPutsOfOneTransaction does the same by the package.
func TestManyPutsOfOneTransaction(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	const calls = 400
	err := outbox.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		for n := range calls {
			d := domain.Definition{Name: fmt.Sprint("n", n), IntervalSeconds: 60, TaskName: "a"}
			if _, err := outbox.Put(t.Context(), tx, d); err != nil {
				return err
			}
		}
		var rows int64
		if err := tx.QueryRow(t.Context(), rowsRead).Scan(&rows); err != nil {
			return err
		}
		if rows > 50*calls {
			t.Errorf("%d rows of schedules were read by %d calls", rows, calls)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
