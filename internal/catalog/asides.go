package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Aside is what was set aside because it could not be delivered or fired: a dead letter that PostgreSQL has.
type Aside struct {
	ID                        int64
	Source, Reference, Reason string
	Data                      string // its beginning
	Bytes                     int64
	CreatedAt                 time.Time
}

const newestAsides = `
select id, source, reference, left(reason, 2000), left(data, 2000), octet_length(data), created_at from tactus.deadletters
where dropped_at is null and ($1::bigint = 0 or id < $1) order by id desc limit $2::bigint`

// Asides returns the newest dead letters of PostgreSQL before an id (0: the newest). What refuses an entry of Redis'
// stream stays in Redis: tactus deadletter list has it.
func (c *Catalog) Asides(ctx context.Context, before int64, limit int) (all []Aside, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, newestAsides, pgx.QueryExecModeExec, before, limit)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Aside])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return all, nil
}

// Partition is a part of the log or of the runs, as PostgreSQL keeps it.
type Partition struct {
	Name, Bounds string
	Rows         int64 // as the statistics have it; -1 when they have nothing
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
