package ledger_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// TestUnderAPublication publishes all tables of the database for logical replication. Batches are cut, reported and
// pruned all the same. Without primary keys PostgreSQL would refuse to update or delete rows of their tables.
func TestUnderAPublication(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	sql(t, pool, `create publication everything for all tables`)
	put(t, pool, "a")
	l, r := open(t, pool, "e1")
	put(t, pool, "b")
	b := next(t, r, l.Newest)
	if err := ledger.Report(t.Context(), pool, sink, l.Epoch, ledger.ID{Batch: b.Number, Seq: b.Rows}); err != nil {
		t.Error(err)
	}
	if err := ledger.PruneBatches(t.Context(), pool, sink, time.Now().Add(time.Hour)); err != nil {
		t.Error(err)
	}
}
