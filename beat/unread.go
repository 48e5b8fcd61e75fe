package beat

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
)

// # While the log cannot be read
//
// While another session has locked a partition of the events of schedules, the beat finds changed schedules in the
// table tactus.schedules: the xmin of each row is the transaction, or subtransaction, that last wrote it. If a snapshot
// does not show a transaction, the numbers of the transaction and of its subtransactions are not less than the
// snapshot's own xmin:
//
//	           xmin              xmax
//	─────shown──┼──shown or not───┼──not shown──▶
//	            └──── taken for changed ────────▶
//
// This finds every schedule that has changed, so memory misses no change. It also finds some that have not changed, and
// costs a read of the whole table. But only events tell which triggers a schedule had before:
//
//   - A successor does not know which due times of a changed schedule its predecessor has settled. It decides again
//     those of schedules whose effective_from lies in the last hour, and the others when it can read the events. Until
//     then it leaves the predecessor's snapshot in the lease, so that its own successor would do the same.
//   - The due times that a change has overtaken are found by the trigger in memory, provided that it was a single
//     change.

// unread says whether the events of schedules are locked, and what is to be done once they can be read.
type unread struct {
	pause    time.Duration // the last pause before the events are tried again
	notUntil time.Time     // when they may be tried again
	rest     time.Duration // the pause before the table of the schedules is read again instead
	owed     *string       // the predecessor's snapshot: the changes after it are still to be read from the events
	failures failureLog
}

func newUnread(log *slog.Logger) unread {
	return unread{failures: failureLog{
		log: log, level: slog.LevelWarn, what: "the log cannot be read: what has changed is read from the schedules",
	}}
}

// mayRead reports whether the beat may try to read the events.
func (u *unread) mayRead() bool { return !time.Now().Before(u.notUntil) }

// eventsLocked notes that the events are locked. They are not tried again before a pause, which is twice as long each
// time.
func (b *Beat) eventsLocked(ctx context.Context, err error) {
	b.unread.failures.report(tablelocks.Explain(ctx, b.pool, err))
	b.unread.pause = min(max(2*b.unread.pause, firstLeave), lastLeave)
	b.unread.notUntil = time.Now().Add(b.unread.pause)
}

// readEvents reads events of schedules up to the end of the log. It does not wait long for a lock.
func (b *Beat) readEvents(ctx context.Context, sql string, args named, read func(pgx.Rows) error) error {
	return b.bounded(ctx, func(tx pgx.Tx) error {
		var end int64
		if err := tx.QueryRow(ctx, logEndSQL, planned).Scan(&end); err != nil {
			return err
		}
		args["end"] = end
		rows, err := tx.Query(ctx, sql, planned, args)
		if err != nil {
			return err
		}
		return read(rows)
	})
}

// changedEventsSQL finds the schedules and calendars that have changed, each with its newest version.
var changedEventsSQL = `
select o.aggregate_id, max(o.version), bool_or(o.type like 'calendar.%') from tactus.outbox o
where o.topic = 'schedule' and o.position <= @end::bigint and ` + notInSnapshotSQL + `
group by o.aggregate_id`

// changedTableSQL finds changed schedules without the log. Calendars need not be found: each poll compares them anyway.
const changedTableSQL = `select s.id, s.version, false from tactus.schedules s where ` + maybeChangedSQL

// maybeChangedSQL is true for schedules that may have been written by a transaction which the snapshot @from does not
// show.
const maybeChangedSQL = `age(s.xmin) <= age(pg_snapshot_xmin(@from::text::pg_snapshot)::xid)`

// tableRests is how long the beat rests after a read of the table of the schedules, in multiples of the time that the
// read took.
const tableRests = 7

// readChanges marks what has changed since polls.from for a sync. It goes by the log, or by the table of the schedules
// while the log is locked.
func (b *Beat) readChanges(ctx context.Context, now memory.Micros, end int64) error {
	if b.unread.mayRead() {
		err := b.bounded(ctx, func(tx pgx.Tx) error {
			return b.noteChanges(ctx, tx, changedEventsSQL, named{"from": b.polls.from, "end": end})
		})
		if err == nil {
			b.unread.failures.recovered()
			b.unread.pause, b.unread.rest = 0, 0
			return b.readOwed(ctx, now)
		}
		if !postgres.LockTimedOut(err) {
			return err
		}
		b.eventsLocked(ctx, err)
	}
	began := time.Now()
	if err := b.noteChanges(ctx, b.pool, changedTableSQL, named{"from": b.polls.from}); err != nil {
		return err
	}
	b.unread.rest = tableRests * time.Since(began)
	return nil
}

// maybeChangedAfterSQL finds, without the log, the schedules that changedAfterSQL finds, and perhaps more.
const maybeChangedAfterSQL = `
select s.id, s.effective_from > @recent::timestamptz, not s.enabled or s.deleted_at is not null
from tactus.schedules s where ` + maybeChangedSQL

// decidedAgain bounds which schedules are taken for restarted at a takeover while the log is locked: those whose
// effective_from is not older than this.
const decidedAgain = time.Hour

// maybeChangedAfter returns the schedules that may have changed after the predecessor's snapshot. It is for the time
// while the log is locked.
func (b *Beat) maybeChangedAfter(ctx context.Context, snapshot string) ([]changedAfterRow, error) {
	rows, err := b.pool.Query(ctx, maybeChangedAfterSQL, planned, named{
		"from": snapshot, "recent": b.lease.taken.Now.Add(-decidedAgain),
	})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[changedAfterRow])
}

// noteChanges marks the schedules that a query returns for a sync.
func (b *Beat) noteChanges(ctx context.Context, q postgres.Querier, sql string, args named) error {
	rows, err := q.Query(ctx, sql, planned, args)
	if err != nil {
		return err
	}
	var id domain.ID
	var version int64
	var calendar bool
	_, err = pgx.ForEachRow(rows, []any{&id, &version, &calendar}, func() error {
		if calendar {
			return nil
		}
		if kept, ok := b.memory.Find(id); ok && int64(kept.Version) > version {
			b.wantAnew("the log ends before a version that memory has")
		}
		b.wantSync(id, version)
		return nil
	})
	return err
}

// readOwed does what a takeover could not do because the log was locked.
func (b *Beat) readOwed(ctx context.Context, now memory.Micros) error {
	if b.unread.owed == nil || !b.lease.leading {
		return nil
	}
	b.lease.maybeSettled = max(b.lease.maybeSettled, now)
	owed := *b.unread.owed
	b.unread.owed = nil
	if err := b.learnChanges(ctx, owed); err != nil {
		b.unread.owed = &owed
		return err
	}
	return nil
}

// changesSQL reads the versions of some schedules, and when these were written.
const changesSQL = `
select s.id, s.version, s.updated_at from tactus.schedules s where s.id = any (@ids::uuid[])`

// changeRow is a row of changesSQL.
type changeRow struct {
	ID      domain.ID
	Version int64
	At      time.Time
}

// overtakenInMemory returns the due times that single changes have overtaken, by the triggers in memory.
func (b *Beat) overtakenInMemory(
	ctx context.Context, settled map[domain.ID]time.Time, ids []domain.ID,
) (found []overtaken, err error) {
	rows, err := b.pool.Query(ctx, changesSQL, planned, named{"ids": ids})
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[changeRow])
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	for _, c := range changes {
		kept, known := b.memory.Find(c.ID)
		if !known || kept.Due == memory.Never || c.Version != int64(kept.Version)+1 {
			continue
		}
		policy, recurrence := b.memory.Rule(kept)
		since := later(settled[c.ID], time.UnixMicro(kept.Due-1))
		if first, last, ok := policy.Range(recurrence, since, c.At); ok {
			found = append(found, overtaken{id: c.ID, version: c.Version - 1, first: first, last: last})
		}
	}
	return found, nil
}
