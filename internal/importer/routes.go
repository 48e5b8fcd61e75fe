package importer

import (
	"context"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	wire "github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/outbox"
)

// Routes returns where the application sends its tasks, and with which options, when the caller names none. Names that
// the application does not know go to its default queue.
func (a Application) Routes() (routes []domain.Route) {
	for _, pattern := range sortedKeys(a.patterns) {
		routes = append(routes, a.patterns[pattern].asRoute(pattern))
	}
	usual := domain.Route{Pattern: "*", Queue: a.DefaultQueue}
	for _, name := range sortedKeys(a.tasks) {
		r := a.tasks[name].asRoute(name)
		alike := usual
		if alike.Pattern = name; len(a.patterns) > 0 || encodedRoute(r) != encodedRoute(alike) {
			routes = append(routes, r)
		}
	}
	if _, routed := a.patterns[usual.Pattern]; routed {
		return routes
	}
	return append(routes, usual)
}

func (s sent) asRoute(pattern string) domain.Route {
	var d domain.Definition
	s.route(&d)
	return domain.Route{
		Pattern: pattern, Queue: d.Queue, Exchange: d.Exchange, RoutingKey: d.RoutingKey, Priority: d.Priority,
		ExpiresSeconds:   d.ExpiresSeconds,
		TimeLimitSeconds: d.TimeLimitSeconds, SoftTimeLimitSeconds: d.SoftTimeLimitSeconds,
		IgnoreResult: d.IgnoreResult,
	}
}

// RouteRow is what importing does to one route.
type RouteRow struct {
	outbox.KeptRoute
	Change      string               `json:"change" enum:"new,changed,same,refused,gone"`
	Reason      string               `json:"reason,omitempty" doc:"Why it is refused."`
	Differences []oldbeat.Difference `json:"differences,omitempty"`
}

// PlanRoutes compares the routes of an application with the existing ones. A route that came from the same source
// earlier and is not among them is gone; routes from other sources stay as they are.
func (i *Importer) PlanRoutes(ctx context.Context, a Application) (rows []RouteRow, err error) {
	kept, err := outbox.Routes(ctx, i.pool)
	if err != nil {
		return nil, err
	}
	before := map[string]outbox.KeptRoute{}
	for _, r := range kept {
		before[r.Pattern] = r
	}
	planned := map[string]bool{}
	for _, r := range a.Routes() {
		planned[r.Pattern] = true
		row := i.planRoute(r, before)
		row.Differences = append(a.overlaps(r.Pattern), a.headers(r.Pattern)...)
		if why := i.refusal(row.Differences); why != "" && (row.Change == "new" || row.Change == "changed") {
			row.Change, row.Reason = "refused", why
		}
		rows = append(rows, row)
	}
	for _, r := range kept {
		if r.Source == i.source.Tag() && !planned[r.Pattern] {
			rows = append(rows, RouteRow{KeptRoute: r, Change: "gone"})
		}
	}
	return rows, nil
}

// headers returns that a route gives headers, which no route here has.
func (a Application) headers(pattern string) []oldbeat.Difference {
	given := a.patterns[pattern].Headers
	if known, named := a.tasks[pattern]; named {
		given = known.Headers
	}
	if len(given) == 0 {
		return nil
	}
	return []oldbeat.Difference{{Code: "headers", Message: "the application's route gives its messages the headers " +
		encoded(given) + ", and no route here has headers: put them into the schedules"}}
}

func (i *Importer) planRoute(r domain.Route, before map[string]outbox.KeptRoute) RouteRow {
	source := i.source.Tag()
	row := RouteRow{KeptRoute: outbox.KeptRoute{Route: r, Source: source}, Change: "new"}
	was, there := before[r.Pattern]
	invalid := r.Check(wire.Config{}.Check)
	switch {
	case there && encodedRoute(was.Route) == encodedRoute(r):
		row.Source, row.Change = was.Source, "same" // whoever wrote it
	case there && was.Source != source:
		row.Change, row.Reason = "refused", fmt.Sprintf("name_taken at /pattern: this route exists and came from "+
			"%s: delete it, or leave it out", origin(was.Source))
	case invalid != nil:
		row.Change, row.Reason = "refused", invalid.Error()
	case there:
		row.Change = "changed"
	}
	return row
}

// RemainingRoutes counts the routes that are gone from an application, and those that would be left without them. An
// application that has lost its tasks still has its default queue and Celery's own tasks: their routes do not count.
func RemainingRoutes(rows []RouteRow) (gone, left int) {
	for _, r := range rows {
		switch {
		case r.Pattern == "*" || strings.HasPrefix(r.Pattern, "celery."):
		case r.Change == "gone":
			gone++
		case r.Change != "refused":
			left++
		}
	}
	return gone, left
}

// origin names the source of a route for people.
func origin(source string) string {
	if source == "" {
		return "the API"
	}
	return source
}

func encodedRoute(r domain.Route) string { return string(encode(r)) }

// ApplyRoutes writes the routes that are new or changed, and with prune deletes those that are gone. It may be repeated
// after an error.
func (i *Importer) ApplyRoutes(ctx context.Context, rows []RouteRow, prune bool) (err error) {
	store := outbox.NewStore(i.pool, "", wire.Config{}.Check)
	for _, r := range rows {
		switch {
		case r.Change == "new" || r.Change == "changed":
			err = store.PutRoute(ctx, r.Route, &r.Source)
		case r.Change == "gone" && prune:
			err = store.DeleteRoute(ctx, r.Pattern)
		}
		if err != nil {
			return fmt.Errorf("import the route of %s: %w", r.Pattern, err)
		}
	}
	return nil
}
