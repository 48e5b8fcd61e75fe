package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/replay"
)

type replayCmd struct {
	databaseFlags
	redisFlags
	queueFlags
	From     bound    `placeholder:"POSITION|TIME" help:"First event: its position in the log, a time, a day, or how long ago (90m, 3d)."`
	To       bound    `placeholder:"POSITION|TIME" help:"Last event, in the same forms (default the last one committed by now)."`
	Schedule string   `placeholder:"ID" help:"Only events of one schedule."`
	Type     []string `placeholder:"TYPE" help:"Only events of this type, such as schedule.updated; may be repeated."`
	Stream   string   `required:"" placeholder:"KEY" help:"Key of the stream to publish to: a new key, such as tactus:replay:1, or the key of a replay to continue."`
	Resume   bool     `help:"Continue the replay in --stream with its own range."`
	DryRun   bool     `help:"Only show what would be published."`
	Rate     int      `default:"2000" help:"Most events a second; 0 for no limit."`
}

// Run publishes a range of events again.
func (c replayCmd) Run(ctx context.Context, to console) error {
	if c.Rate < 0 {
		return usage("--rate %d: want a number of events a second, or 0", c.Rate)
	}
	pool, client, err := connectBoth(ctx, c.databaseFlags, c.redisFlags)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer client.Close()
	target, err := replay.Open(ctx, pool, client, c.Stream, c.celery())
	if err != nil {
		return refusedReplay(err)
	}
	plan, err := c.plan(ctx, pool, target)
	if err != nil {
		return refusedReplay(err)
	}
	counts, err := plan.Count(ctx, pool, target.Position())
	if err != nil {
		return err
	}
	if c.DryRun {
		return c.tell(to.out, target, counts)
	}
	return c.publish(ctx, to, pool, target, plan, counts)
}

// plan returns the plan that the stream holds if the command asks to continue it or names the same range, and otherwise
// a new one.
func (c replayCmd) plan(ctx context.Context, pool *pgxpool.Pool, target *replay.Target) (replay.Plan, error) {
	r, err := c.chosen()
	if err != nil {
		return replay.Plan{}, err
	}
	held, err := target.Plan()
	switch {
	case err == nil && (c.Resume || held.Same(r)):
		return held, nil
	case c.Resume || err != nil && !errors.Is(err, replay.ErrNone):
		return replay.Plan{}, err
	case err == nil:
		return replay.Plan{}, usage("%s holds another replay: go on with that by --resume, or choose a new key",
			c.Stream)
	}
	return replay.Begin(ctx, pool, r)
}

func (c replayCmd) chosen() (r replay.Range, err error) {
	r.From, r.To = replay.Bound(c.From), replay.Bound(c.To)
	if c.Schedule != "" {
		if r.Schedule, err = domain.ParseID(c.Schedule); err != nil {
			return r, usage("--schedule %q: %v", c.Schedule, err)
		}
	}
	for _, t := range c.Type {
		r.Types = append(r.Types, domain.EventType(t))
	}
	return r, nil
}

func (c replayCmd) tell(to io.Writer, target *replay.Target, counts []replay.Count) error {
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TYPE\tEVENTS\tFIRST\tLAST")
	for _, n := range counts {
		say(table, "%s\t%d\t%d\t%d\n", n.Type, n.N, n.First, n.Last)
	}
	say(table, "\nwould be published to %s", c.Stream)
	if at := target.Position(); at > 0 {
		say(table, ", which has those up to position %d", at)
	}
	fmt.Fprintln(table, "")
	return table.Flush()
}

func (c replayCmd) publish(ctx context.Context, to console, pool *pgxpool.Pool, target *replay.Target, plan replay.Plan,
	counts []replay.Count,
) error {
	var total, done int64
	for _, n := range counts {
		total += n.N
	}
	bar := newProgress(to.problems, total)
	err := target.Run(ctx, pool, plan, c.Rate, func(n int64) {
		done = n
		bar.at(n)
	})
	if err != nil {
		return refusedReplay(fmt.Errorf(
			"%d of %d events are published; go on with: tactus replay --resume --stream %s: %w", done, total,
			strconv.Quote(c.Stream), err))
	}
	_, err = say(to.out, "published %d events to %s\n", done, c.Stream)
	return err
}

// refusedReplay converts a refusal of the replay to an error in how the command was called.
func refusedReplay(err error) error {
	if refusal, ok := errors.AsType[*replay.Refusal](err); ok {
		return usage("%s", refusal.Reason)
	}
	return err
}

// bound is an end of a range on the command line.
type bound replay.Bound

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *bound) UnmarshalText(text []byte) error {
	if position, err := strconv.ParseInt(string(text), 10, 64); err == nil && position > 0 {
		b.Position = position
		return nil
	}
	var i instant
	if err := i.UnmarshalText(text); err != nil {
		return usage("%v; want a position in the log otherwise", err)
	}
	b.Time = i.Time
	return nil
}
