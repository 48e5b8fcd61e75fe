package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/internal/projection"
)

type rebuildCmd struct {
	databaseFlags
	Swap bool `help:"Replace the rows that differ, in one transaction, and keep the old ones in tactus.schedules_replaced."`
}

// Run rebuilds the table of schedules from the events, beside the existing table, and compares the two.
func (c rebuildCmd) Run(ctx context.Context, to console) error {
	if err := c.validate(); err != nil {
		return err
	}
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	result, err := projection.Rebuild(ctx, pool,
		projection.Config{Swap: c.Swap, Tell: func(d projection.Difference) error {
			_, err := say(to.out, "%s/%d  %s\n", d.ID, d.Version, strings.Join(d.What, "; "))
			return err
		}})
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	say(to.out, "%d schedules made from their events, %d differ from tactus.schedules\n", result.Schedules,
		result.Different)
	switch {
	case result.Different == 0:
		return nil
	case !c.Swap:
		fmt.Fprintln(to.out, "put them right with: tactus rebuild --swap")
		return errReported
	}
	say(to.out, "%d put right; the rows that were there are in tactus.schedules_replaced\n", result.Replaced)
	if result.Left > 0 {
		say(to.out, "%d left as they are, because they cannot be rebuilt or changed meanwhile: run it again\n",
			result.Left)
		return errReported
	}
	return nil
}
