package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Moving tells which schedules were adopted from the tables of other beats.
type Moving struct {
	Tables   []Adoption
	Invalid  []InvalidRow // of all tables, by name
	Failures []AdoptFailure
}

// Adoption is an adopted table with the numbers of its schedules, each counted up to MaxMatchCount.
type Adoption struct {
	Source, Kind, Timezone      string
	At                          time.Time
	Schedules, Enabled, Invalid int64
	Failed                      int64 // rows that could not be written, and wait to be mended
}

// InvalidRow is a schedule of an adopted table that cannot be scheduled.
type InvalidRow struct {
	ID                   domain.ID
	Name, Source, Reason string
}

// AdoptFailure is a row of an adopted table that could not be written.
type AdoptFailure struct {
	Source, Key, Reason string
	At                  time.Time
}

// The most rows that are returned.
const mostMoving = 100

var adoptionsSQL = `
select a.source, a.kind, a.timezone, ` + sqlexpr.InYears("a.adopted_at") + `,
    (select count(*) from (select from tactus.schedules s where s.managed_by = a.source and s.deleted_at is null limit $1::bigint) n),
    (select count(*) from (select from tactus.schedules s where s.managed_by = a.source and s.deleted_at is null and s.enabled limit $1::bigint) n),
    (select count(*) from (select from tactus.schedules s where s.managed_by = a.source and s.deleted_at is null and s.invalid_reason is not null limit $1::bigint) n),
    (select count(*) from (select from tactus.adopt_failures f where f.source = a.source limit $1::bigint) n)
from tactus.adoptions a order by a.source limit 100`

const (
	invalidRows = `
select s.id, s.name, s.managed_by, left(s.invalid_reason, 2000) from tactus.schedules s
where s.deleted_at is null and s.invalid_reason is not null and s.managed_by is not null order by s.name limit $1::bigint`
	failedRows = `
select source, coalesce(left(key, 200), ''), left(reason, 2000), created_at from tactus.adopt_failures order by id desc limit $1::bigint`
)

// Moving reads which tables are adopted, and which of their rows cannot be scheduled.
func (c *Catalog) Moving(ctx context.Context) (m Moving, err error) {
	err = pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: `begin isolation level repeatable read read only; set local jit = off`}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, adoptionsSQL, pgx.QueryExecModeExec, MaxMatchCount)
		if err != nil {
			return err
		}
		if m.Tables, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Adoption]); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, invalidRows, pgx.QueryExecModeExec, mostMoving); err != nil {
			return err
		}
		if m.Invalid, err = pgx.CollectRows(rows, pgx.RowToStructByPos[InvalidRow]); err != nil {
			return err
		}
		if rows, err = tx.Query(ctx, failedRows, pgx.QueryExecModeExec, mostMoving); err != nil {
			return err
		}
		m.Failures, err = pgx.CollectRows(rows, pgx.RowToStructByPos[AdoptFailure])
		return err
	})
	if err != nil {
		return m, fmt.Errorf("read adoptions: %w", err)
	}
	return m, nil
}
