package ledger_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// definition is a valid one.
func definition(name string) domain.Definition {
	return domain.Definition{Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task"}
}

// current returns the snapshot of now.
func current(t *testing.T, pool *pgxpool.Pool) outbox.Snapshot {
	t.Helper()
	s, err := outbox.Current(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
