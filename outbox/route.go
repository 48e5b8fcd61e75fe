package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/traceparent"
)

// KeptRoute is a stored route with its source.
type KeptRoute struct {
	domain.Route
	Source    string    `json:"source,omitempty" doc:"The files that it comes from, as tactus apply --source names them, or the import that wrote it (import:...)."`
	UpdatedAt time.Time `json:"updated_at"`
}

const livingRoutes = `
select pattern, coalesce(queue, ''), coalesce(exchange, ''), coalesce(routing_key, ''), priority, coalesce(expires_seconds, 0),
    coalesce(time_limit_seconds, 0), coalesce(soft_time_limit_seconds, 0), ignore_result, source, updated_at
from tactus.routes where deleted_at is null order by pattern`

// Routes returns all routes, sorted by pattern.
func Routes(ctx context.Context, q Querier) ([]KeptRoute, error) {
	return readRoutes(ctx, q, livingRoutes)
}

func readRoutes(ctx context.Context, q Querier, sql string, args ...any) ([]KeptRoute, error) {
	all, err := postgres.Collect(ctx, q, func(row pgx.CollectableRow) (r KeptRoute, err error) {
		return r, row.Scan(&r.Pattern, &r.Queue, &r.Exchange, &r.RoutingKey, &r.Priority, &r.ExpiresSeconds,
			&r.TimeLimitSeconds, &r.SoftTimeLimitSeconds, &r.IgnoreResult, &r.Source, &r.UpdatedAt)
	}, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return all, nil
}

const routesOf = `
select name, coalesce(queue, ''), coalesce(exchange, ''), coalesce(routing_key, ''), priority, coalesce(expires_seconds, 0),
    coalesce(time_limit_seconds, 0), coalesce(soft_time_limit_seconds, 0), ignore_result
from pg_catalog.unnest($1::text[]) as name, tactus.route_of(name) where pattern is not null`

// RoutesOf returns the routes of tasks by the tasks' names: the route of the whole name, or else of the longest pattern
// that matches. Tasks without a route are left out.
func RoutesOf(ctx context.Context, q Querier, tasks []string) (map[string]domain.Route, error) {
	rows, err := q.Query(ctx, routesOf, tasks)
	if err != nil {
		return nil, fmt.Errorf("read the routes of tasks: %w", err)
	}
	routes, r, name := map[string]domain.Route{}, domain.Route{}, ""
	_, err = pgx.ForEachRow(rows, []any{
		&name, &r.Queue, &r.Exchange, &r.RoutingKey, &r.Priority, &r.ExpiresSeconds, &r.TimeLimitSeconds, &r.SoftTimeLimitSeconds, &r.IgnoreResult,
	}, func() error {
		routes[name] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the routes of tasks: %w", err)
	}
	return routes, nil
}

// putRoute writes a route and its event, unless the route is the same already. putRouteSoon does the same in a
// transaction of its own, and gives up waiting for a lock (see lines).
const (
	putRoute     = givenRoute + setRoute
	putRouteSoon = givenRoute + ` where true` + lockWait + setRoute

	givenRoute = `
with changed as (
    insert into tactus.routes as r (pattern, version, source, queue, exchange, routing_key, priority, expires_seconds,
        time_limit_seconds, soft_time_limit_seconds, ignore_result, updated_at)
    select @pattern, 1, coalesce(@source::text, ''), nullif(@queue::text, ''),
        nullif(@exchange::text, ''), nullif(@routing_key::text, ''), @priority::integer,
        nullif(@expires::bigint, 0), nullif(@time_limit::bigint, 0), nullif(@soft_time_limit::bigint, 0), @ignore_result::boolean, statement_timestamp()`

	setRoute = `
    on conflict (pattern) do update set version = r.version + 1, source = ` + newSource + `,
        queue = excluded.queue, exchange = excluded.exchange,
        routing_key = excluded.routing_key, priority = excluded.priority, expires_seconds = excluded.expires_seconds,
        time_limit_seconds = excluded.time_limit_seconds, soft_time_limit_seconds = excluded.soft_time_limit_seconds,
        ignore_result = excluded.ignore_result, updated_at = excluded.updated_at, deleted_at = null
    where (r.source, r.queue, r.exchange, r.routing_key, r.priority, r.expires_seconds, r.time_limit_seconds, r.soft_time_limit_seconds,
        r.ignore_result, r.deleted_at) is distinct from (` + newSource + `,
        excluded.queue, excluded.exchange, excluded.routing_key, excluded.priority,
        excluded.expires_seconds, excluded.time_limit_seconds, excluded.soft_time_limit_seconds, excluded.ignore_result, null)
    returning *
)` + routeEvent

	// newSource is where a route that is replaced comes from. Whoever says nothing of it takes it from an import, which
	// would not know that it is another one now; files see how it differs.
	newSource = `coalesce(@source::text,
            case when r.deleted_at is null and r.source not like 'import:%' then r.source else '' end)`

	deleteRoute     = endRoute + endedRoute
	deleteRouteSoon = endRoute + lockWait + endedRoute

	endRoute = `
with changed as (
    update tactus.routes set version = version + 1, updated_at = statement_timestamp(), deleted_at = statement_timestamp()
    where pattern = @pattern and deleted_at is null`

	endedRoute = `
    returning *
)` + routeEvent
)

// routeEvent appends the change of a route to the log. The id of its aggregate depends on the pattern alone.
const routeEvent = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'route', md5('route ' || pattern)::uuid, version, case when deleted_at is null then 'route.set' else 'route.deleted' end,
    json_strip_nulls(pg_catalog.json_build_object('pattern', pattern, 'source', nullif(source, ''), 'queue', queue, 'exchange', exchange, 'routing_key', routing_key,
        'priority', priority, 'expires_seconds', expires_seconds, 'time_limit_seconds', time_limit_seconds,
        'soft_time_limit_seconds', soft_time_limit_seconds, 'ignore_result', nullif(ignore_result, false))), ` + sqlexpr.Said + `, updated_at
from changed
returning position`

// PutRoute creates the route of a pattern, or replaces it, and reports whether that changed anything. It applies to
// runs that are recorded from then on.
func PutRoute(
	ctx context.Context, q Querier, r domain.Route, source string, check domain.Check,
) (changed bool, err error) {
	return writesRoute(ctx, q, putRoute, r, &source, check)
}

// CheckRoute returns the error with which PutRoute would refuse a route.
func (s *Store) CheckRoute(ctx context.Context, r domain.Route) error {
	if err := routeIsValid(ctx, s.pool, r, s.check); err != nil {
		return err
	}
	full, err := postgres.IsTrue(ctx, s.pool, routesAreFull, r.Pattern, r.IsPattern())
	if err != nil {
		return fmt.Errorf("count routes: %w", err)
	}
	if full {
		return domain.ErrTooManyRoutes
	}
	return nil
}

// routesAreFull is true when there is no room for a new route.
const routesAreFull = `
select (count(*) >= 10000 or $2::boolean and count(beginning) >= 1000) and not coalesce(bool_or(pattern = $1), false)
from tactus.routes where deleted_at is null`

// HasRoute returns domain.ErrRouteNotFound when there is no route of a pattern.
func (s *Store) HasRoute(ctx context.Context, pattern string) error {
	there, err := postgres.IsTrue(ctx, s.pool, hasRoute, pattern)
	if err != nil {
		return fmt.Errorf("read route: %w", err)
	}
	if !there {
		return domain.ErrRouteNotFound
	}
	return nil
}

const hasRoute = `select exists (select from tactus.routes where pattern = $1 and deleted_at is null)`

func writesRoute(
	ctx context.Context, q Querier, sql string, r domain.Route, source *string, check domain.Check,
) (changed bool, err error) {
	if err := routeIsValid(ctx, q, r, check); err != nil {
		return false, err
	}
	return writeRoute(ctx, q, sql, pgx.NamedArgs{
		"pattern": r.Pattern, "source": source, "queue": r.Queue, "exchange": r.Exchange, "routing_key": r.RoutingKey,
		"priority": r.Priority, "expires": r.ExpiresSeconds, "time_limit": r.TimeLimitSeconds, "soft_time_limit": r.SoftTimeLimitSeconds,
		"ignore_result": r.IgnoreResult,
	})
}

// errUnprintable refuses a new pattern. A route that is there may have such a one.
var errUnprintable = &domain.Error{
	Kind: domain.Invalid, Code: "name_invalid", Field: "/pattern", Message: "there is a control character: take it out",
}

func routeIsValid(ctx context.Context, q Querier, r domain.Route, check domain.Check) error {
	err := r.Check(check)
	if domain.Unprintable(r.Pattern) {
		there, failed := postgres.IsTrue(ctx, q, hasRoute, r.Pattern)
		if failed != nil {
			return fmt.Errorf("read route: %w", failed)
		}
		if !there {
			err = domain.Join(errUnprintable, err)
		}
	}
	if err != nil || r.Queue == "" {
		return err
	}
	return isNoStream(ctx, q, r.Queue, domain.ID{})
}

// DeleteRoute deletes the route of a pattern, or returns domain.ErrRouteNotFound.
func DeleteRoute(ctx context.Context, q Querier, pattern string) error {
	return endsRoute(ctx, q, deleteRoute, pattern)
}

func endsRoute(ctx context.Context, q Querier, sql, pattern string) error {
	changed, err := writeRoute(ctx, q, sql, pgx.NamedArgs{"pattern": pattern})
	if err == nil && !changed {
		return domain.ErrRouteNotFound
	}
	return err
}

func writeRoute(ctx context.Context, q Querier, sql string, args pgx.NamedArgs) (changed bool, err error) {
	by := actorOf(ctx)
	args["actor"], args["reason"] = textOrNull([]byte(by.name)), textOrNull([]byte(by.reason))
	trace, ended := traceparent.Event(ctx, "route")
	args["trace"] = trace
	written, err := postgres.Collect(ctx, q, pgx.RowTo[int64], sql, args)
	ended(err)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.ConstraintName == "routes_bounded" {
		return false, domain.ErrTooManyRoutes
	}
	if err != nil {
		return false, fmt.Errorf("write route: %w", err)
	}
	return len(written) > 0, nil
}

// PageOfRoutes returns a page of the routes, sorted by pattern, and their total number.
func (s *Store) PageOfRoutes(ctx context.Context, limit, offset int) (some []KeptRoute, total int64, err error) {
	some, err = readRoutes(ctx, s.pool, pageOfRoutes, limit, offset)
	if err != nil {
		return nil, 0, err
	}
	counts, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], countRoutes)
	if err != nil {
		return nil, 0, fmt.Errorf("count routes: %w", err)
	}
	return some, counts[0], nil
}

const (
	pageOfRoutes = livingRoutes + ` limit $1::bigint offset $2::bigint`
	countRoutes  = `select count(*) from tactus.routes where deleted_at is null`
)

// PutRoute creates the route of a pattern, or replaces it. A source that is nil leaves that of files as it is.
func (s *Store) PutRoute(ctx context.Context, r domain.Route, source *string) error {
	return s.patiently(ctx, r.Pattern, func() error {
		_, err := writesRoute(ctx, s.pool, putRouteSoon, r, source, s.check)
		return err
	})
}

// DeleteRoute deletes the route of a pattern, or returns domain.ErrRouteNotFound.
func (s *Store) DeleteRoute(ctx context.Context, pattern string) error {
	return s.patiently(ctx, pattern, func() error { return endsRoute(ctx, s.pool, deleteRouteSoon, pattern) })
}

func (s *Store) patiently(ctx context.Context, pattern string, write func() error) error {
	locked := lockedErrorOf(domain.ErrRouteLocked, fmt.Sprintf("the route %q, or the number of routes,", pattern))
	return s.lines.patiently(ctx, "route "+pattern, locked, write)
}
