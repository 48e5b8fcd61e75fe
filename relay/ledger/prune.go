package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/outbox"
)

// reportSQL records the place that a sink of events says it has reached, even if it is before the one recorded.
const reportSQL = `
update tactus.relay_sinks set confirmed_batch = @batch::bigint, confirmed_place = @place::bigint
where sink = @sink and epoch = @epoch and (confirmed_batch, confirmed_place) is distinct from (@batch::bigint, @place::bigint)`

// Report records the place that a sink of events says it has reached.
func Report(ctx context.Context, q outbox.Querier, sink, epoch string, p ID) error {
	return execNamed(ctx, q, "report "+sink, reportSQL,
		pgx.NamedArgs{"sink": sink, "epoch": epoch, "batch": p.Batch, "place": p.Seq})
}

func execNamed(ctx context.Context, q outbox.Querier, what, sql string, args pgx.NamedArgs) error {
	rows, err := q.Query(ctx, sql, pgx.QueryExecModeExec, args)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// prunedAtOnce bounds how many batches one statement deletes.
const prunedAtOnce = 10_000

// pruneBatchesSQL keeps the newest of the batches that are old enough to go, because its snapshot tells which rows the
// sink had by then.
const pruneBatchesSQL = `
with old as materialized (
    select max(b.number) as number from tactus.relay_batches b join tactus.relay_sinks s using (sink)
    where b.sink = @sink and b.number <= s.confirmed_batch and b.committed_at < @before::timestamptz
)
delete from tactus.relay_batches where sink = @sink and number in (
    select b.number from tactus.relay_batches b, old where b.sink = @sink and b.number < old.number order by b.number limit @limit)`

// PruneBatches deletes the batches that a sink has and that were cut before a time. If the sink loses its data, it can
// no longer be rewound to a place before them.
func PruneBatches(ctx context.Context, q outbox.Querier, sink string, before time.Time) error {
	return execNamed(ctx, q, "prune batches of "+sink, pruneBatchesSQL,
		pgx.NamedArgs{"sink": sink, "before": before, "limit": prunedAtOnce})
}

// heldSnapshotsSQL returns a row for each sink of a topic. It only looks at batches of the current epoch, since
// snapshots of an earlier epoch may come from another server.
const heldSnapshotsSQL = `
select (
    select b.snapshot::text from tactus.relay_batches b
    where b.sink = s.sink and b.number >= s.opened and b.committed_at < @before::timestamptz
        and not b.more and (b.number < s.confirmed_batch or b.number = s.confirmed_batch and b.row_count <= s.confirmed_place)
    order by b.number desc limit 1)
from tactus.relay_sinks s where s.topic = @topic`

// HeldSnapshots returns, for each registered sink of a topic, the newest snapshot from before a time up to which the
// sink has all rows. It returns nil if there is no such snapshot for one of the sinks: then no row may be dropped from
// the log.
func HeldSnapshots(ctx context.Context, q outbox.Querier, topic string, before time.Time) ([]outbox.Snapshot, error) {
	rows, err := q.Query(ctx, heldSnapshotsSQL, pgx.QueryExecModeExec, pgx.NamedArgs{"topic": topic, "before": before})
	if err != nil {
		return nil, fmt.Errorf("read what sinks have: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[*outbox.Snapshot])
	if err != nil {
		return nil, fmt.Errorf("read what sinks have: %w", err)
	}
	all := make([]outbox.Snapshot, len(found))
	for i, s := range found {
		if s == nil {
			return nil, nil
		}
		all[i] = *s
	}
	return all, nil
}

const firstSinceSQL = `
select coalesce(min(number), 0) from tactus.relay_batches where sink = @sink and committed_at >= @since::timestamptz`

// FirstSince returns the number of the oldest batch of a sink that was cut at or after a time, or 0 if there is none.
func FirstSince(ctx context.Context, q outbox.Querier, sink string, since time.Time) (n int64, err error) {
	rows, err := q.Query(ctx, firstSinceSQL, pgx.QueryExecModeExec, pgx.NamedArgs{"sink": sink, "since": since})
	if err == nil {
		n, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	}
	if err != nil {
		return 0, fmt.Errorf("read first batch: %w", err)
	}
	return n, nil
}
