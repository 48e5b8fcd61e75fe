package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
)

// exportCmd prints what the server has, or writes to the source of imported schedules when each ran last, so that their
// old beat can take over again.
type exportCmd struct {
	Files   exportFilesCmd   `cmd:"" default:"withargs" help:"Print schedules, calendars, routes and notification rules as a file of apply."`
	RedBeat exportRedBeatCmd `cmd:"" name:"redbeat" help:"Write to RedBeat's entries when each ran last. Run this before RedBeat's beat starts again."`
	Celery  exportCeleryCmd  `cmd:"" help:"Print when each entry of a static beat_schedule ran last, for import celery's script (python3 script.py --hand-back FILE project.celery:app), which writes it to the file of Celery's beat."`
}

type exportRedBeatCmd struct {
	databaseFlags
	redBeatFlags
	unsentFlags
	Source   string `placeholder:"LABEL" help:"Name of the source, as it was given to import redbeat."`
	Group    string `name:"pause-group" placeholder:"GROUP" help:"What the disabling of this name has disabled counts as enabled: it was disabled to be handed back."`
	Timezone string `name:"celery-timezone" placeholder:"ZONE" help:"Time zone of the application, in which RedBeat notes last runs (default: that of RedBeat's notes, or of the imported schedules)."`
}

// Run writes the last runs.
func (c exportRedBeatCmd) Run(ctx context.Context, to console) error {
	if err := (importFlags{Timezone: c.Timezone}).validate(); err != nil {
		return err
	}
	options, source, err := c.redBeat(c.Source)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	defer client.Close()
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := cameFrom(ctx, pool, source); err != nil {
		return err
	}
	source.Group, source.CancelUnsent = c.Group, c.CancelUnsent
	handed, zone, err := importer.HandBackRedBeat(ctx, pool, source, client, c.Prefix, c.Timezone)
	if unknown, ok := errors.AsType[*importer.ZoneUnknownError](err); ok {
		return usage("%v", unknown)
	}
	written, failed := 0, 0
	for _, h := range handed {
		for _, told := range h.Told {
			say(to.problems, "%s: %s\n", text(h.Name), text(told))
		}
		if h.Failed {
			failed++
		}
		if h.Written {
			written++
			say(to.out, "%s\n", text(h.Name))
		}
	}
	if err != nil {
		return err
	}
	if written > 0 && zone.Matters {
		say(to.problems, "the application's time zone is taken to be %s; --celery-timezone names another\n",
			zone)
	}
	say(to.problems, "%s\n", counted(written, "entry now says when it ran last",
		"entries now say when they ran last"))
	if failed > 0 {
		return fmt.Errorf("%s not written: RedBeat may send again what ran here",
			counted(failed, "entry was", "entries were"))
	}
	return nil
}

type exportCeleryCmd struct {
	databaseFlags
	unsentFlags
	Group  string `name:"pause-group" placeholder:"GROUP" help:"What the disabling of this name has disabled counts as enabled: it was disabled to be handed back."`
	Source string `placeholder:"LABEL" help:"Name of the source, as it was given to import celery (default: the only application from which schedules came)."`
}

// Run prints the last runs.
func (c exportCeleryCmd) Run(ctx context.Context, to console) error {
	pool, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer pool.Close()
	source := importer.Source{Kind: importer.Celery, Label: c.Source}
	labels, err := importer.ImportedFrom(ctx, pool, source.Kind)
	switch {
	case err != nil:
		return err
	case c.Source == "" && len(labels) > 1:
		return usage("schedules came from %s: name the source by --source", strings.Join(labels, " and from "))
	case c.Source == "" && len(labels) == 1:
		source.Label = labels[0]
	}
	if err := cameFrom(ctx, pool, source); err != nil {
		return err
	}
	source.Group, source.CancelUnsent = c.Group, c.CancelUnsent
	told, err := importer.HandBackCelery(ctx, pool, source)
	if err != nil {
		return err
	}
	for _, e := range told.Entries {
		for _, lost := range e.Lost {
			say(to.problems, "%s: Celery's beat cannot do what is said here: %s\n", text(e.Names[0]), text(lost))
		}
	}
	say(to.problems, "%s came from %s\n", counted(len(told.Entries), "schedule", "schedules"), text(source.Label))
	return printJSON(to.out, told)
}

// cameFrom refuses a source from which nothing was imported if there are other sources. Without the last runs, the old
// beat would send everything again.
func cameFrom(ctx context.Context, pool *pgxpool.Pool, source importer.Source) error {
	labels, err := importer.ImportedFrom(ctx, pool, source.Kind)
	if err != nil || len(labels) == 0 || slices.Contains(labels, source.Label) {
		return err
	}
	return usage("nothing was imported from %s, but from %s: name the source by --source", source.Label,
		strings.Join(labels, " and from "))
}
