package outbox_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// A service keeps a schedule beside its own rows: both are there after the commit, or neither.
func ExamplePut() {
	url, drop := testenv.ExampleURL() // elsewhere postgres://user@host/database
	defer drop()
	ctx := context.Background()
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(ctx, `create table reports (name text primary key)`); err != nil {
		log.Fatal(err)
	}

	var made domain.Schedule
	err = outbox.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `insert into reports (name) values ('sales')`); err != nil {
			return err
		}
		made, err = outbox.Put(ctx, tx, domain.Definition{
			Name: "report-sales", CronExpression: "0 6 * * mon-fri", Timezone: "Europe/Berlin", TaskName: "reports.make",
		})
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(made.Name, "version", made.Version)
	// Output: report-sales version 1
}

// A service without rows of its own beside the schedule lets a store open the transactions. The check refuses tasks
// that workers could never be handed.
func ExampleStore() {
	url, drop := testenv.ExampleURL()
	defer drop()
	ctx := context.Background()
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	store := outbox.NewStore(db, "UTC", handover.Limits{}.Check)
	hourly := domain.Definition{Name: "hourly", IntervalSeconds: 3600, TaskName: "app.sync"}
	s, err := store.Create(ctx, hourly, "", nil)
	if err != nil {
		log.Fatal(err)
	}
	if s, err = store.SetEnabled(ctx, s.ID, s.Version, false); err != nil {
		log.Fatal(err)
	}
	fmt.Println(s.Name, "version", s.Version, "enabled:", s.IsEnabled())

	hourly.Queue = "unacked" // Celery's own name for messages in hand
	_, _, err = store.Put(ctx, hourly)
	fmt.Println(domain.FaultsOf(err)[0].Field)
	// Output:
	// hourly version 2 enabled: false
	// /queue
}

// A calendar, a schedule that keeps off its days, and the route of the tasks are written together.
func ExamplePutCalendar() {
	url, drop := testenv.ExampleURL()
	defer drop()
	ctx := context.Background()
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	holidays := domain.Calendar{Name: "holidays", Days: []calendar.Item{{From: "2027-01-01", Reason: "New Year's Day"}}}
	daily := domain.Definition{
		Name: "report", CronExpression: "0 6 * * *", TaskName: "reports.make", ExcludeCalendars: []string{"holidays"},
	}
	ctx = outbox.WithActor(ctx, "reports", "the branch opens")
	err = outbox.InTx(ctx, db, func(tx pgx.Tx) error {
		if _, err := outbox.PutCalendar(ctx, tx, holidays); err != nil {
			return err
		}
		if _, err := outbox.Put(ctx, tx, daily); err != nil {
			return err
		}
		route := domain.Route{Pattern: "reports.*", Queue: "reports"}
		_, err := outbox.PutRoute(ctx, tx, route, "", handover.Limits{}.Check)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	err = outbox.InTx(ctx, db, func(tx pgx.Tx) error { return outbox.DeleteCalendar(ctx, tx, "holidays") })
	fmt.Println(err)
	// Output: calendar_in_use: schedules use the calendar (report): take it out of them first
}
