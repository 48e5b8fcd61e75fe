package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// notInSnapshotSQL is true of events whose transaction the snapshot @from does not show.
var notInSnapshotSQL = sqlexpr.NotSeen("@from::text::pg_snapshot")

// pollSQL returns
//
//   - the snapshot that the statement sees;
//   - the snapshot that the lease carries, unless that is of a database that has come farther than this one;
//   - whether this database has not come as far as the snapshot @from: it is another one, or has gone back;
//   - PostgreSQL's time;
//   - the end of the log: no row that the snapshot shows lies behind it.
var pollSQL = `
select pg_current_snapshot()::text,
    case when pg_snapshot_xmax(l.snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) then l.snapshot::text end,
    pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(@from::text::pg_snapshot), clock_timestamp(),
    (` + logEndSQL + `)
from (select 1) one left join tactus.leases l on l.name = @lease`

// logEndSQL is read before events are, and bounds where they are looked for: partitions that stand ready behind it
// have none, and may be locked.
const logEndSQL = `select last_value from tactus.outbox_position`

// pollRow is the row of pollSQL.
type pollRow struct {
	Seen    string    // the snapshot that the poll saw
	Lease   *string   // the snapshot that the lease carries
	Foreign bool      // the snapshot that polls count from is not this database's
	Now     time.Time // by PostgreSQL's clock
	End     int64     // of the log
}

// polls are how far the log has been read, as snapshots of PostgreSQL.
type polls struct {
	at       memory.Micros // when the next poll is due
	from     string        // what polls read is what this snapshot does not show
	last     pollRow       // the last poll's answer, until memory has everything that it named
	inMemory string        // memory has everything that this snapshot shows
	server   string        // whose snapshots they are: system identifier and timeline
}

// poll reads which schedules have changed, from the log alone. So neither Redis nor the relay is needed for a change
// to get here, only for it to get here soon.
//
// Polls count from a snapshot, as the relay's cursor does: a position would miss what commits late. The snapshot must
// be one that a committed row carries, the lease's. After a crash PostgreSQL gives the numbers of transactions that
// were not flushed to new ones; a snapshot that was only ever in memory may show those numbers as seen, and polls
// would pass over the new rows. The lease's commit flushed all that its snapshot shows. So changes are found several
// times, until the next renewal moves the snapshot on; memory has them then, and they are not read again.
//
// After a long absence there may be very many changes, so they are taken in as they arrive.
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

// caughtUp is called when memory has everything that was heard or polled. Now the feed's events can be acknowledged,
// and the next renewal of the lease can carry the snapshot that the last poll saw.
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
