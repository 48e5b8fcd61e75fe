package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	wire "github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Rerouted is the schedules of one task that say the same about where it goes, and whose messages change with the
// routes.
type Rerouted struct {
	TaskName    string               `json:"task_name"`
	Schedules   int64                `json:"schedules" doc:"How many schedules."`
	Names       []string             `json:"names" doc:"The names of at most 20 of them."`
	Differences []oldbeat.Difference `json:"differences"`
}

const (
	storedTaskNames = `
select distinct ` + sqlexpr.TaskName + ` from tactus.schedules s where s.deleted_at is null`

	// What a schedule does not say itself comes from the route of its task. The arguments are left out.
	storedOptions = `
select readable->>'task_name', options, count(*), (array_agg(name order by name))[1:20]
from (
    select s.name, r.readable, json_strip_nulls(json_build_object('queue', r.readable->'queue', 'exchange', r.readable->'exchange',
        'routing_key', r.readable->'routing_key', 'priority', r.readable->'priority',
        'expires_seconds', r.readable->'expires_seconds', 'time_limit_seconds', r.readable->'time_limit_seconds',
        'soft_time_limit_seconds', r.readable->'soft_time_limit_seconds', 'ignore_result', r.readable->'ignore_result',
        'ignore_routes', r.readable->'ignore_routes', 'stream', r.readable->'stream'))::text as options
    from tactus.schedules s, lateral (select ` + sqlexpr.ReadableTask + ` as readable offset 0) r
    where s.deleted_at is null and left(` + sqlexpr.TaskName + `, 200) = any ($1)
) stored
group by 1, 2 order by 1, 2`
)

// Rerouted returns the stored schedules whose messages change when a plan of routes is applied. defaultQueue is the
// queue of tasks for which neither their schedule nor a route names one.
func (i *Importer) Rerouted(ctx context.Context, plan []RouteRow, prune bool, defaultQueue string) (found []Rerouted,
	err error,
) {
	kept, err := outbox.Routes(ctx, i.pool)
	if err != nil {
		return nil, err
	}
	names, err := queryAll(ctx, i, storedTaskNames, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the tasks of schedules: %w", err)
	}
	before, after := routingBy(kept), routingBy(applied(kept, plan, prune))
	moved := slices.DeleteFunc(names, func(name string) bool {
		return encodedRoute(before.of(name)) == encodedRoute(after.of(name))
	})
	stored, err := queryAll(ctx, i, storedOptions, pgx.RowToStructByPos[options], moved)
	if err != nil {
		return nil, fmt.Errorf("read the schedules of tasks: %w", err)
	}
	for _, o := range stored {
		r := Rerouted{TaskName: o.TaskName, Schedules: o.Schedules, Names: o.Names}
		r.Differences = o.differences(before.of(o.TaskName), after.of(o.TaskName), defaultQueue)
		if len(r.Differences) > 0 {
			found = append(found, r)
		}
	}
	return found, nil
}

func queryAll[T any](ctx context.Context, i *Importer, sql string, to pgx.RowToFunc[T], args ...any) ([]T, error) {
	rows, err := i.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, to)
}

// options is what schedules of one task say about where it goes, as members of a task.
type options struct {
	TaskName  string
	Members   string
	Schedules int64
	Names     []string
}

// differences compares the messages that two routes make of a task.
func (o options) differences(before, after domain.Route, defaultQueue string) (differences []oldbeat.Difference) {
	task := domain.Task{TaskName: o.TaskName, Args: json.RawMessage("[]"), Kwargs: json.RawMessage("{}")}
	if err := json.Unmarshal([]byte(o.Members), &task); err != nil || task.Stream != "" {
		return nil // no route concerns what goes to a stream, and nothing is handed over that cannot be read
	}
	cfg := wire.Config{DefaultQueue: defaultQueue}
	was, err := sentBy("", before.Apply(task), cfg)
	if err != nil {
		return nil
	}
	is, err := sentBy("", after.Apply(task), cfg)
	if err != nil {
		return []oldbeat.Difference{{Code: "options", Message: fmt.Sprintf("it can no longer be sent: %v", err)}}
	}
	for _, p := range was.parts(is) {
		if p.theirs != p.ours {
			differences = append(differences, oldbeat.Difference{
				Code: p.kind, Message: fmt.Sprintf("%s: %s -> %s", p.name, p.theirs, p.ours),
			})
		}
	}
	return differences
}

// applied returns the routes that a plan leaves.
func applied(kept []outbox.KeptRoute, plan []RouteRow, prune bool) []outbox.KeptRoute {
	routes := map[string]outbox.KeptRoute{}
	for _, r := range kept {
		routes[r.Pattern] = r
	}
	for _, r := range plan {
		switch {
		case r.Change == "new" || r.Change == "changed":
			routes[r.Pattern] = r.KeptRoute
		case r.Change == "gone" && prune:
			delete(routes, r.Pattern)
		}
	}
	return slices.Collect(maps.Values(routes))
}

// routing finds the routes of tasks as tactus.route_of does, which is slower for very many tasks.
type routing struct {
	names    map[string]domain.Route
	patterns []pattern // in the order of preference
}

type pattern struct {
	domain.Route
	beginning string
	matches   *regexp.Regexp
}

func routingBy(routes []outbox.KeptRoute) routing {
	by := routing{names: map[string]domain.Route{}}
	for _, r := range routes {
		if !r.IsPattern() {
			by.names[r.Pattern] = r.Route
			continue
		}
		expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(r.Pattern))
		by.patterns = append(by.patterns, pattern{
			r.Route, r.Pattern[:strings.IndexAny(r.Pattern, "*?")], regexp.MustCompile(`(?s)^` + expression + `$`),
		})
	}
	slices.SortFunc(by.patterns, func(a, b pattern) int {
		if preferred(a.Pattern, b.Pattern) {
			return -1
		}
		return 1 // no two have the same pattern
	})
	return by
}

// of returns the route of a task without its pattern, or an empty one.
func (by routing) of(task string) (r domain.Route) {
	r, found := by.names[task]
	for n := 0; !found && n < len(by.patterns); n++ {
		if p := by.patterns[n]; strings.HasPrefix(task, p.beginning) && p.matches.MatchString(task) {
			r, found = p.Route, true
		}
	}
	r.Pattern = ""
	return r
}
