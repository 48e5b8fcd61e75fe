package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// notIn are the rows of the log that a snapshot does not show.
const notInSnapshotSQL = `(o.xid >= pg_snapshot_xmax(@from::text::pg_snapshot) or o.xid = any (array(select pg_snapshot_xip(@from::text::pg_snapshot))))`

// changedSince answers each schedule that has changed and its newest version, or one without an id when nothing changed: the snapshot that the statement
// sees, the lease's (unless that is of another database, which has come farther), whether the database is another one
// than that of the snapshot given, and the time.
const changedSinceSQL = `
select pg_current_snapshot()::text, case when pg_snapshot_xmax(l.snapshot) <= pg_snapshot_xmax(pg_current_snapshot()) then l.snapshot::text end,
    pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(@from::text::pg_snapshot), clock_timestamp(), e.aggregate_id, e.version
from (select 1) one
left join tactus.leases l on l.name = @lease
left join (
    select o.aggregate_id, max(o.version) as version from tactus.outbox o where o.topic = 'schedule' and ` + notInSnapshotSQL + `
    group by o.aggregate_id
) e on true`

type pollRow struct {
	Seen    string
	Lease   *string
	Foreign bool
	Now     time.Time
	ID      *domain.ID
	Version *int64
}

// polls are how far the log has been read, as snapshots of PostgreSQL.
type polls struct {
	at       memory.Micros // when the next poll is due
	from     string        // what polls read is what this snapshot does not show
	last     pollRow       // the last poll's answer, until memory has everything that it named
	inMemory string        // memory has everything that this snapshot shows
	server   string        // whose snapshots they are: system identifier and timeline
}

// poll reads what has changed since the base. The base is a snapshot that a committed row carries, so that it is good
// after a crash of Postgres too, which gives the numbers of lost transactions to new ones. Hence changes are seen
// several times; memory has them then. After an absence there may be very many, so they are taken as they come.
func (b *Beat) poll(ctx context.Context, now memory.Micros) error {
	asked := localNow()
	rows, err := b.pool.Query(ctx, changedSinceSQL, planned, named{"from": b.polls.from, "lease": b.mode.leaseName})
	if err != nil {
		return fmt.Errorf("poll the log: %w", err)
	}
	var row pollRow
	_, err = pgx.ForEachRow(rows, []any{&row.Seen, &row.Lease, &row.Foreign, &row.Now, &row.ID, &row.Version}, func() error {
		if row.ID == nil {
			return nil
		}
		if kept, ok := b.memory.Find(*row.ID); ok && int64(kept.Version) > *row.Version {
			b.wantAnew("the log ends before a version that memory has")
		}
		b.wantSync(*row.ID, *row.Version)
		return nil
	})
	if err != nil {
		return fmt.Errorf("poll the log: %w", err)
	}
	b.anchorClock(asked, row.Now)
	b.polls.at = now + b.cfg.Poll.Microseconds()
	b.polls.last = row
	if b.polls.last.Foreign {
		b.wantAnew("the log's snapshots are not this database's")
	}
	return nil
}

// caughtUp is called when memory has all that was heard of: the feed and the lease may be told.
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
