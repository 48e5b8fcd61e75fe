package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/outbox"
)

// applicationFlags compare rows with what the application, whose beat has read the table so far, does with them.
type applicationFlags struct {
	queueFlag
	Application string   `placeholder:"FILE" help:"Output of import celery's script. Each row is compared with what the application sends, and nothing is adopted while they differ. Without it nothing is adopted while it is not known where the application sends a row: one that names no queue, and whose task has no route here."`
	Accept      []string `placeholder:"KIND" help:"Adopt despite these kinds of differences: ${differences}, invalid; without --application only queue and all."`
}

func (f applicationFlags) validate() error {
	if err := knownKinds(f.Accept, slices.Concat(importer.Kinds, importer.RowKinds)); err != nil {
		return err
	}
	for _, kind := range f.Accept {
		if f.Application == "" && kind != "queue" && kind != importer.AcceptAll {
			return usage("--accept %s needs --application: without it no row is refused for that", kind)
		}
	}
	return nil
}

// read reads the application. It returns nil when no application is given.
func (f applicationFlags) read(to console) (*importer.Application, error) {
	if f.Application == "" {
		return nil, nil
	}
	application, err := readApplication(f.Application, to)
	return &application, err
}

// compare adds to each row the ways in which the application would run it differently. Without an application, it adds
// the queue to which tactus sends a row whose queue only the application knows.
func (f applicationFlags) compare(ctx context.Context, pool *pgxpool.Pool, application *importer.Application,
	rows []adopt.Row, now time.Time,
) error {
	var tasks []string
	for _, r := range rows {
		tasks = append(tasks, r.Definition.TaskName)
	}
	routes, err := outbox.RoutesOf(ctx, pool, tasks)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		if r.Change == "gone" || r.Invalid != "" {
			continue
		}
		row := importer.TableRow{
			Definition: r.Definition, OwnZone: r.OwnZone, Route: routes[r.Definition.TaskName], DefaultQueue: f.Queue,
		}
		if application == nil {
			r.Differences = append(r.Differences, row.Unknown()...)
		} else {
			r.Differences = append(r.Differences, application.Compare(row, now)...)
		}
	}
	return nil
}

// sameOutcome lists the differences without effect: neither beat sends a row that is done or has expired, and both send
// a past one at once. Runs that the old beat has not saved, it has mostly sent.
var sameOutcome = []string{"done", "expired", "past", oldbeat.Unsaved}

// judge returns an error if a row would run differently and --accept does not name the difference. One such row is
// enough, because the triggers follow a table as a whole.
func (f applicationFlags) judge(rows []adopt.Row) error {
	var kinds, names []string
	for _, r := range rows {
		refused := f.refused(r)
		if len(refused) > 0 {
			names = append(names, strconv.Quote(r.Name))
		}
		kinds = append(kinds, refused...)
	}
	if len(names) == 0 {
		return nil
	}
	count, mend := len(names), "change the rows as their remarks say, "
	if f.Application == "" {
		mend = "say where the application sends them, by --application FILE or by tactus import routes FILE before, "
	}
	if more := count - mostNamed; more > 0 {
		names = append(names[:mostNamed], fmt.Sprintf("%d more", more))
	}
	slices.Sort(kinds)
	return fmt.Errorf("%s not run as before (%s). Nothing is adopted, because a table is followed as a whole: %s"+
		"or accept the differences by --accept %s", counted(count, "row would", "rows would"),
		strings.Join(names, ", "), mend, strings.Join(slices.Compact(kinds), ","))
}

// mostNamed is how many rows an error names.
const mostNamed = 20

// refused returns the kinds of a row's differences that --accept does not name. A row that is followed already has
// none. Without an application, only differences of which nothing is known count.
func (f applicationFlags) refused(r adopt.Row) (kinds []string) {
	if r.Change == "gone" || r.Change == "same" || slices.Contains(f.Accept, importer.AcceptAll) {
		return nil
	}
	differences := r.Differences
	if f.Application == "" {
		differences = slices.DeleteFunc(slices.Clone(differences),
			func(d oldbeat.Difference) bool { return d.Code != "queue" })
	} else if r.Invalid != "" {
		differences = []oldbeat.Difference{{Code: "invalid"}}
	}
	for _, d := range differences {
		if !slices.Contains(sameOutcome, d.Code) && !slices.Contains(f.Accept, d.Code) {
			kinds = append(kinds, d.Code)
		}
	}
	return kinds
}
