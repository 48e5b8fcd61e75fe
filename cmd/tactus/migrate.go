package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/migrations"
)

type migrateCmd struct {
	databaseFlags
	Status bool `xor:"look" help:"Only print the version of the schema, and what it lacks; the exit code is 1 if that is something."`
	Plan   bool `xor:"look" help:"Only print what would be applied, what that locks, and about how long."`
	roleFlags
}

// Run migrates, and prints the version of the schema.
func (c migrateCmd) Run(ctx context.Context, to console) error {
	if err := c.validateRoles(); err != nil {
		return err
	}
	if c.Print {
		return c.print(to.out)
	}
	if err := c.validate(); err != nil {
		return err
	}
	conn, err := postgres.Connect(ctx, c.DatabaseURL.reveal())
	if err != nil {
		return fmt.Errorf("migrate: look at the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	switch {
	case c.Status:
		return printState(ctx, conn, to.out)
	case c.Plan:
		return printPlan(ctx, conn, to.out)
	case c.Roles:
		owns, err := c.make(ctx, conn, to)
		if err != nil || !owns {
			return err
		}
	}
	if err := migrate(ctx, c.DatabaseURL.reveal(), to); err != nil {
		return err
	}
	if err := c.grant(ctx, conn, to); err != nil {
		return err
	}
	return printState(ctx, conn, to.out)
}

// errIncomplete is what --status ends with when the schema lacks something.
var errIncomplete = errors.New(`the schema lacks what this program needs: run "tactus migrate"`)

// printState prints what the schema has, and a line for each thing that it lacks.
func printState(ctx context.Context, conn *pgx.Conn, out io.Writer) error {
	s, err := migrations.Look(ctx, conn)
	if err != nil {
		return err
	}
	say(out, "schema version %d of %d\n", s.Version(), migrations.Newest())
	for _, name := range s.Missing {
		say(out, "missing: migration %s\n", name)
	}
	for _, name := range s.Lacking {
		say(out, "missing: column %s\n", name)
	}
	if later := s.Later(); len(later) > 0 {
		say(out, "of a later program: %s\n", strings.Trim(fmt.Sprint(later), "[]"))
	}
	if len(s.Missing)+len(s.Lacking) > 0 {
		return errIncomplete
	}
	return nil
}

// printPlan prints the migrations to come with their locks.
func printPlan(ctx context.Context, conn *pgx.Conn, out io.Writer) error {
	steps, err := migrations.Plan(ctx, conn)
	if err != nil {
		return err
	}
	if len(steps) == 0 {
		fmt.Fprintln(out, "nothing is to be applied")
		return nil
	}
	for _, step := range steps {
		say(out, "%s\n", step.Name)
		if len(step.Locks) == 0 {
			fmt.Fprintln(out, "  stops nobody")
		}
		for _, l := range step.Locks {
			say(out, "  %s (%s): %s\n", l.Table, size(l.Bytes), lockText(l))
		}
	}
	fmt.Fprintln(out, "\nEach migration is a transaction. It waits for the transactions that use what it locks, and"+
		" whoever comes after it waits behind it: end long ones first.")
	return nil
}

func lockText(l migrations.Lock) string {
	stops := "stops writers"
	if l.Readers {
		stops = "stops writers and readers"
	}
	if len(l.Work) == 0 {
		return stops + " for an instant"
	}
	does := map[string]string{"index": "builds an index", "scan": "checks every row", "rewrite": "writes it anew"}
	words := make([]string, len(l.Work))
	for i, w := range l.Work {
		words[i] = does[w]
	}
	about := "less than a second"
	if l.About >= time.Second {
		about = "about " + l.About.Round(time.Second).String()
	}
	return fmt.Sprintf("%s for %s (%s)", stops, about, strings.Join(words, ", "))
}

// size is a number of bytes for people.
func size(bytes int64) string {
	switch {
	case bytes >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30))
	case bytes >= 1<<20:
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d KiB", bytes>>10)
}

// migrate migrates the schema, and warns if a superuser owns it.
func migrate(ctx context.Context, url string, to console) error {
	if err := migrations.Up(ctx, url, func(text string) { say(to.problems, "tactus: %s\n", text) }); err != nil {
		return err
	}
	superuser, err := migrations.Superuser(ctx, url)
	if superuser != "" {
		sayLine(to.problems, "tactus: %s is a superuser, and functions of the schema that others call run with "+
			"its rights: let a plain role own the schema"+
			" (docs/roles.md, \"From a superuser to a plain role\")", superuser)
	}
	return err
}
