package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/shadow"
)

// watch records what other beats send while this beat is in shadow mode.
func (f beatFlags) watch(ctx context.Context, pool *pgxpool.Pool, broker secret, keyPrefix string,
	stats func() beat.Stats, log *slog.Logger,
) error {
	if !f.Shadow {
		return nil
	}
	if !broker.isSet() {
		log.Warn("cannot watch what other beats send: neither CELERY_BROKER_URL nor REDIS_URL is set")
		return nil
	}
	client, err := redis.ConnectBroker(broker.reveal())
	if err != nil {
		return usage("%v", broker.fault(err))
	}
	defer client.Close()
	leads := func() bool { return stats().Leader }
	shadow.NewWatcher(pool, client, eventPrefix(client, keyPrefix), leads, log).Run(ctx)
	return nil
}

// shadowCmd reports on beats in shadow mode.
type shadowCmd struct {
	Report shadowReportCmd `cmd:"" help:"Compare what tactus would have fired with what the old beat sent. Exits with 1 when the two differ, or when nothing could be compared."`
}

type shadowReportCmd struct {
	databaseFlags
	Since instant `default:"24h" placeholder:"TIME" help:"Start of the report: a time, a day, or how long ago (90m, 3d)."`
	queueFlag
	Tolerance time.Duration `default:"2s" placeholder:"LENGTH" help:"How long before or after its due time a task may have been sent (default 2s)."`
	Late      time.Duration `default:"10s" placeholder:"LENGTH" help:"How late the old beat may be, in addition to the tolerance (default 10s)."`
	Output    string        `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

// Run compares, and fails if anything differs or nothing could be compared.
func (c shadowReportCmd) Run(ctx context.Context, to console) error {
	if c.Tolerance < 0 || c.Late < 0 {
		return usage("--tolerance and --late cannot be negative")
	}
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	record, err := shadow.Read(ctx, pool, c.Since.Time)
	if err != nil {
		return err
	}
	report := shadow.Compare(record, shadow.Tolerance{Early: c.Tolerance, Late: c.Late, DefaultQueue: c.Queue},
		c.Since.Time, time.Now())
	if err := c.print(to.out, report); err != nil {
		return err
	}
	if !report.Agree {
		return errReported
	}
	return nil
}

func (c shadowReportCmd) print(to io.Writer, r shadow.Report) error {
	if c.Output == "json" {
		return printJSON(to, r)
	}
	say(to, "From %s to %s, watched for %s: %s sent; the senders reported %d of them.\n",
		r.Since.Format(time.RFC3339), r.Until.Format(time.RFC3339),
		seconds(r.Watched), counted(r.Heard, "task", "tasks"), r.HeardSent)
	for _, note := range r.Notes {
		say(to, "%s.\n", strings.ToUpper(note[:1])+note[1:])
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nSCHEDULE\tTASK\tWOULD FIRE\tOLD BEAT\tMATCHED\tONLY TACTUS\tONLY OLD BEAT\tREMARKS")
	for _, s := range r.Schedules {
		say(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", text(s.Name), text(s.Task), s.WouldFire, s.OldSent,
			s.Matched, s.OnlyTactus, s.OnlyOld, shadowRemarks(s))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, s := range r.Schedules {
		for _, e := range s.Examples {
			say(to, "\n%s (%s), %s, only %s: %s", text(s.Name), text(s.Task), e.At.Format(time.RFC3339Nano),
				e.Only, text(e.Guess))
		}
	}
	for _, o := range r.Others {
		say(to, "\n%s sent %s, none at a due time: it is taken for an application.", text(o.Sender),
			counted(o.Tasks, "task", "tasks"))
	}
	verdict := "They do not agree."
	switch {
	case !r.Compared:
		verdict = "Nothing could be compared."
	case r.Agree:
		verdict = "They agree."
	}
	say(to, "\n%s\n", verdict)
	return nil
}

func shadowRemarks(s shadow.Row) string {
	var all []string
	for _, r := range []struct {
		n    int
		what string
	}{
		{s.OtherArgs, "%d with other arguments"},
		{s.OtherQueue, "%d to another queue"},
		{s.Drifted, "%d apart, as an interval of Celery's beat drifts"},
		{s.Unjudged, "%d at the edges not judged"},
	} {
		if r.n > 0 {
			all = append(all, fmt.Sprintf(r.what, r.n))
		}
	}
	if s.Latest >= 1 {
		all = append(all, "sent up to "+seconds(s.Latest).String()+" late")
	}
	return strings.Join(all, ", ")
}

func seconds(n float64) time.Duration {
	return time.Duration(math.Round(n)) * time.Second
}
