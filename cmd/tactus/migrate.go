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
		if err := migrations.Up(ctx, c.DatabaseURL.reveal()); err != nil {
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
