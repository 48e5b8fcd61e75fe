package outbox_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

var errCaller = errors.New("the caller changed its mind")

func TestPutCommitsAndRollsBackWithTheCaller(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	if _, err := pool.Exec(t.Context(), `create table orders (id int)`); err != nil {
		t.Fatal(err)
	}
	for i, verdict := range []error{nil, errCaller} {
		err := outbox.InTx(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `insert into orders values ($1)`, i); err != nil {
				return err
			}
			if _, err := outbox.Put(t.Context(), tx, definition([]string{"kept", "undone"}[i])); err != nil {
				return err
			}
			return verdict
		})
		if !errors.Is(err, verdict) {
			t.Fatalf("got %v, want %v", err, verdict)
		}
	}
	var orders, schedules, events int
	err := pool.QueryRow(t.Context(), `select (select count(*) from orders), (select count(*) from tactus.schedules),
		(select count(*) from tactus.outbox)`).Scan(&orders, &schedules, &events)
	if err != nil {
		t.Fatal(err)
	}
	if orders != 1 || schedules != 1 || events != 1 {
		t.Errorf("%d orders, %d schedules, %d events: want one of each", orders, schedules, events)
	}
}

// TestErrorsLeaveTheCallersTransactionUsable provokes every error that a write can give, then commits.
func TestErrorsLeaveTheCallersTransactionUsable(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	if _, _, err := store.Put(t.Context(), definition("taken")); err != nil {
		t.Fatal(err)
	}
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := outbox.Create(t.Context(), tx, definition("taken")); !errors.Is(err, domain.ErrNameTaken) {
			t.Errorf("create: %v", err)
		}
		mine, err := outbox.Create(t.Context(), tx, definition("mine"))
		if err != nil {
			return err
		}
		if _, err := outbox.Put(t.Context(), tx, domain.Definition{Name: "faulty", CronExpression: "61 * * * *"}); len(domain.FaultsOf(err)) != 2 {
			t.Errorf("faulty: %v", err)
		}
		harmful := definition("harmful")
		harmful.Headers = map[string]json.RawMessage{"x": json.RawMessage(`{"__type__": "datetime"}`)}
		if _, err := outbox.Put(t.Context(), tx, harmful); len(domain.FaultsOf(err)) != 1 || domain.FaultsOf(err)[0].Field != "/headers/x" {
			t.Errorf("harmful to workers: %v", err)
		}
		if _, err := outbox.Enable(t.Context(), tx, outbox.NewID()); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("enable: %v", err)
		}
		if err := outbox.Delete(t.Context(), tx, outbox.NewID()); !errors.Is(err, domain.ErrNotFound) {
			t.Errorf("delete: %v", err)
		}
		if s, err := outbox.Disable(t.Context(), tx, mine.ID); err != nil || s.IsEnabled() || s.Version != 2 {
			t.Errorf("disable: %+v, %v", s, err)
		}
		if _, err := outbox.Update(t.Context(), tx, mine.ID, definition("taken")); !errors.Is(err, domain.ErrNameTaken) {
			t.Errorf("rename to a taken name: %v", err)
		}
		if s, err := outbox.Update(t.Context(), tx, mine.ID, definition("renamed")); err != nil || s.ID != mine.ID || s.Name != "renamed" || s.Version != 3 {
			t.Errorf("rename: %+v, %v", s, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := outbox.GetByName(t.Context(), pool, "renamed"); err != nil || s.Version != 3 {
		t.Errorf("after the commit: %+v, %v", s, err)
	}
}

func TestDeletedNameIsFreeAndTheTombstoneStays(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	first, _, err := store.Put(t.Context(), definition("again"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), first.ID, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.Delete(t.Context(), first.ID, 0); !errors.Is(err, domain.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	second, created, err := store.Put(t.Context(), definition("again"))
	if err != nil || !created || second.ID == first.ID {
		t.Fatalf("%+v, %v, %v", second, created, err)
	}
	var tombstones int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where deleted_at is not null and version = 2`).Scan(&tombstones); err != nil || tombstones != 1 {
		t.Errorf("%d tombstones, %v", tombstones, err)
	}
}

func TestRenameToATakenName(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	for _, name := range []string{"a", "b"} {
		if _, _, err := store.Put(t.Context(), definition(name)); err != nil {
			t.Fatal(err)
		}
	}
	b, err := outbox.GetByName(t.Context(), pool, "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Merge(t.Context(), b.ID, 0, []byte(`{"name":"a"}`)); !errors.Is(err, domain.ErrNameTaken) {
		t.Errorf("rename: %v", err)
	}
}
