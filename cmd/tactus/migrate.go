package main

import (
	"context"
	"fmt"

	"github.com/tactus-dev/tactus/migrations"
)

type migrateCmd struct {
	databaseFlags
	Status bool `help:"Only tell the version of the schema."`
}

// Run migrates.
func (c migrateCmd) Run(ctx context.Context, to console) error {
	if err := c.validate(); err != nil {
		return err
	}
	if !c.Status {
		if err := migrate(ctx, c.DatabaseURL.reveal(), to); err != nil {
			return err
		}
	}
	current, newest, err := migrations.Versions(ctx, c.DatabaseURL.reveal())
	if err != nil {
		return err
	}
	fmt.Fprintf(to.out, "schema version %d of %d\n", current, newest)
	return nil
}

// migrate migrates, and says when a superuser does.
func migrate(ctx context.Context, url string, to console) error {
	if err := migrations.Up(ctx, url, func(text string) { fmt.Fprintln(to.problems, "tactus:", text) }); err != nil {
		return err
	}
	superuser, err := migrations.Superuser(ctx, url)
	if superuser != "" {
		fmt.Fprintf(to.problems, "tactus: %s is a superuser, with whose rights the functions of the schema run that others call: let a plain role own it"+
			" (docs/roles.md, \"From a superuser to a plain role\")\n", superuser)
	}
	return err
}
