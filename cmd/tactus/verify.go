package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/tactus-dev/tactus/internal/verify"
)

type verifyCmd struct {
	databaseFlags
	redisFlags
	Output        string        `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
	Wait          time.Duration `default:"10s" help:"How long to wait for the relay to publish what is committed now; 0 to compare what is published already."`
	From          instant       `placeholder:"TIME" help:"Check each due time since then, too: a time, a day, or how long ago (90m, 3d)."`
	To            instant       `placeholder:"TIME" help:"End of these due times (default now, less --late)."`
	Late          time.Duration `default:"1m" help:"How long a due time may take to be settled, including times without a beat."`
	KnownRestores bool          `help:"Show what was lost when an older state of PostgreSQL was restored, but do not count it as a problem."`
	Limit         int           `short:"n" default:"100" help:"How many problems to show; the rest are only counted."`
}

// Run compares, and fails if there is a problem.
func (c verifyCmd) Run(ctx context.Context, to console) error {
	pool, client, err := connectBoth(ctx, c.databaseFlags, c.redisFlags)
	if err != nil {
		return err
	}
	defer pool.Close()
	defer client.Close()
	config := verify.Config{
		Stream: c.stream(), Sink: eventSink, Limit: c.Limit, Wait: c.Wait,
		KnownRestores: c.KnownRestores,
	}
	if !c.From.IsZero() {
		config.Window = &verify.Window{From: c.From.Time, To: c.To.Time, Late: c.Late}
	}
	report, err := verify.Run(ctx, pool, client, config)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	if err := c.print(to.out, report); err != nil {
		return err
	}
	if report.Found > 0 {
		return errReported
	}
	return nil
}

func (c verifyCmd) print(to io.Writer, r *verify.Report) error {
	if c.Output == "json" {
		e := json.NewEncoder(to)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	say(table, "events\t%d\t(%d trimmed from the stream, %d not published yet)\n", r.Events, r.Trimmed,
		r.Unpublished)
	say(table, "stream entries\t%d\nschedules\t%d\nruns\t%d\n", r.StreamEntries, r.Schedules, r.Runs)
	if !c.From.IsZero() {
		say(table, "due times\t%d\t(%d more were overtaken by an edit)\n", r.DueTimes, r.Overtaken)
		if r.ShadowUntil != nil {
			say(table, "shadow mode\tuntil %s\t(what was due until then is not looked at)\n",
				r.ShadowUntil.UTC().Format(time.RFC3339))
		}
	}
	for _, restore := range r.Restores {
		say(table, "epoch of %s\tsince %s\t(%s; timeline %s; lost: %s)\n", restore.Sink,
			restore.At.UTC().Format(time.RFC3339), restore.Reason, restore.Timeline,
			cmp.Or(restore.Lost, "nothing that is known"))
	}
	say(table, "problems\t%d\n", r.Found)
	if err := table.Flush(); err != nil || r.Found == 0 {
		return err
	}
	fmt.Fprintln(table, "\nPROBLEM\tSCHEDULE OR RUN\tVERSION\tENTRY\tWHAT")
	for _, p := range r.Problems {
		of := p.ScheduleID
		if !p.RunID.IsZero() {
			of = p.RunID
		}
		say(table, "%s\t%s\t%d\t%s\t%s\n", p.Kind, of, p.Version, text(orNil(p.Entry)), text(p.Message))
	}
	if more := r.Found - int64(len(r.Problems)); more > 0 {
		say(table, "\nand %d more (--limit)\n", more)
	}
	return table.Flush()
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}
