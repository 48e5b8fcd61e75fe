package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// sourceFlags name the tables of another service.
type sourceFlags struct {
	databaseFlags
	Table            string `xor:"source" required:"" placeholder:"TABLE" help:"Table with the columns of celery_beat_schedules."`
	DjangoCeleryBeat bool   `xor:"source" required:"" help:"Use the tables of django-celery-beat."`
	Schema           string `default:"public" placeholder:"SCHEMA" help:"Schema of django-celery-beat's tables."`
}

// open connects to the database, and finds the tables by calling find.
func (f sourceFlags) open(ctx context.Context, find func(context.Context, *pgxpool.Pool, string,
	adopt.Kind) (adopt.Source, error),
) (adopt.Source, *pgxpool.Pool, error) {
	pool, err := f.databaseFlags.open(ctx)
	if err != nil {
		return adopt.Source{}, nil, err
	}
	table, kind := f.Table, adopt.CeleryBeatSchedules
	if f.DjangoCeleryBeat {
		table, kind = f.Schema+".django_celery_beat_periodictask", adopt.DjangoCeleryBeat
	}
	source, err := find(ctx, pool, table, kind)
	if err != nil {
		pool.Close()
	}
	return source, pool, err
}

// naiveFlag says how the old beat of a table reads the times of its rows.
type naiveFlag struct {
	NaiveTimezone *string `placeholder:"ZONE" help:"TIME_ZONE of a Django project with USE_TZ = False, whose beat takes the local times of its rows for UTC; UTC with USE_TZ = True. adopt finds it out with --application, and unadopt knows what adopt was told."`
}

func (f naiveFlag) validate() error {
	if f.NaiveTimezone == nil {
		return nil
	}
	if *f.NaiveTimezone == "" {
		return usage("--naive-timezone: it is empty: give TIME_ZONE of a Django project with USE_TZ = False, or UTC " +
			"for one with USE_TZ = True")
	}
	if _, err := zone.Load(*f.NaiveTimezone); err != nil {
		return usage("--naive-timezone: %v", err)
	}
	return nil
}

// or returns the zone that was given, or else known.
func (f naiveFlag) or(known string) string {
	if f.NaiveTimezone != nil {
		return *f.NaiveTimezone
	}
	return known
}

type adoptCmd struct {
	sourceFlags
	timezoneFlag
	naiveFlag
	applicationFlags
	DryRun bool   `help:"Show the plan, and change nothing."`
	Output string `short:"o" enum:"table,json" default:"table" help:"How to print: table or json."`
}

// Run prints what adopting changes, and adopts unless --dry-run is given or a row would run differently.
func (c adoptCmd) Run(ctx context.Context, to console) error {
	if err := errors.Join(c.timezoneFlag.validate(), c.naiveFlag.validate(),
		c.applicationFlags.validate()); err != nil {
		return err
	}
	application, err := c.read(to)
	if err != nil {
		return err
	}
	source, pool, err := c.open(ctx, adopt.Find)
	if err != nil {
		return err
	}
	defer pool.Close()
	known := source.NaiveTimezone // as when the table was adopted before
	if application != nil {
		known, source.Celery = cmp.Or(application.NaiveTimezone, known), application.Celery
	}
	if source.NaiveTimezone = c.or(known); source.NaiveTimezone == "" && c.DjangoCeleryBeat {
		fmt.Fprintln(to.problems, "whether the Django project has USE_TZ = True is not known, and taken to be so: "+
			"give --application FILE or --naive-timezone ZONE (see --help)")
	}
	now := time.Now()
	rows, err := source.Preview(ctx, c.Timezone, now)
	if err != nil {
		return err
	}
	if err := c.compare(ctx, pool, application, rows, now); err != nil {
		return err
	}
	if err := c.show(to, rows); err != nil {
		return err
	}
	if err := c.judge(rows); err != nil {
		return err
	}
	if c.DryRun {
		return nil
	}
	if err := source.Adopt(ctx, c.Timezone); err != nil {
		return err
	}
	say(to.problems, "tactus now follows %s: change its schedules there. Due times before now do not fire, "+
		"except one-offs that never ran and are marked as past.\n", source.Table)
	return nil
}

func (c adoptCmd) show(to console, rows []adopt.Row) error {
	if c.Output == "json" {
		return printJSON(to.out, map[string]any{"schedules": rows})
	}
	table := tabwriter.NewWriter(to.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHANGE\tNAME\tTRIGGER\tNEXT\tNEXT OF CELERY\tREMARKS")
	changes := map[string]int{}
	for _, r := range rows {
		changes[r.Change]++
		say(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Change, text(r.Name), text(r.Trigger), clock(r.Next),
			celerys(r.Comparison), text(remarks(r.Invalid, r.Differences)))
	}
	say(table, "\n%d new, %d changed, %d gone, %d the same\n", changes["new"], changes["changed"],
		changes["gone"], changes["same"])
	return table.Flush()
}

func remarks(invalid string, differences []oldbeat.Difference) (text string) {
	if invalid != "" {
		text = "invalid: " + invalid
	}
	for _, d := range differences {
		if text != "" {
			text += "; "
		}
		text += d.Message
	}
	return text
}

// celerys returns when Celery's beat would send a schedule.
func celerys(c oldbeat.Comparison) string {
	if c.FromStart {
		return "one interval after its beat starts"
	}
	return clock(c.NextCelery)
}

func clock(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format(time.RFC3339)
}

// unsentFlags says what to do with runs that are due and not handed over when schedules go back.
type unsentFlags struct {
	CancelUnsent bool `help:"Cancel runs that are due and have not been handed over, and count what was cancelled before as not run: the old beat sends them. Without it, such runs are an error."`
}

type unadoptCmd struct {
	sourceFlags
	naiveFlag
	Keep bool `help:"Keep the schedules in tactus instead of deleting them."`
	unsentFlags
	TrustTriggers bool `help:"Write to the rows even if that runs other roles' triggers, rules, constraints or generated columns with the rights of tactus' role."`
}

// Run hands the rows back, drops the triggers and releases the schedules.
func (c unadoptCmd) Run(ctx context.Context, to console) error {
	if err := c.naiveFlag.validate(); err != nil {
		return err
	}
	source, pool, err := c.open(ctx, findEither)
	if err != nil {
		return err
	}
	defer pool.Close()
	source.TrustTriggers, source.CancelUnsent = c.TrustTriggers, c.CancelUnsent
	source.NaiveTimezone = c.or(source.NaiveTimezone)
	if source.NaiveTimezone == "" && c.DjangoCeleryBeat {
		return usage("it is not known how the beat of %s reads last_run_at: give --naive-timezone UTC if the Django "+
			"project has USE_TZ = True, and --naive-timezone with its TIME_ZONE if it has USE_TZ = False; nothing was "+
			"changed", source.Table)
	}
	count, left, err := source.Unadopt(ctx, c.Keep)
	if err != nil {
		return err
	}
	what := "deleted here: the old beat may take over"
	if c.Keep {
		what = "kept: tactus fires them, and they can be changed here"
	}
	say(to.out, "tactus no longer follows %s; %s %s\n", source.Table,
		counted(int(count), "schedule was", "schedules were"), what)
	if len(left) > 0 {
		fmt.Fprint(to.problems, "These triggers do nothing now. Only the owner of their table may drop them:\n")
		for _, drop := range left {
			say(to.problems, "  %s;\n", drop)
		}
	}
	return nil
}

// findEither finds an adopted table even if it has been dropped. Otherwise its error says what is wrong with the table.
func findEither(ctx context.Context, pool *pgxpool.Pool, table string, kind adopt.Kind) (adopt.Source, error) {
	if source, err := adopt.FindAdopted(ctx, pool, table, kind); err == nil {
		return source, nil
	}
	return adopt.Find(ctx, pool, table, kind)
}
