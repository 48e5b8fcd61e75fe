package main

import (
	"context"
	"fmt"

	"github.com/tactus-dev/tactus/migrations"
)

type migrateCmd struct {
	databaseFlags
	Status bool `help:"Only print the version of the schema."`
}

// Run migrates, and prints the version of the schema.
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

// migrate migrates the schema, and warns if a superuser owns it.
func migrate(ctx context.Context, url string, to console) error {
	if err := migrations.Up(ctx, url, func(text string) { fmt.Fprintln(to.problems, "tactus:", text) }); err != nil {
		return err
	}
	superuser, err := migrations.Superuser(ctx, url)
	if superuser != "" {
		fmt.Fprintf(to.problems, "tactus: %s is a superuser, and functions of the schema that others call run with "+
			"its rights: let a plain role own the schema"+
			" (docs/roles.md, \"From a superuser to a plain role\")\n", superuser)
	}
	return err
}
