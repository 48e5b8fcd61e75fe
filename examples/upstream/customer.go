// Package upstream is a service with a table of its own, which writes its rows and their schedules in one transaction: they
// are both there or neither is. It uses the public packages of tactus and nothing else.
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

// CreateTable makes the service's own table, which tactus knows nothing of.
const CreateTable = `create table if not exists customers (id bigint generated always as identity primary key, name text not null, report text)`

// Customer is a row of the service.
type Customer struct {
	ID     int64
	Name   string
	Report string // the name of the schedule of the customer's report
}

// ErrRefused is a reason of the service's own not to go on.
var ErrRefused = errors.New("refused")

// SignUp stores a customer and the schedule of a daily report. check comes last, when both are written: its error takes
// both back. The relay is woken after the commit.
func SignUp(ctx context.Context, pool *pgxpool.Pool, name, cron, zone string, check func(Customer) error) (c Customer, err error) {
	err = outbox.InTx(ctx, pool, func(tx pgx.Tx) error {
		c = Customer{Name: name, Report: "report of " + name}
		if err := tx.QueryRow(ctx, `insert into customers (name) values ($1) returning id`, name).Scan(&c.ID); err != nil {
			return fmt.Errorf("store customer: %w", err)
		}
		s, err := outbox.Create(ctx, tx, report(c, cron, zone))
		if errors.Is(err, domain.ErrNameTaken) { // which leaves the transaction as it was: another name may do
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
	kwargs, _ := json.Marshal(map[string]int64{"customer": c.ID}) // a number encodes
	return domain.Definition{Name: c.Report, CronExpression: cron, Timezone: zone, TaskName: "reports.daily", Kwargs: kwargs}
}
