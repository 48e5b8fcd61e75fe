package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/tactus-dev/tactus/internal/importer"
)

// routeCmd calls the API about routes. The routes of an application are imported by tactus import routes.
type routeCmd struct {
	List   routeListCmd   `cmd:"" help:"List the routes, ordered by pattern."`
	Set    routeSetCmd    `cmd:"" help:"Set the route of a task, or of all tasks whose names match a pattern. There can be 10,000 routes, 1,000 of them patterns."`
	Delete routeDeleteCmd `cmd:"" help:"Delete a route."`
}

type routeListCmd struct {
	clientFlags
	Page    int `default:"1" help:"Page, from 1 on."`
	PerPage int `default:"50" help:"Routes on a page, at most 1000."`
}

// Run lists routes.
func (c routeListCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	answer, err := c.call(ctx, http.MethodGet, "/routes?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type routeSetCmd struct {
	clientFlags
	Pattern              string    `arg:"" help:"Name of a task, or a pattern: * matches any text, ? any one character."`
	Queue                string    `placeholder:"QUEUE" help:"Queue that the tasks go to."`
	Exchange             string    `placeholder:"EXCHANGE" help:"Exchange that the tasks go through; it needs a routing key."`
	RoutingKey           string    `placeholder:"KEY" help:"Routing key; it needs an exchange."`
	Priority             *int      `placeholder:"NUMBER" help:"Priority, 0 to 255; on Redis 0 is the highest."`
	ExpiresSeconds       inSeconds `name:"expires" placeholder:"LENGTH" help:"How long after it was handed over no worker starts the task any more, in seconds or as in 5m."`
	TimeLimitSeconds     inSeconds `name:"time-limit" placeholder:"LENGTH" help:"How long after its start the worker kills the task."`
	SoftTimeLimitSeconds inSeconds `name:"soft-time-limit" placeholder:"LENGTH" help:"How long after its start the worker asks the task to end."`
	IgnoreResult         bool      `help:"Do not keep the task's result."`
	DryRun               bool      `help:"Only tell which stored schedules would be sent otherwise, and change nothing."`
}

// Run sets a route.
func (c routeSetCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodPut, routePath(c.Pattern, c.DryRun), c.members())
	if err != nil {
		return err
	}
	if err := c.showRoute(to.out, answer); err != nil || !c.tabular() {
		return err
	}
	return c.showMoves(to.out, answer, c.DryRun)
}

// members returns the given members of the route, unchecked: the API reports all their faults at once.
func (c routeSetCmd) members() map[string]any {
	members := filled("queue", c.Queue, "exchange", c.Exchange, "routing_key", c.RoutingKey)
	given(members, map[string]*int{"priority": c.Priority})
	for name, length := range map[string]inSeconds{
		"expires_seconds": c.ExpiresSeconds, "time_limit_seconds": c.TimeLimitSeconds, "soft_time_limit_seconds": c.SoftTimeLimitSeconds,
	} {
		if length != 0 {
			members[name] = length
		}
	}
	if c.IgnoreResult {
		members["ignore_result"] = true
	}
	return members
}

// showRoute prints the members of a route. The schedules that it moves have a table of their own.
func (c routeSetCmd) showRoute(to io.Writer, answer []byte) error {
	if !c.tabular() {
		return c.show(to, answer)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(answer, &members); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	delete(members, "moves")
	delete(members, "moves_cut")
	route, err := json.Marshal(members)
	if err != nil {
		return err
	}
	return c.show(to, route)
}

type routeDeleteCmd struct {
	clientFlags
	Pattern string `arg:"" help:"Pattern of the route."`
	DryRun  bool   `help:"Only tell which stored schedules would be sent otherwise, and change nothing."`
}

// Run deletes a route.
func (c routeDeleteCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodDelete, routePath(c.Pattern, c.DryRun), nil)
	if err != nil {
		return named(err, "route", c.Pattern)
	}
	if err := c.showMoves(to.out, answer, c.DryRun); err != nil || !c.tabular() {
		return err
	}
	if c.DryRun {
		say(to.problems, "dry run: the route %s is there, and would be deleted\n", text(c.Pattern))
	} else {
		say(to.problems, "the route %s is deleted\n", text(c.Pattern))
	}
	return nil
}

func routePath(pattern string, dryRun bool) string {
	path := "/routes/" + url.PathEscape(pattern)
	if dryRun {
		path += "?dry_run=true"
	}
	return path
}

// showMoves prints which stored schedules a change of a route moves. Servers of earlier versions do not report them.
func (c clientFlags) showMoves(to io.Writer, answer []byte, dryRun bool) error {
	if !c.tabular() || len(answer) == 0 {
		return c.show(to, answer)
	}
	var told importer.Moves
	if err := json.Unmarshal(answer, &told); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	said := "By this change stored schedules are sent otherwise than before:"
	if dryRun {
		said = "By this change stored schedules would be sent otherwise than now:"
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	moves(table, said, told.Moves)
	if len(told.Moves) == 0 && dryRun {
		fmt.Fprintln(table, "No stored schedule would be sent otherwise than now.")
	}
	if told.Cut {
		fmt.Fprint(table, "\nThere may be more: only some of the schedules of these tasks are looked at, and told.\n")
	}
	return table.Flush()
}

// moves prints which stored schedules are sent elsewhere, if there are any.
func moves(to io.Writer, said string, moved []importer.Rerouted) {
	if len(moved) == 0 {
		return
	}
	say(to, "\n%s\nTASK\tSCHEDULES\tWHAT CHANGES\tNAMES\n", said)
	for _, m := range moved {
		names := strings.Join(m.Names, ", ")
		if more := m.Schedules - int64(len(m.Names)); more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		say(to, "%s\t%d\t%s\t%s\n", text(m.TaskName), m.Schedules, text(remarks("", m.Differences)), text(names))
	}
}
