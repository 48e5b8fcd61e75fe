// Package upstream is a service with a table of its own. It writes its rows and their schedules in one transaction, so
// that both exist or neither. It uses the public packages of tactus only.
package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// CreateTable creates the service's own table, which tactus does not know of.
const CreateTable = `create table if not exists customers (id bigint generated always as identity primary key, name text not null, report text)`

// Customer is a row of the service.
type Customer struct {
	ID     int64
	Name   string
	Report string // the name of the schedule of the customer's report
}

// ErrRefused is an error of the service's own that ends a sign-up.
var ErrRefused = errors.New("refused")

// SignUp stores a customer and the schedule of a daily report. It calls check last, when both are written: an error of
// check rolls both back. The relay is woken after the commit.
func SignUp(
	ctx context.Context, pool *pgxpool.Pool, name, cron, zone string, check func(Customer) error,
) (c Customer, err error) {
	err = outbox.InTx(ctx, pool, func(tx pgx.Tx) error {
		c = Customer{Name: name, Report: "report of " + name}
		if err := tx.QueryRow(ctx, `insert into customers (name) values ($1) returning id`, name).Scan(&c.ID); err != nil {
			return fmt.Errorf("store customer: %w", err)
		}
		s, err := outbox.Create(ctx, tx, report(c, cron, zone))
		if errors.Is(err, domain.ErrNameTaken) { // the transaction is still usable, so another name can be tried
			c.Report = fmt.Sprintf("report of %s %d", name, c.ID)
			s, err = outbox.Create(ctx, tx, report(c, cron, zone))
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `update customers set report = $1 where id = $2`, s.Name, c.ID); err != nil {
			return fmt.Errorf("store customer: %w", err)
		}
		return check(c)
	})
	return c, err
}

func report(c Customer, cron, zone string) domain.Definition {
	kwargs, _ := json.Marshal(map[string]int64{"customer": c.ID}) // numbers always encode
	return domain.Definition{Name: c.Report, CronExpression: cron, Timezone: zone, TaskName: "reports.daily", Kwargs: kwargs}
}
