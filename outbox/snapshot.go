package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Topics of the log.
const (
	Schedules = "schedule"
	Runs      = "run"
)

// Snapshot is Postgres' pg_snapshot in text: which transactions a reader had seen. The zero Snapshot has seen none.
type Snapshot string

// Nothing is the snapshot that has seen no transaction.
const Nothing Snapshot = "1:1:"

// Row is an event in the log.
type Row struct {
	Position  int64
	Aggregate domain.ID // schedule or run
	Version   int64
	Type      domain.EventType
	Data      json.RawMessage
	Headers   json.RawMessage // nil when there are none
	At        time.Time

	HandedOver time.Time `db:"-"` // of a run: from when its expires_seconds count, when that is not At
}

// Current returns the snapshot of now.
func Current(ctx context.Context, q Querier) (Snapshot, error) {
	rows, err := q.Query(ctx, `select pg_current_snapshot()::text`)
	if err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[Snapshot])
	if err != nil {
		return "", fmt.Errorf("read snapshot: %w", err)
	}
	return s, nil
}

// Read streams the rows of a topic that are visible in to and were not in from, by position. Reading the same pair
// again gives the same rows, as long as the partitions are there. The connection is busy until the sequence ends.
//
// The condition on xid comes twice: the first is what an index can find, the second is the truth.
func Read(ctx context.Context, q Querier, topic string, from, to Snapshot) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		rows, err := q.Query(ctx, readBetween, pgx.QueryExecModeExec, pgx.NamedArgs{"topic": topic, "from": string(from), "to": string(to)})
		if err != nil {
			yield(Row{}, fmt.Errorf("read log: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			row, err := pgx.RowToStructByPos[Row](rows)
			if err != nil {
				yield(Row{}, fmt.Errorf("read log: %w", err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(Row{}, fmt.Errorf("read log: %w", err))
		}
	}
}

// readBetween is always planned for its own arguments: a generic plan does not know how few rows are new, and was 257
// times slower.
const readBetween = `
select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt + `
from tactus.outbox
where topic = @topic and (xid >= pg_snapshot_xmax(@from) or xid = any (array(select pg_snapshot_xip(@from))))
    and pg_visible_in_snapshot(xid, @to)
order by position`
