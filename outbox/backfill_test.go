package outbox_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestBackfillsAreForgotten after as long as runs are kept, when they have ended.
func TestBackfillsAreForgotten(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("a"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	keep := outbox.Retention{Runs: 90 * 24 * time.Hour, Keys: time.Hour}
	ask := domain.BackfillRequest{From: time.Now().Add(-3 * time.Hour).Format(time.RFC3339)}
	var ids []domain.ID
	for range 3 {
		id, _, err := store.Backfill(t.Context(), s.ID, ask, keep.Runs, "")
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for i, age := range []string{"91 days", "89 days"} {
		if _, err := pool.Exec(t.Context(), `update tactus.backfills set ended_at = now() - $2::text::interval, outcome = 'completed' where id = $1`, ids[i], age); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := outbox.Maintain(t.Context(), pool, time.Now(), keep); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true} {
		var there bool
		if err := pool.QueryRow(t.Context(), `select exists (select from tactus.backfills where id = $1)`, ids[i]).Scan(&there); err != nil || there != want {
			t.Errorf("backfill %d is there: %v, %v", i, there, err)
		}
	}
	if _, err := pool.Exec(t.Context(), `drop table tactus.backfills cascade`); err != nil { // as before they came
		t.Fatal(err)
	}
	if _, err := outbox.Maintain(t.Context(), pool, time.Now(), keep); err != nil {
		t.Error(err)
	}
}

// TestTooManyBackfills of one schedule are refused.
func TestTooManyBackfills(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("a"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ask := domain.BackfillRequest{From: time.Now().Add(-3 * time.Hour).Format(time.RFC3339)}
	for range 100 {
		if _, _, err := store.Backfill(t.Context(), s.ID, ask, 90*24*time.Hour, ""); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err = store.Backfill(t.Context(), s.ID, ask, 90*24*time.Hour, "")
	if faults := domain.FaultsOf(err); len(faults) != 1 || faults[0].Code != "backfill_too_many" {
		t.Error(err)
	}
}
