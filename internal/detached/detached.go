// Package detached finds the partitions that could not be dropped.
//
// Somebody else's view or function keeps the table that it names: to make one takes no right on the table, only USAGE
// on the schema. Such a partition is detached and emptied under another name, so that neither its rows nor its name
// stay, and is dropped when nothing depends on it any more.
package detached

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// Prefix begins the name of a detached table. Its former name, which follows, is free for a new partition.
const Prefix = "detached_"

// Table is the empty table of a partition that was due to be dropped.
type Table struct {
	Name       string   // in the schema tactus
	Dependents []string // as PostgreSQL describes them; the table is dropped when there are none
}

// String names a table and what keeps it.
func (t Table) String() string { return t.Name + ": " + strings.Join(t.Dependents, ", ") }

// listSQL reads also what depends on the row type, as a column does.
const listSQL = `
select c.relname, array(
    select distinct pg_describe_object(d.classid, d.objid, d.objsubid) from pg_depend d
    where d.deptype = 'n' and (d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid
        or d.refclassid = 'pg_type'::regclass and d.refobjid = c.reltype)
        and not exists (select from pg_constraint o where d.classid = 'pg_constraint'::regclass and o.oid = d.objid
            and o.conrelid = c.oid)
    order by 1)
from pg_class c where c.relnamespace = 'tactus'::regnamespace and c.relkind = 'r'
    and starts_with(c.relname::text, '` + Prefix + `')
order by 1`

// List returns the detached partitions, by name.
func List(ctx context.Context, q postgres.Querier) ([]Table, error) {
	all, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[Table], listSQL)
	if err != nil {
		return nil, fmt.Errorf("list detached partitions: %w", err)
	}
	return all, nil
}
