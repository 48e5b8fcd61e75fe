package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Partition is a partition of the log or of the runs.
type Partition struct {
	Name, Bounds string
	Rows         int64 // from the statistics; -1 if they have no number
	Bytes        int64
}

const readPartitions = `
select c.relname, pg_get_expr(c.relpartbound, c.oid), c.reltuples::bigint, pg_total_relation_size(c.oid)
from pg_catalog.pg_class c join pg_catalog.pg_inherits i on i.inhrelid = c.oid
where i.inhparent in ('tactus.outbox_schedule'::regclass, 'tactus.outbox_run'::regclass, 'tactus.runs'::regclass)
order by c.relname limit 200`

// Partitions returns the partitions of the log and of the runs.
func (c *Catalog) Partitions(ctx context.Context) ([]Partition, error) {
	rows, err := c.pool.Query(ctx, readPartitions, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Partition])
	if err != nil {
		return nil, fmt.Errorf("read partitions: %w", err)
	}
	return all, nil
}
