package outbox_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestLateCommitIsReadOnce commits a lower position after a higher one was read: reading by position would lose it.
func TestLateCommitIsReadOnce(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	late, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.Put(t.Context(), late, definition("late")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.Put(t.Context(), definition("early")); err != nil {
		t.Fatal(err)
	}
	first := current(t, pool)
	before := read(t, pool, outbox.Schedules, outbox.Nothing, first)
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := current(t, pool)
	after := read(t, pool, outbox.Schedules, first, second)
	if len(before) != 1 || len(after) != 1 {
		t.Fatalf("read %d, then %d: want one each", len(before), len(after))
	}
	if after[0].Position >= before[0].Position {
		t.Errorf("the late one has position %d, the early one %d: the test shows nothing", after[0].Position, before[0].Position)
	}
	if again := read(t, pool, outbox.Schedules, outbox.Nothing, first); len(again) != 1 || again[0].Position != before[0].Position {
		t.Errorf("read again: %+v", again)
	}
	if none := read(t, pool, outbox.Schedules, second, current(t, pool)); len(none) != 0 {
		t.Errorf("read twice: %+v", none)
	}
}

func current(t *testing.T, pool *pgxpool.Pool) outbox.Snapshot {
	t.Helper()
	s, err := outbox.Current(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func read(t *testing.T, pool *pgxpool.Pool, topic string, from, to outbox.Snapshot) (all []outbox.Row) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		for row, err := range testenv.ReadLog(t.Context(), tx, topic, from, to) {
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
