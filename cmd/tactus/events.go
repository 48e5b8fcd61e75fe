package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	tactusapi "github.com/tactus-dev/tactus/clients/go"
	"github.com/tactus-dev/tactus/internal/wait"
	"github.com/tactus-dev/tactus/outbox"
)

// logCmd calls the API about the log of changes.
type logCmd struct {
	List logListCmd `cmd:"" help:"List the newest changes of all schedules, calendars and others, the newest last."`
	Tail logTailCmd `cmd:"" help:"Print changes as they are committed."`
}

// eventChoice has the flags that select events.
type eventChoice struct {
	Schedule   string `help:"Only events of the schedule with this id or name."`
	Type       string `help:"Only events of this type, such as schedule.updated. Those of routes, notification rules, backfills and zones are shown only where they are asked for: route.set, rule.deleted ..."`
	Actor      string `placeholder:"ACTOR" help:"Only events that this actor made, such as key:deploy."`
	OnBehalfOf string `placeholder:"USER" help:"Only events of which their writer says that they were made on behalf of this user."`
	After      string `placeholder:"CURSOR" help:"Only events behind this cursor, which -o json shows as next."`
}

func (f eventChoice) params(ctx context.Context, c clientFlags) (p tactusapi.ListEventsParams, err error) {
	set := func(text string) *string {
		if text == "" {
			return nil
		}
		return &text
	}
	p.Actor, p.OnBehalfOf, p.After = set(f.Actor), set(f.OnBehalfOf), set(f.After)
	if f.Type != "" {
		of := tactusapi.ListEventsParamsType(f.Type)
		p.Type = &of
	}
	if f.Schedule != "" {
		id, err := c.scheduleID(ctx, f.Schedule)
		if err != nil {
			return p, err
		}
		p.Schedule = &id
	}
	return p, nil
}

type logListCmd struct {
	clientFlags
	eventChoice
	Limit int `short:"n" default:"50" help:"How many events to show. The log is read from --after on, or from its beginning."`
}

// eventList is what is printed of the log.
type eventList struct {
	Events []json.RawMessage `json:"events"`
	Next   string            `json:"next"`
}

// Run lists events.
func (c logListCmd) Run(ctx context.Context, to console) error {
	if c.Limit < 1 {
		return usage("--limit %d: want 1 or more", c.Limit)
	}
	params, err := c.params(ctx, c.clientFlags)
	if err != nil {
		return err
	}
	query := url.Values{"limit": {"1000"}}
	for name, value := range map[string]*string{
		"schedule": params.Schedule, "actor": params.Actor, "on_behalf_of": params.OnBehalfOf, "after": params.After,
		"type": (*string)(params.Type),
	} {
		if value != nil {
			query.Set(name, *value)
		}
	}
	list := eventList{Events: []json.RawMessage{}}
	for more := true; more; {
		answer, err := c.call(ctx, http.MethodGet, "/events?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		var page struct {
			eventList
			More bool
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		list.Events, list.Next, more = append(list.Events, page.Events...), page.Next, page.More
		list.Events = list.Events[max(0, len(list.Events)-c.Limit):]
		query.Set("after", page.Next)
	}
	if !c.tabular() {
		return c.showAny(to.out, list)
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	say(table, "TIME\tTYPE\tNAME\tVERSION\tACTOR\tREASON\n")
	for _, raw := range list.Events {
		e, err := readEvent(raw)
		if err != nil {
			return err
		}
		e.row(table, "\t")
	}
	return table.Flush()
}

// loggedEvent is what a line shows of an event.
type loggedEvent struct {
	Type, Time, Subject, Actor, OnBehalfOf, Reason string

	Data struct {
		Name, Pattern, Zone string
		Version             int64
	}
}

func readEvent(raw json.RawMessage) (e loggedEvent, err error) {
	if err := json.Unmarshal(raw, &e); err != nil {
		return e, fmt.Errorf("read an event: %w", err)
	}
	return e, nil
}

func (e loggedEvent) row(to io.Writer, between string) {
	name := e.Subject
	for _, said := range []string{e.Data.Zone, e.Data.Pattern, e.Data.Name} {
		if said != "" {
			name = said
		}
	}
	actor := e.Actor
	if e.OnBehalfOf != "" {
		actor += " (" + e.OnBehalfOf + ")"
	}
	cells := []string{here(e.Time), e.Type, name, fmt.Sprint(e.Data.Version), actor, e.Reason}
	for i, cell := range cells {
		if cells[i] = text(cell); cell == "" || cell == "0" {
			cells[i] = "-"
		}
	}
	say(to, "%s\n", ours(strings.Join(cells, between)))
}

type logTailCmd struct {
	clientFlags
	eventChoice
}

// Run prints events until ctx ends. While the server is away it waits, and goes on behind the last event.
func (c logTailCmd) Run(ctx context.Context, to console) error {
	params, err := c.params(ctx, c.clientFlags)
	if err != nil {
		return err
	}
	actor, _ := outbox.ActorOf(ctx)
	client, err := c.api(actor)
	if err != nil {
		return err
	}
	at := "now"
	if c.After != "" {
		at = c.After
	}
	for connected := false; ; {
		params.After = &at
		err := c.follow(ctx, to, client, params, func(cursor string) { at, connected = cursor, true })
		refused, isRefused := errors.AsType[*tactusapi.Error](err)
		switch {
		case ctx.Err() != nil:
			return nil
		case isRefused:
			return refusedBy(refused)
		case err != nil && !connected || !tactusapi.Unanswered(err):
			return err
		}
		say(to.problems, "the server does not answer (%v): waiting for it\n", err)
		_ = wait.For(ctx, time.Second)
	}
}

func (c logTailCmd) follow(
	ctx context.Context, to console, client *tactusapi.Client, params tactusapi.ListEventsParams, behind func(string),
) error {
	for e, err := range client.Follow(ctx, params) {
		if err != nil {
			return err
		}
		if c.tabular() {
			read, err := readEvent(e.Event)
			if err != nil {
				return err
			}
			read.row(to.out, "  ")
		} else {
			say(to.out, "%s\n", ours(string(e.Event)))
		}
		behind(e.Cursor)
	}
	return nil
}
