package migrations_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// A run that is handed over and starts is written in its page and in no index: neither is its status in one, nor is its
// page full.
func TestHandingOverWritesNoIndexOfRuns(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.DirectURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
			select gen_random_uuid(), gen_random_uuid(), now() + n * interval '1 microsecond', 'scheduled', 'due', 1 from generate_series(1, 1000) n`,
		`update tactus.runs set status = 'sent', sent_at = now()`,
	} {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	var updated, hot int
	if err := tx.QueryRow(t.Context(), `select sum(pg_stat_get_xact_tuples_updated(inhrelid)), sum(pg_stat_get_xact_tuples_hot_updated(inhrelid))
		from pg_inherits where inhparent = 'tactus.runs'::regclass`).Scan(&updated, &hot); err != nil {
		t.Fatal(err)
	}
	if updated != 1000 || hot < 950 {
		t.Errorf("of %d updates %d wrote no index", updated, hot)
	}
}
