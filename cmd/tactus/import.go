package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

// importCmd brings schedules in from where Celery teams keep them; adopt is for tables.
type importCmd struct {
	RedBeat importRedBeatCmd `cmd:"" name:"redbeat" help:"From RedBeat's keys in Redis."`
	Celery  importCeleryCmd  `cmd:"" help:"From a static beat_schedule, as the script prints it (--script)."`
	Crontab importCrontabCmd `cmd:"" help:"From a crontab file."`
}

// importFlags say where to, and how.
type importFlags struct {
	databaseFlags
	timezoneFlag
	DryRun bool   `help:"Only show what would come."`
	Prune  bool   `help:"Delete what came from there before and is there no more."`
	Output string `short:"o" enum:"table,json" default:"table" help:"table or json."`
}

// bring plans, shows, and writes. What is refused keeps nothing else back, but is a failure.
func (f importFlags) bring(ctx context.Context, to console, source importer.Source, entries []importer.Entry, timezone string) error {
	if err := (timezoneFlag{timezone}).validate(); err != nil {
		return err
	}
	pool, err := f.connect(ctx, &telemetry.Health{})
	if err != nil {
		return err
	}
	defer pool.Close()
	i := importer.New(pool, source, timezone)
	rows, err := i.Plan(ctx, entries, time.Now())
	if err != nil {
		return err
	}
	refused, err := f.show(to.out, rows)
	if err != nil {
		return err
	}
	if !f.DryRun {
		if err := i.Apply(ctx, rows, f.Prune); err != nil {
			return err
		}
	}
	if refused > 0 {
		return fmt.Errorf("%d schedules are refused", refused)
	}
	return nil
}

func (f importFlags) show(to io.Writer, rows []importer.Row) (refused int, err error) {
	changes := map[string]int{}
	for _, r := range rows {
		changes[r.Change]++
	}
	if f.Output == "json" {
		return changes["refused"], printJSON(to, map[string]any{"schedules": rows})
	}
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHANGE\tNAME\tTRIGGER\tNEXT\tREMARKS")
	for _, r := range rows {
		parts := append(append([]string{}, r.Changes...), r.Notes...)
		if r.Reason != "" {
			parts = append(parts, r.Reason)
		}
		for _, d := range r.Differences {
			parts = append(parts, d.Message)
		}
		next := "-"
		if r.Next != nil {
			next = clock(r.Next)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.Change, r.Name, r.Trigger, next, strings.Join(parts, "; "))
	}
	fmt.Fprintf(table, "\n%d new, %d changed, %d the same, %d gone, %d refused\n",
		changes["new"], changes["changed"], changes["same"], changes["gone"], changes["refused"])
	return changes["refused"], table.Flush()
}

type importRedBeatCmd struct {
	importFlags
	URL    string `name:"redbeat-redis-url" env:"REDBEAT_REDIS_URL" placeholder:"URL" help:"Redis where RedBeat keeps its schedules."`
	Prefix string `name:"redbeat-key-prefix" default:"redbeat:" help:"As redbeat_key_prefix says."`
}

// Run imports.
func (c importRedBeatCmd) Run(ctx context.Context, to console) error {
	if c.URL == "" {
		return usage("REDBEAT_REDIS_URL is not set: give the URL of RedBeat's Redis, redis://user:password@host:port/db")
	}
	options, err := redis.ParseURL(c.URL)
	if err != nil {
		return usage("REDBEAT_REDIS_URL: %v", err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	entries, err := importer.ReadRedBeat(ctx, client, c.Prefix)
	if err != nil {
		return err
	}
	return c.bring(ctx, to, importer.RedBeat, entries, c.Timezone)
}

type importCeleryCmd struct {
	importFlags
	Script bool   `help:"Only print the script: run it where the application is, python3 script.py project.celery:app."`
	File   string `arg:"" optional:"" default:"-" help:"What the script printed; - reads standard input."`
}

// Run imports. The zone is that of the application, unless it names none.
func (c importCeleryCmd) Run(ctx context.Context, to console) error {
	if c.Script {
		_, err := io.WriteString(to.out, importer.Script)
		return err
	}
	raw, err := readAll(c.File)
	if err != nil {
		return err
	}
	entries, timezone, err := importer.ParseCelery(raw)
	if err != nil {
		return usage("%s: %v", c.File, err)
	}
	if timezone == "" {
		timezone = c.Timezone
	}
	return c.bring(ctx, to, importer.Celery, entries, timezone)
}

type importCrontabCmd struct {
	importFlags
	Task   string `required:"" help:"The task that runs a command: it gets args [command], and kwargs stdin, env and user where the line has them."`
	System bool   `help:"Lines name a user before the command, as in /etc/crontab."`
	File   string `arg:"" help:"The file; - reads standard input (crontab -l)."`
}

// Run imports.
func (c importCrontabCmd) Run(ctx context.Context, to console) error {
	raw, err := readAll(c.File)
	if err != nil {
		return err
	}
	entries := importer.ParseCrontab(string(raw), importer.CrontabOptions{Task: c.Task, System: c.System})
	return c.bring(ctx, to, importer.Crontab, entries, c.Timezone)
}

func readAll(path string) (raw []byte, err error) {
	if path == "-" {
		raw, err = io.ReadAll(os.Stdin)
	} else {
		raw, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, errors.Join(errUsage, err)
	}
	return raw, nil
}
