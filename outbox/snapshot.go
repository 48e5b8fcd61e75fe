package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// Topics of the log.
const (
	Schedules = "schedule"
	Runs      = "run"
)

// Snapshot is PostgreSQL's pg_snapshot as text: it tells which transactions a reader has seen. The zero Snapshot has
// seen none.
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

// Current returns the current snapshot.
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
