package testenv

import (
	"context"
	"fmt"
	"iter"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// ReadLog streams the rows of a topic that are visible in to and were not in from, by position. Reading the same pair
// again gives the same rows, as long as the partitions are there. The connection is busy until the sequence ends.
func ReadLog(
	ctx context.Context, q outbox.Querier, topic string, from, to outbox.Snapshot,
) iter.Seq2[outbox.Row, error] {
	return func(yield func(outbox.Row, error) bool) {
		rows, err := q.Query(ctx, readLogSQL, pgx.QueryExecModeExec,
			pgx.NamedArgs{"topic": topic, "from": string(from), "to": string(to)})
		if err != nil {
			yield(outbox.Row{}, fmt.Errorf("read log: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			row, err := pgx.RowToStructByPos[outbox.Row](rows)
			if err != nil {
				yield(outbox.Row{}, fmt.Errorf("read log: %w", err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(outbox.Row{}, fmt.Errorf("read log: %w", err))
		}
	}
}

const readLogSQL = `
select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt + `
from tactus.outbox
where topic = @topic and not pg_visible_in_snapshot(xid, @from) and pg_visible_in_snapshot(xid, @to)
order by position`
