package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// notInSnapshotSQL is true for events whose transaction the snapshot @from does not show.
var notInSnapshotSQL = sqlexpr.NotSeen("@from::text::pg_snapshot")

// pollSQL returns
//
//   - the snapshot that the statement sees;
//   - the snapshot in the row of the lease, unless that is ahead of this database;
//   - whether the snapshot @from is ahead of this database, so that this is another database, or has gone back;
//   - PostgreSQL's time;
//   - the end of the log: no row that the statement's snapshot shows has a greater position.
var pollSQL = `
select pg_current_snapshot()::text,
    case when pg_snapshot_xmax(l.snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) then l.snapshot::text end,
    pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(@from::text::pg_snapshot), clock_timestamp(),
    (` + logEndSQL + `)
from (select 1) one left join tactus.leases l on l.name = @lease`

// logEndSQL reads the end of the log. Queries of events are limited to it, so that they do not touch the empty
// partitions that stand ready behind it, which may be locked.
const logEndSQL = `select last_value from tactus.outbox_position`

// pollRow is the row of pollSQL.
type pollRow struct {
	Seen    string    // the snapshot that the poll saw
	Lease   *string   // the snapshot in the row of the lease
	Foreign bool      // the snapshot that polls count from is not this database's
	Now     time.Time // by PostgreSQL's clock
	End     int64     // of the log
}

// polls says how far the log has been read. Each place in the log is a snapshot of PostgreSQL.
type polls struct {
	at       memory.Micros // when the next poll is due
	from     string        // polls read the events that this snapshot does not show
	last     pollRow       // the last poll's answer, until memory has everything that it named
	inMemory string        // memory has every change that this snapshot shows
	server   string        // the server that the snapshots come from: system identifier and timeline
}

// poll reads from the log which schedules have changed. So a change reaches memory even without Redis and the relay;
// they only make it arrive sooner.
//
// Polls continue from a snapshot, like the relay's cursor. A position would not do: a transaction that commits late has
// lower positions than others that were already read, and would be missed. The snapshot must be one that a committed
// row holds, namely the lease's. When PostgreSQL crashes, it gives the numbers of transactions that were not flushed to
// disk to new transactions. A snapshot that was only ever in this beat's memory may show such numbers as seen, and
// polls from it would pass over the rows of the new transactions. The commit of the lease flushed everything that its
// snapshot shows, so its snapshot is safe. The price is that changes are found again by each poll until the next
// renewal moves the snapshot on; memory has them by then, and they are not read again.
//
// After a long absence there may be very many changes, so they are processed row by row as they arrive.
func (b *Beat) poll(ctx context.Context, now memory.Micros) error {
	asked := localNow()
	rows, err := b.pool.Query(ctx, pollSQL, planned, named{"from": b.polls.from, "lease": b.mode.leaseName})
	if err != nil {
		return fmt.Errorf("poll the log: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[pollRow])
	if err != nil {
		return fmt.Errorf("poll the log: %w", err)
	}
	if err := b.readChanges(ctx, now, row.End); err != nil {
		return fmt.Errorf("poll the log: %w", err)
	}
	b.anchorClock(asked, row.Now)
	b.polls.at = now + max(b.cfg.Poll, b.unread.rest).Microseconds()
	b.polls.last = row
	b.calendars.wanted = true
	if b.polls.last.Foreign {
		b.wantAnew("the log's snapshots are not this database's")
	}
	return nil
}

// caughtUp is called when memory has every change that the feed has brought or a poll has found. It acknowledges the
// feed's events, and lets the next renewal of the lease write the snapshot that the last poll saw.
func (b *Beat) caughtUp() {
	b.acknowledge()
	if b.polls.last.Seen == "" || b.resync.foreign() {
		return
	}
	b.polls.inMemory = b.polls.last.Seen
	if b.polls.last.Lease != nil {
		b.polls.from = *b.polls.last.Lease
	}
	b.polls.last = pollRow{}
}
