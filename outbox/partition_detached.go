package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Detached is the empty table of a partition that was due to be dropped, and that a view or a function of somebody else
// keeps: to make one takes no right on the table, only USAGE on the schema.
type Detached struct {
	Table      string   // in the schema tactus
	Dependents []string // as PostgreSQL describes them; the table is dropped when there are none
}

// detachedPrefix begins the name of a detached table, whose former name is free for a new partition.
const detachedPrefix = "detached_"

// listDetached reads also what depends on the row type, as a column does.
const listDetached = `
select c.relname, array(
    select distinct pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d
    where d.deptype = 'n' and (d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
        or d.refclassid = 'pg_type'::regclass and d.refobjid = c.reltype)
        and not exists (select from pg_constraint o where d.classid = 'pg_constraint'::regclass and o.oid = d.objid
            and o.conrelid = c.oid)
    order by 1)
from pg_class c where c.relnamespace = 'tactus'::regnamespace and c.relkind = 'r'
    and starts_with(c.relname::text, '` + detachedPrefix + `')
order by 1`

// ListDetached returns the detached partitions, by name.
func ListDetached(ctx context.Context, q Querier) ([]Detached, error) {
	all, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[Detached], listDetached)
	if err != nil {
		return nil, fmt.Errorf("list detached partitions: %w", err)
	}
	return all, nil
}

// dropDetached drops the detached partitions on which nothing depends any more. What is in use, or depended on by now,
// is for the next time.
func dropDetached(ctx context.Context, q Querier) error {
	all, err := ListDetached(ctx, q)
	errs := []error{err}
	for _, d := range all {
		if len(d.Dependents) > 0 {
			continue
		}
		err := execute(ctx, q, alone+
			fmt.Sprintf("drop table if exists tactus.%s;", pgx.Identifier{d.Table}.Sanitize())+end)
		if err != nil && !inUse(err) {
			errs = append(errs, fmt.Errorf("drop table %s: %w", d.Table, postgres.WithDependents(err)))
		}
	}
	return errors.Join(errs...)
}

// tellDetached reads the detached partitions. Those of this time were not dropped.
func (u *Upkeep) tellDetached(ctx context.Context, q Querier) (err error) {
	u.Detached, err = ListDetached(ctx, q)
	for _, d := range u.Detached {
		u.Dropped = slices.DeleteFunc(u.Dropped, func(name string) bool {
			return name == strings.TrimPrefix(d.Table, detachedPrefix)
		})
	}
	return err
}

// String names a table and what keeps it.
func (d Detached) String() string { return d.Table + ": " + strings.Join(d.Dependents, ", ") }
