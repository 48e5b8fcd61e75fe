package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// A principal that is confined to a scope reads only the schedules in the scope, with their runs and events. All reads
// take the scope from the context of the request, so no handler can forget it.

// scoped adds the scope of a request to the arguments of a statement with sqlexpr.InScope.
func scoped(ctx context.Context, args pgx.NamedArgs) pgx.NamedArgs {
	scope := access.From(ctx).Scope
	args["scope_tags"], args["scope_names"] = scope.Tags(), scope.Prefixes()
	return args
}

func confined(ctx context.Context) bool { return len(access.From(ctx).Scope) > 0 }

// inScope includes deleted schedules, which keep their runs and events.
const inScope = `select exists (select from tactus.schedules s where s.id = @id and ` + sqlexpr.InScope + `)`

// mayRead returns notFound if a schedule is outside the scope of the request.
func (c *Catalog) mayRead(ctx context.Context, schedule domain.ID, notFound error) error {
	if !confined(ctx) {
		return nil
	}
	var sees bool
	args := scoped(ctx, pgx.NamedArgs{"id": schedule})
	if err := c.pool.QueryRow(ctx, inScope, pgx.QueryExecModeExec, args).Scan(&sees); err != nil {
		return fmt.Errorf("look for the schedule in the scope: %w", err)
	}
	if !sees {
		return notFound
	}
	return nil
}

const runsInScope = `
select count(*) from unnest(@ids::text[]::uuid[]) as given (id) where exists (
    select from tactus.runs r join tactus.schedules s on s.id = r.schedule_id where r.id = given.id and ` + sqlexpr.InScope + `)`

// MayReadRuns returns domain.ErrRunNotFound if a run is outside the scope of a request.
func (c *Catalog) MayReadRuns(ctx context.Context, ids []domain.ID) error {
	if !confined(ctx) {
		return nil
	}
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	var sees int
	args := scoped(ctx, pgx.NamedArgs{"ids": texts})
	if err := c.pool.QueryRow(ctx, runsInScope, pgx.QueryExecModeExec, args).Scan(&sees); err != nil {
		return fmt.Errorf("look for the runs in the scope: %w", err)
	}
	if sees < len(ids) {
		return domain.ErrRunNotFound
	}
	return nil
}
