package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"

	"github.com/tactus-dev/tactus/internal/importer"
)

// importRoutesCmd imports where an application sends its tasks. Schedules that do not say so use these routes: those of
// adopted tables, and those created over HTTP or SQL.
type importRoutesCmd struct {
	databaseFlags
	queueFlag
	Source string   `placeholder:"LABEL" help:"Name of the application (default: as it was given to the script, with its host and directory)."`
	Accept []string `placeholder:"KIND" help:"Import patterns despite these kinds of differences from Celery: ${differences}."`
	DryRun bool     `help:"Show the plan, and change nothing."`
	pruneFlags
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
	File   string `arg:"" optional:"" default:"-" help:"Output of the script; - reads standard input."`
}

// Run imports routes.
func (c importRoutesCmd) Run(ctx context.Context, to console) error {
	if err := knownKinds(c.Accept, importer.Kinds); err != nil {
		return err
	}
	application, err := readApplication(c.File, to)
	if err != nil {
		return err
	}
	named := importFlags{Source: c.Source}
	source, err := named.fromApplication(application)
	if err != nil {
		return err
	}
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	i := importer.New(pool, source, "", c.Accept...)
	if err := named.alone(ctx, i, application.Names()...); err != nil {
		return err
	}
	rows, err := i.PlanRoutes(ctx, application)
	if err != nil {
		return err
	}
	for _, pattern := range application.Left {
		say(to.problems, "%s routes tasks of the application and cannot be imported; the script asked it "+
			"about the tasks that the application has\n", pattern)
	}
	for _, name := range slices.Sorted(maps.Keys(application.NotAsked)) {
		say(to.problems, "cannot tell where %s goes, because Celery, or a router, cannot send it without arguments: %s\n",
			name, application.NotAsked[name])
	}
	moved, err := i.Rerouted(ctx, rows, c.prunes(), c.Queue)
	if err != nil {
		return err
	}
	refused, err := c.show(to, rows, moved)
	if err != nil {
		return err
	}
	gone, left := importer.RemainingRoutes(rows)
	if err := c.checks(gone, left, "route", "routes"); err != nil {
		return err
	}
	if !c.DryRun {
		if err := i.ApplyRoutes(ctx, rows, c.prunes()); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%s refused", counted(refused, "route is", "routes are"))
	}
	return nil
}

func (c importRoutesCmd) show(to console, rows []importer.RouteRow, moved []importer.Rerouted) (refused int,
	err error,
) {
	for _, r := range rows {
		if r.Change == "refused" {
			refused++
		}
	}
	if c.Output == "json" {
		return refused, printJSON(to.out, map[string]any{"routes": rows, "schedules": moved})
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHANGE\tPATTERN\tQUEUE\tPRIORITY\tEXPIRES\tREMARKS")
	for _, r := range rows {
		remark := r.Reason
		if remark == "" {
			remark = remarks("", r.Differences)
		}
		queue := r.Queue
		if r.Exchange != "" {
			queue = r.Exchange + "/" + r.RoutingKey
		}
		say(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Change, text(r.Pattern), text(queue), priority(r.Priority),
			expiry(r.ExpiresSeconds), text(remark))
	}
	moves(table, "By these routes stored schedules are sent otherwise than now:", moved)
	return refused, table.Flush()
}

func expiry(seconds int64) string {
	if seconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%d s", seconds)
}

func priority(p *int) string {
	if p == nil {
		return "-"
	}
	return fmt.Sprint(*p)
}
