package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/detached"
	"github.com/tactus-dev/tactus/internal/postgres"
)

const dropDetachedTable = `select tactus.drop_detached($1)`

// dropDetached drops the detached partitions on which nothing depends any more. What is in use, or depended on by now,
// is for the next time.
func (s partitions) dropDetached(ctx context.Context, q Querier) error {
	all, err := detached.List(ctx, q)
	errs := []error{err}
	for _, d := range all {
		if len(d.Dependents) > 0 {
			continue
		}
		sql, args := dropDetachedTable, []any{d.Name}
		if !s.functions {
			sql, args = alone+fmt.Sprintf("drop table if exists tactus.%s;", pgx.Identifier{d.Name}.Sanitize())+end, nil
		}
		err := execute(ctx, q, sql, args...)
		if err != nil && !inUse(err) {
			errs = append(errs, fmt.Errorf("drop table %s: %w", d.Name, postgres.WithDependents(err)))
		}
	}
	return errors.Join(errs...)
}

// tellDetached reads the detached partitions. Those of this time were not dropped.
func (u *Upkeep) tellDetached(ctx context.Context, q Querier) (err error) {
	u.Detached, err = detached.List(ctx, q)
	for _, d := range u.Detached {
		u.Dropped = slices.DeleteFunc(u.Dropped, func(name string) bool {
			return name == strings.TrimPrefix(d.Name, detached.Prefix)
		})
	}
	return err
}
