package outbox_test

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestOrderAndItsReminder is what the README shows of the Go API.
func TestOrderAndItsReminder(t *testing.T) {
	t.Parallel()
	ctx, pool := t.Context(), testenv.Database(t)
	if _, err := pool.Exec(ctx, `create table orders (id text primary key, customer text not null)`); err != nil {
		t.Fatal(err)
	}
	order := struct {
		ID, Customer string
		Due          time.Time
	}{"a-17", "Ada", time.Now().Add(time.Hour)}
	remind := func() error {
		err := outbox.InTx(ctx, pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `insert into orders (id, customer) values ($1, $2)`, order.ID, order.Customer); err != nil {
				return err
			}
			_, err := outbox.Put(ctx, tx, domain.Definition{
				Name: "remind-" + order.ID, RunAt: order.Due.Format(time.RFC3339), TaskName: "orders.remind",
			})
			return err
		})
		return err
	}
	if err := remind(); err != nil {
		t.Fatal(err)
	}
	if s, err := outbox.GetByName(ctx, pool, "remind-a-17"); err != nil || s.Version != 1 {
		t.Errorf("the reminder: %+v, %v", s, err)
	}
	order.ID, order.Due = "a-18", time.Now().Add(-time.Hour)
	if err := remind(); !errors.Is(err, &domain.Error{Code: "at_in_past"}) {
		t.Errorf("a reminder in the past: %v", err)
	}
	var orders int
	if err := pool.QueryRow(ctx, `select count(*) from orders`).Scan(&orders); err != nil || orders != 1 {
		t.Errorf("%d orders, %v: the second was to be rolled back", orders, err)
	}
}
