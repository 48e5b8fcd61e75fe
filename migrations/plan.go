package migrations

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Step is a migration that is to be applied.
type Step struct {
	Name  string
	Locks []Lock
}

// Lock is a table that a migration locks against writers, until it commits.
type Lock struct {
	Table   string
	Readers bool          // readers wait, too
	Work    []string      // what is done meanwhile that goes through the whole table
	Bytes   int64         // the size of the table, with its partitions
	About   time.Duration // how long the work takes for a table of that size
}

// What a second gets through, in bytes of the table, on a machine with two cores: an index is sorted and written, a
// rewritten table is written with its indexes, a scan only reads.
const (
	scanned = 200 << 20
	built   = 40 << 20
	written = 20 << 20
)

// sizesSQL is the size of each table of the schema, with its partitions.
const sizesSQL = `
select c.relname, sum(pg_table_size(p.relid))::bigint
from pg_class c, lateral (select relid from pg_partition_tree(c.oid) union select c.oid) p
where c.relnamespace = to_regnamespace('tactus') and c.relkind in ('r', 'p') and not c.relispartition
group by 1`

// Plan tells what Up would do, and which locks it would take. It writes nothing and locks nothing.
func Plan(ctx context.Context, db interface {
	Querier
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) (steps []Step, err error) {
	s, err := Look(ctx, db)
	if err != nil {
		return nil, err
	}
	all, err := allEffects()
	if err != nil {
		return nil, err
	}
	sizes, err := sizes(ctx, db)
	if err != nil {
		return nil, err
	}
	known, err := sources()
	if err != nil {
		return nil, err
	}
	for _, f := range known {
		if !slices.Contains(s.Missing, f.name) {
			continue
		}
		step := Step{Name: f.name}
		for _, l := range all.locks {
			if size, there := sizes[l.table]; l.version == f.version && there {
				step.Locks = append(step.Locks, Lock{
					Table: l.table, Readers: l.mode == "AccessExclusiveLock", Work: l.work, Bytes: size,
					About: takes(l.work, size),
				})
			}
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// takes estimates how long some work takes on a table of a size.
func takes(work []string, size int64) (all time.Duration) {
	rate := map[string]int64{"scan": scanned, "index": built, "rewrite": written}
	for _, w := range work {
		all += time.Duration(float64(size) / float64(rate[w]) * float64(time.Second))
	}
	return all.Round(100 * time.Millisecond)
}

func sizes(ctx context.Context, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
},
) (map[string]int64, error) {
	rows, err := db.Query(ctx, sizesSQL)
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	type sized struct {
		Table string
		Bytes int64
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sized])
	if err != nil {
		return nil, fmt.Errorf("read the sizes of tables: %w", err)
	}
	of := map[string]int64{}
	for _, s := range all {
		of[s.Table] = s.Bytes
	}
	return of, nil
}
