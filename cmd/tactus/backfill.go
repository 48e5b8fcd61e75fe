package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tactus-dev/tactus/outbox"
)

// backfillCmd requests a backfill.
type backfillCmd struct {
	oneSchedule
	From   pastTime `required:"" placeholder:"TIME" help:"Run due times from this time on: a time (without an offset, in the zone of the schedule), a day, or how long ago (48h, 30d)."`
	To     pastTime `placeholder:"TIME" help:"Run due times up to this time; up to now unless given."`
	Policy string   `name:"execution-policy" enum:",allow,queue" default:"" help:"${backfill_execution_policy}"`
	Order  string   `enum:"oldest_first,newest_first" default:"oldest_first" help:"${backfill_order}"`
	Active int      `name:"max-active" default:"1" help:"How many of its runs may be unfinished at a time, at most 100."`
	Again  bool     `help:"Include due times that have run already."`
	DryRun bool     `help:"Only show what would run."`
}

// Run requests a backfill.
func (c backfillCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx) // --reason, which every command has
	members := filled("from", string(c.From), "to", string(c.To), "execution_policy", c.Policy, "order", c.Order, "reason", reason)
	members["max_active"], members["again"], members["dry_run"] = c.Active, c.Again, c.DryRun
	return c.send(ctx, to, http.MethodPost, "/backfill", members)
}

// backfillsCmd calls the API about backfills that were requested before.
type backfillsCmd struct {
	List   backfillsListCmd   `cmd:"" help:"List the backfills of a schedule, newest first."`
	Get    backfillsGetCmd    `cmd:"" help:"Show the progress of a backfill."`
	Cancel backfillsCancelCmd `cmd:"" help:"Stop a backfill from making further runs."`
}

type backfillsListCmd struct {
	oneSchedule
	Limit int `short:"n" default:"50" help:"How many to show, at most 200."`
}

// Run lists backfills.
func (c backfillsListCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/backfills?limit="+strconv.Itoa(c.Limit), nil)
}

// oneBackfill has the argument that names a backfill.
type oneBackfill struct {
	clientFlags
	ID string `arg:"" name:"backfill" help:"Id of the backfill."`
}

func (c oneBackfill) send(ctx context.Context, to console, method, action string, body any) error {
	answer, err := c.call(ctx, method, "/backfills/"+url.PathEscape(c.ID)+action, body)
	if err != nil {
		return named(err, "backfill", c.ID)
	}
	return c.show(to.out, answer)
}

type backfillsGetCmd struct{ oneBackfill }

// Run shows a backfill.
func (c backfillsGetCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "", nil)
}

type backfillsCancelCmd struct {
	oneBackfill
	Runs      bool `help:"Cancel its unfinished runs, too."`
	Terminate bool `help:"With --runs: kill tasks that are running already."`
}

// Run cancels a backfill.
func (c backfillsCancelCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx)
	members := filled("reason", reason)
	members["runs"], members["terminate"] = c.Runs, c.Terminate
	return c.send(ctx, to, http.MethodPost, "/cancel", members)
}
