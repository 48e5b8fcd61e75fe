package outbox_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
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

// The log is read by snapshots: what is visible now and was not visible in the snapshot before.
func ExampleRead() {
	url, drop := testenv.ExampleURL()
	defer drop()
	ctx := context.Background()
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	store := outbox.NewStore(db, "UTC")
	s, err := store.Create(ctx, domain.Definition{Name: "hourly", IntervalSeconds: 3600, TaskName: "app.sync"}, "", nil)
	if err != nil {
		log.Fatal(err)
	}
	before, err := outbox.Current(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := store.SetEnabled(ctx, s.ID, 0, false); err != nil {
		log.Fatal(err)
	}
	now, err := outbox.Current(ctx, db)
	if err != nil {
		log.Fatal(err)
	}
	for row, err := range outbox.Read(ctx, db, outbox.Schedules, before, now) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(row.Type, "version", row.Version)
	}
	// Output: schedule.disabled version 2
}
