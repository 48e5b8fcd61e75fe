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
// Somebody may lock a partition of the events of schedules. What has changed is then read from tactus.schedules, whose
// rows carry the transaction that last wrote them. A transaction that a snapshot does not show has a number from the
// snapshot's xmin on, and so have its subtransactions, which are what xmin of a row is of:
//
//	           xmin              xmax
//	─────shown──┼──shown or not───┼──not shown──▶
//	            └──── taken for changed ────────▶
//
// That finds every schedule that has changed, and some that have not, which costs a read of the whole table. So memory
// lacks nothing. What only events tell is which triggers a schedule had before:
//
//   - A successor does not know which due times of a changed schedule its predecessor has settled. It decides again
//     what was due in the last hour, and the rest when it can read the events. Until then the lease keeps the
//     predecessor's snapshot, so that its own successor would do so, too.
//   - What a change has overtaken is told from the trigger in memory, if it was a single change.

// unread is what the beat knows of somebody's lock on the events of schedules.
type unread struct {
	pause    time.Duration // the last one, before they are asked for again
	notUntil time.Time     // when they may be
	rest     time.Duration // before the schedules are read again instead
	owed     *string       // what changed after this snapshot, which a predecessor left, is to be read when it can be
	failures failureLog
}

func newUnread(log *slog.Logger) unread {
	return unread{failures: failureLog{
		log: log, level: slog.LevelWarn, what: "the log cannot be read: what has changed is read from the schedules",
	}}
}

// may reports whether it is time to ask for the events.
func (u *unread) may() bool { return !time.Now().Before(u.notUntil) }

// eventsLocked notes that the events could not be had. They are not asked for before a pause is over, which is longer
// each time.
func (b *Beat) eventsLocked(ctx context.Context, err error) {
	b.unread.failures.report(tablelocks.Explain(ctx, b.pool, err))
	b.unread.pause = min(max(2*b.unread.pause, firstLeave), lastLeave)
	b.unread.notUntil = time.Now().Add(b.unread.pause)
}

// readEvents reads events of schedules up to the end of the log, and waits for nobody's lock for long.
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

// changedTableSQL finds them without the log. Calendars are compared at each poll anyway.
const changedTableSQL = `select s.id, s.version, false from tactus.schedules s where ` + maybeChangedSQL

// maybeChangedSQL is true of schedules that a transaction may have written which the snapshot @from does not show.
const maybeChangedSQL = `age(s.xmin) <= age(pg_snapshot_xmin(@from::text::pg_snapshot)::xid)`

// tableRests is how many times as long as it took to read the schedules the beat rests before it does so again.
const tableRests = 7

// readChanges notes what has changed since polls.from, by the log, or by the schedules while the log is locked.
func (b *Beat) readChanges(ctx context.Context, now memory.Micros, end int64) error {
	if b.unread.may() {
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

// maybeChangedAfterSQL finds what changedAfterSQL does, and more, without the log.
const maybeChangedAfterSQL = `
select s.id, s.effective_from > @recent::timestamptz, not s.enabled or s.deleted_at is not null
from tactus.schedules s where ` + maybeChangedSQL

// decidedAgain is how long before a takeover due times are decided again of schedules that may have been restarted.
const decidedAgain = time.Hour

// maybeChangedAfter returns the schedules that the predecessor may have known otherwise, while the log is locked.
func (b *Beat) maybeChangedAfter(ctx context.Context, snapshot string) ([]changedAfterRow, error) {
	rows, err := b.pool.Query(ctx, maybeChangedAfterSQL, planned, named{
		"from": snapshot, "recent": b.lease.taken.Now.Add(-decidedAgain),
	})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[changedAfterRow])
}

// noteChanges has what a query names be read.
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

// readOwed does what a takeover left for when the log can be read.
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

// changesSQL reads when some schedules were changed last.
const changesSQL = `
select s.id, s.version, s.updated_at from tactus.schedules s where s.id = any (@ids::uuid[])`

// changeRow is a row of changesSQL.
type changeRow struct {
	ID      domain.ID
	Version int64
	At      time.Time
}

// overtakenInMemory returns what single changes have overtaken, by the schedules as memory has them.
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
