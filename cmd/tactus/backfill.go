package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tactus-dev/tactus/outbox"
)

// backfillCmd asks for a backfill.
type backfillCmd struct {
	oneSchedule
	From   string `required:"" placeholder:"TIME" help:"The first instant whose due time is to run (RFC 3339, or local in its zone)."`
	To     string `placeholder:"TIME" help:"The last one; now unless given."`
	Policy string `name:"execution-policy" enum:",allow,queue" default:"" help:"Whether its runs may begin beside other runs of the schedule (allow) or wait for them (queue); unless given, as the schedule's own runs."`
	Order  string `enum:"oldest_first,newest_first" default:"oldest_first" help:"oldest_first or newest_first."`
	Active int    `name:"max-active" default:"1" help:"How many of its runs may be unfinished at a time, at most 100."`
	Again  bool   `help:"Run also what ran already."`
	DryRun bool   `help:"Only show what would run."`
}

// Run asks for a backfill.
func (c backfillCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx) // --reason, which every command has
	members := filled("from", c.From, "to", c.To, "execution_policy", c.Policy, "order", c.Order, "reason", reason)
	members["max_active"], members["again"], members["dry_run"] = c.Active, c.Again, c.DryRun
	return c.send(ctx, to, http.MethodPost, "/backfill", members)
}

// backfillsCmd calls the API about backfills that have been asked for.
type backfillsCmd struct {
	List   backfillsListCmd   `cmd:"" help:"List the backfills of a schedule, newest first."`
	Get    backfillsGetCmd    `cmd:"" help:"Show how far a backfill is."`
	Cancel backfillsCancelCmd `cmd:"" help:"Have a backfill make no further runs."`
}

type backfillsListCmd struct {
	oneSchedule
	Limit int `default:"50" help:"How many to show, at most 200."`
}

// Run lists backfills.
func (c backfillsListCmd) Run(ctx context.Context, to console) error {
	return c.send(ctx, to, http.MethodGet, "/backfills?limit="+strconv.Itoa(c.Limit), nil)
}

// oneBackfill names a backfill.
type oneBackfill struct {
	clientFlags
	ID string `arg:"" name:"backfill" help:"Id of the backfill."`
}

func (c oneBackfill) send(ctx context.Context, to console, method, action string, body any) error {
	answer, err := c.call(ctx, method, "/backfills/"+url.PathEscape(c.ID)+action, body)
	if err != nil {
		return err
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
	Terminate bool `help:"With --runs: kill what runs."`
}

// Run cancels a backfill.
func (c backfillsCancelCmd) Run(ctx context.Context, to console) error {
	_, reason := outbox.ActorOf(ctx)
	members := filled("reason", reason)
	members["runs"], members["terminate"] = c.Runs, c.Terminate
	return c.send(ctx, to, http.MethodPost, "/cancel", members)
}
