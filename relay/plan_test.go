package relay_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestRunsAreFoundByTheirIDs looks for a thousand of many runs. The others are not read, whether or not PostgreSQL has
// statistics.
func TestRunsAreFoundByTheirIDs(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t))
	if _, err := pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
			select gen_random_uuid(), gen_random_uuid(), now(), 'scheduled', 'due', 1 from generate_series(1, 30000)`); err != nil {
		t.Fatal(err)
	}
	var month string
	if err := pool.QueryRow(t.Context(), `select tableoid::regclass::text from tactus.runs limit 1`).Scan(&month); err != nil {
		t.Fatal(err)
	}
	month = strings.TrimPrefix(month, "tactus.")
	const n = 1000
	ids, numbers := make([]domain.ID, n), make([]int64, n)
	for i := range ids {
		ids[i] = outbox.NewID()
	}
	for range 2 {
		for name, sql := range relay.ByIDsSQL {
			explain(t, pool, month, name, sql, ids, numbers)
		}
		if _, err := pool.Exec(t.Context(), `analyze tactus.runs`); err != nil {
			t.Fatal(err)
		}
	}
}

// explain checks that a statement does not scan a whole table of runs.
func explain(t *testing.T, pool *pgxpool.Pool, table, name, sql string, ids []domain.ID, numbers []int64) {
	t.Helper()
	args := []any{pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
		"ids": ids, "batches": numbers, "places": numbers, "batch": 1, "place": 1, "sink": "celery", "epoch": "e",
		"seconds": numbers, "versions": numbers, "positions": numbers,
	}}
	if !strings.Contains(sql, "@ids") {
		args = []any{pgx.QueryExecModeCacheDescribe, ids, numbers, "celery"}
	}
	rows, err := pool.Query(t.Context(), "explain "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if slices.ContainsFunc(plan, func(line string) bool { return strings.Contains(line, "Seq Scan on "+table) }) {
		for i, line := range plan {
			plan[i] = line[:min(len(line), 120)]
		}
		t.Errorf("%s:\n%s", name, strings.Join(plan, "\n"))
	}
}
