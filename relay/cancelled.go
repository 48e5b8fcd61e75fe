package relay

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

const cancelledRunsSQL = `select run_id` + sqlexpr.Cancelled

// undefinedTable is the SQLSTATE of a schema that is older than a table.
const undefinedTable = "42P01"

// cancelled returns the runs of a chunk that were cancelled. A run that is cancelled after this look is handed over,
// and the workers are told to revoke it.
func (l *lane) cancelled(ctx context.Context, runs givenRuns) (found map[domain.ID]bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	first, last := dueBounds(runs.dues)
	args := pgx.NamedArgs{"ids": runs.ids, "first_due": first, "last_due": last}
	err = l.beside.Do(ctx, cancelledRunsSQL, func(sql string) error {
		rows, err := l.db.Query(ctx, sql, pgx.QueryExecModeCacheDescribe, args)
		if err != nil {
			return err
		}
		var id domain.ID
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			if found == nil {
				found = map[domain.ID]bool{}
			}
			found[id] = true
			return nil
		})
		return err
	})
	if err != nil && postgres.Code(err) != undefinedTable {
		return nil, fmt.Errorf("read cancelled runs: %w", err)
	}
	return found, nil
}
