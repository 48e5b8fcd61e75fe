package importer

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

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
	// The index on the names of tasks is asked for one name after the other, so it does not matter how many schedules
	// each task has.
	storedTaskNames = `
with recursive known (name, n) as (
    (select ` + taskName + `, 1 from tactus.schedules s where s.deleted_at is null order by 1 limit 1)
    union all
    select next.name, known.n + 1 from known, lateral (
        select ` + taskName + ` as name from tactus.schedules s where s.deleted_at is null and ` + taskName + ` > known.name
        order by 1 limit 1
    ) next where known.n < $1::bigint
)
select name from known where name is not null`

	// What a schedule does not say itself comes from the route of its task. The arguments are left out.
	storedOptions = `
select readable->>'task_name', options, count(*), (array_agg(name order by name))[1:20]
from (
    select name, readable, json_strip_nulls(json_build_object('queue', readable->'queue', 'exchange', readable->'exchange',
        'routing_key', readable->'routing_key', 'priority', readable->'priority',
        'expires_seconds', readable->'expires_seconds', 'time_limit_seconds', readable->'time_limit_seconds',
        'soft_time_limit_seconds', readable->'soft_time_limit_seconds', 'ignore_result', readable->'ignore_result',
        'ignore_routes', readable->'ignore_routes', 'stream', readable->'stream'))::text as options
    from (
        select s.name, ` + sqlexpr.ReadableTask + ` as readable
        from tactus.schedules s
        where s.deleted_at is null and ` + taskName + ` = any ($1)
        limit $2::bigint
    ) chosen
) stored
group by 1, 2 order by 1, 2`

	taskName = `left(` + sqlexpr.TaskName + `, 200)` // as in the index; no task that is accepted has a longer name
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
	names, err := taskNames(ctx, i.pool, everything)
	if err != nil {
		return nil, err
	}
	found, _, err = reroute{kept, applied(kept, plan, prune), defaultQueue}.of(ctx, i.pool, names, everything)
	return found, err
}

// Moves are the stored schedules whose messages change with one route.
type Moves struct {
	Moves []Rerouted `json:"moves" doc:"Stored schedules that are sent otherwise by this change: at most 100 groups of schedules of one task that say the same about where it goes."`
	Cut   bool       `json:"moves_cut,omitempty" doc:"Whether there may be more: only the first 100 groups are told, and at most 50,000 schedules are looked at."`
}

const (
	mostMoves  = 100
	mostLooked = 50_000
	everything = math.MaxInt64
)

// Moved returns the stored schedules whose messages change when a pattern gets a route, or with nil loses the one that
// it has.
func Moved(ctx context.Context, pool *pgxpool.Pool, pattern string, route *domain.Route, defaultQueue string) (m Moves,
	err error,
) {
	m.Moves = []Rerouted{}
	names := []string{pattern}
	if (domain.Route{Pattern: pattern}).IsPattern() {
		all, err := taskNames(ctx, pool, mostLooked+1)
		if err != nil {
			return m, err
		}
		m.Cut = len(all) > mostLooked
		matches := asPattern(domain.Route{Pattern: pattern}).is
		names = slices.DeleteFunc(all, func(name string) bool { return !matches(name) })
	}
	if len(names) == 0 {
		return m, nil
	}
	kept, err := outbox.Routes(ctx, pool)
	if err != nil {
		return m, err
	}
	plan := []RouteRow{{KeptRoute: outbox.KeptRoute{Route: domain.Route{Pattern: pattern}}, Change: "gone"}}
	if route != nil {
		plan[0].Route, plan[0].Change = *route, "changed"
		plan[0].Pattern = pattern
	}
	found, looked, err := reroute{kept, applied(kept, plan, true), defaultQueue}.of(ctx, pool, names, mostLooked+1)
	if err != nil {
		return m, err
	}
	m.Cut = m.Cut || looked > mostLooked || len(found) > mostMoves
	m.Moves = append(m.Moves, found[:min(len(found), mostMoves)]...)
	return m, nil
}

// taskNames returns the names of the tasks of stored schedules, but no more than most of them.
func taskNames(ctx context.Context, pool *pgxpool.Pool, most int64) ([]string, error) {
	names, err := queryAll(ctx, pool, storedTaskNames, pgx.RowTo[string], most)
	if err != nil {
		return nil, fmt.Errorf("read the tasks of schedules: %w", err)
	}
	return names, nil
}

// reroute is a change of routes.
type reroute struct {
	before, after []outbox.KeptRoute
	defaultQueue  string
}

// of returns the stored schedules of some tasks whose messages change, and how many schedules were looked at, which is
// no more than most.
func (r reroute) of(ctx context.Context, pool *pgxpool.Pool, names []string, most int64) (found []Rerouted,
	looked int64, err error,
) {
	before, after := routingBy(r.before), routingBy(r.after)
	moved := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return encodedRoute(before.of(name)) == encodedRoute(after.of(name))
	})
	if len(moved) == 0 {
		return nil, 0, nil
	}
	stored, err := queryAll(ctx, pool, storedOptions, pgx.RowToStructByPos[options], moved, most)
	if err != nil {
		return nil, 0, fmt.Errorf("read the schedules of tasks: %w", err)
	}
	for _, o := range stored {
		looked += o.Schedules
		change := Rerouted{TaskName: o.TaskName, Schedules: o.Schedules, Names: o.Names}
		change.Differences = o.differences(before.of(o.TaskName), after.of(o.TaskName), r.defaultQueue)
		if len(change.Differences) > 0 {
			found = append(found, change)
		}
	}
	return found, looked, nil
}

func queryAll[T any](
	ctx context.Context, pool *pgxpool.Pool, sql string, to pgx.RowToFunc[T], args ...any,
) ([]T, error) {
	rows, err := pool.Query(ctx, sql, args...)
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

func asPattern(r domain.Route) pattern {
	expression := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(r.Pattern))
	return pattern{r, r.Pattern[:strings.IndexAny(r.Pattern, "*?")], regexp.MustCompile(`(?s)^` + expression + `$`)}
}

// is reports whether the pattern matches the name of a task.
func (p pattern) is(task string) bool {
	return strings.HasPrefix(task, p.beginning) && p.matches.MatchString(task)
}

func routingBy(routes []outbox.KeptRoute) routing {
	by := routing{names: map[string]domain.Route{}}
	for _, r := range routes {
		if !r.IsPattern() {
			by.names[r.Pattern] = r.Route
			continue
		}
		by.patterns = append(by.patterns, asPattern(r.Route))
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
		if p := by.patterns[n]; p.is(task) {
			r, found = p.Route, true
		}
	}
	r.Pattern = ""
	return r
}
