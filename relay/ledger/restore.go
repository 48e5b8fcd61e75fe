package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
)

// Restore is an epoch that began because the database may have lost the end of the log: a standby was promoted, or a
// backup restored.
type Restore struct {
	Sink       string     `json:"sink"`
	Epoch      string     `json:"epoch"`
	Number     int64      `json:"batch"` // the number of the opening
	Reason     string     `json:"reason"`
	Timeline   string     `json:"timeline"`
	System     string     `json:"system_identifier"`
	At         time.Time  `json:"at"`
	After      ID         `json:"-"`           // where the sink was when the epoch began
	Log        ID         `json:"-"`           // the end of the newest batch that the database knew of
	KnownUntil *time.Time `json:"known_until"` // when that batch was cut
}

const restoresSQL = `
select sink, epoch, number, reason, timeline, system_identifier, opened_at, after_batch, after_place, log_batch, log_place, known_until
from tactus.relay_epochs e
where went_back and exists (select from tactus.relay_batches b where b.sink = e.sink and b.number = e.number and b.epoch = e.epoch)
order by opened_at, sink`

// Restores returns the restores whose openings are still kept, in order of time.
func Restores(ctx context.Context, q outbox.Querier) ([]Restore, error) {
	rows, err := q.Query(ctx, restoresSQL, pgx.QueryExecModeExec)
	if err != nil {
		return nil, fmt.Errorf("read epochs: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Restore, err error) {
		err = row.Scan(&r.Sink, &r.Epoch, &r.Number, &r.Reason, &r.Timeline, &r.System, &r.At, &r.After.Batch,
			&r.After.Seq, &r.Log.Batch, &r.Log.Seq, &r.KnownUntil)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read epochs: %w", err)
	}
	return all, nil
}
