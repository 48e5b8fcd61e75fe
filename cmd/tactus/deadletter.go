package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// deadletterCmd shows and handles dead letters: rows set aside so that the rows behind them go on.
type deadletterCmd struct {
	List  lettersCmd `cmd:"" help:"Show what was set aside, oldest first."`
	Retry retryCmd   `cmd:"" help:"Put dead letters back, once their cause is fixed."`
	Drop  dropCmd    `cmd:"" help:"Remove dead letters from the list for good."`
}

// letterBox returns the box of dead letters for a relay and a beat on these servers. Without a Redis, the box has only
// the letters in PostgreSQL, and can only put back those that do not need Redis.
func letterBox(pool *pgxpool.Pool, events goredis.UniversalClient, stream string, lease time.Duration) *deadletter.Box {
	box := &deadletter.Box{
		Pool: pool, Stream: stream, Tasks: []string{celerySink, streamsSink}, Lease: lease,
		Events: relay.Route{Name: eventSink, Topic: outbox.Schedules, Encode: cloudevents.Schedule},
	}
	if events != nil {
		box.Redis, box.Events.Sink = events, redis.NewEventSink(events, redis.EventConfig{Stream: stream})
	}
	return box
}

// letterFlags say where dead letters are kept, and how to print them.
type letterFlags struct {
	databaseFlags
	redisFlags
	Source string `placeholder:"SOURCE" help:"Only dead letters of this source: events, celery, streams, beat or entries."`
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

func (f letterFlags) validate() error {
	switch f.Source {
	case "", eventSink, celerySink, streamsSink, deadletter.FromBeat, deadletter.FromEntries:
		return nil
	}
	return usage("--source %q: want events, celery, streams, beat or entries", f.Source)
}

// open returns the box, and a function that closes its connections.
func (f letterFlags) open(ctx context.Context, lease time.Duration) (*deadletter.Box, func(), error) {
	if err := f.validate(); err != nil {
		return nil, nil, err
	}
	pool, client, err := connectBoth(ctx, f.databaseFlags, f.redisFlags)
	if err != nil {
		return nil, nil, err
	}
	return letterBox(pool, client, f.stream(), lease), func() {
		pool.Close()
		_ = client.Close() // the command has finished with it
	}, nil
}

type lettersCmd struct {
	letterFlags
	Limit int `short:"n" default:"100" help:"Show at most this many, the newest; 0 for all."`
}

// Run lists dead letters.
func (c lettersCmd) Run(ctx context.Context, to console) error {
	if c.Limit < 0 {
		return usage("--limit %d: want a number, or 0", c.Limit)
	}
	box, closeAll, err := c.open(ctx, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	letters, err := box.List(ctx, deadletter.Filter{Source: c.Source, Limit: c.Limit})
	if err != nil && len(letters) == 0 { // it is not known whether there are any
		return err
	}
	return errors.Join(c.print(to.out, letters), err)
}

// chosenFlags choose dead letters, by their ids or all of them.
type chosenFlags struct {
	letterFlags
	IDs []string `arg:"" optional:"" name:"id" help:"Ids, as the list shows them."`
	All bool     `help:"All dead letters, or all of --source."`
}

// chosen returns the chosen dead letters. It returns an error if one of them does not exist.
func (c chosenFlags) chosen(ctx context.Context, box *deadletter.Box) ([]deadletter.Letter, error) {
	letters, err := box.List(ctx, deadletter.Filter{Source: c.Source, IDs: c.IDs})
	if errors.Is(err, deadletter.ErrID) {
		return nil, usage("%v", err)
	}
	return letters, err
}

func (c chosenFlags) validate() error {
	switch {
	case len(c.IDs) == 0 && !c.All:
		return usage("say which: ids as the list shows them, or --all")
	case len(c.IDs) > 0 && (c.All || c.Source != ""):
		return usage("give ids, or --all with or without --source, not both")
	}
	return c.letterFlags.validate()
}

type retryCmd struct {
	chosenFlags
	leaseFlags
}

// Run puts dead letters back. It fails if one of them stays.
func (c retryCmd) Run(ctx context.Context, to console) error {
	if err := errors.Join(c.chosenFlags.validate(), c.leaseFlags.validate()); err != nil {
		return err
	}
	box, closeAll, err := c.open(ctx, c.lease())
	if err != nil {
		return err
	}
	defer closeAll()
	letters, err := c.chosen(ctx, box)
	if err != nil {
		return err
	}
	box.Patience = time.Minute
	done, err := box.Retry(ctx, letters)
	again := 0
	for _, o := range done {
		if o.Again {
			again++
		}
	}
	if err := errors.Join(c.tell(to.out, done, again), err); err != nil {
		return err
	}
	if again < len(letters) {
		return errReported
	}
	return nil
}

func (c retryCmd) tell(to io.Writer, done []deadletter.Outcome, again int) error {
	if c.Output == "json" {
		return printList(to, done)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, o := range done {
		what := "stays"
		if o.Again {
			what = "put back"
		}
		say(table, "%s\t%s\t%s\t%s\t%s\n", o.ID, text(o.Source), text(o.Reference), what, text(o.Result))
	}
	say(table, "%d put back, %d stay%s\n", again, len(done)-again, ofThemLocked(done))
	return table.Flush()
}

// ofThemLocked returns a text with the number of letters that were passed over because of a lock.
func ofThemLocked(done []deadletter.Outcome) string {
	locked := 0
	for _, o := range done {
		if o.Locked {
			locked++
		}
	}
	if locked == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d skipped: locked)", locked)
}

type dropCmd struct{ chosenFlags }

// Run drops dead letters, and prints what it dropped.
func (c dropCmd) Run(ctx context.Context, to console) error {
	if err := c.chosenFlags.validate(); err != nil {
		return err
	}
	box, closeAll, err := c.open(ctx, 0)
	if err != nil {
		return err
	}
	defer closeAll()
	letters, err := c.chosen(ctx, box)
	if err != nil {
		return err
	}
	dropped, err := box.Drop(ctx, letters)
	if c.Output == "json" {
		return errors.Join(printList(to.out, dropped), err)
	}
	for _, l := range dropped {
		say(to.out, "dropped %s: %s %s: %s\n", l.ID, text(l.Source), text(l.Reference), inCell(l.Reason))
	}
	if skipped := len(letters) - len(dropped); err == nil && skipped > 0 {
		say(to.out, "%d dropped, %d skipped: locked by somebody, or gone already\n", len(dropped), skipped)
		return errReported
	}
	say(to.out, "%d dropped\n", len(dropped))
	return err
}

func (f letterFlags) print(to io.Writer, letters []deadletter.Letter) error {
	if f.Output == "json" {
		return printList(to, letters)
	}
	if len(letters) == 0 {
		_, err := fmt.Fprintln(to, "nothing is set aside")
		return err
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSOURCE\tREFERENCE\tSET ASIDE AT\tREASON\tDATA")
	for _, l := range letters {
		say(table, "%s\t%s\t%s\t%s\t%s\t%s\n", l.ID, text(l.Source), text(l.Reference),
			l.At.UTC().Format(time.RFC3339), inCell(l.Reason), inCell(l.Data))
	}
	return table.Flush()
}

// printList prints a list as JSON; an empty or nil list is [].
func printList[T any](to io.Writer, list []T) error {
	e := json.NewEncoder(to)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(append([]T{}, list...))
}

const mostInCell = 100

// inCell returns the beginning of a text, on one line.
func inCell(s string) string {
	if runes := []rune(s); len(runes) > mostInCell {
		s = string(runes[:mostInCell-1]) + "…"
	}
	return text(s)
}
