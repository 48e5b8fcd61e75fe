package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// takeOver brings memory to where the predecessor was, and then makes this beat the leader. The predecessor left two
// things in the lease: the watermark, and the snapshot of the log up to which its memory had all changes.
//
// The predecessor has settled what fires up to the watermark, by the schedules as it knew them. But it did not know
// what transactions changed that its snapshot does not show. Such a schedule is either of these:
//
//   - Its due times count from another instant since the change (it was created, enabled or given another trigger). All
//     its due times are still to be settled, whatever the watermark is, since they may lie between that instant and the
//     commit of the change. Restart makes it due at the first one.
//   - It was edited otherwise. Its jitter may have been changed, so its last due time before the watermark may have had
//     to fire after the watermark by the old jitter, and may not be settled. Reconsider makes it due at this due time
//     again.
//
// It is harmless to decide a due time again, because of the unique key of tactus.runs. It is not harmless to pass over
// one.
func (b *Beat) takeOver(ctx context.Context, now memory.Micros) error {
	b.lease.maybeSettled = max(now, b.lease.taken.Now.UnixMicro())
	b.rewind(b.lease.taken.Watermark, b.lease.taken.Now)
	b.memory.AdvanceTo(b.lease.taken.settled())
	b.withdrawal = withdrawal{wanted: true}
	b.switchFromShadow(b.lease.taken.SwitchedAt)
	b.unread.owed = nil
	if b.lease.taken.Snapshot != nil {
		if err := b.learnChanges(ctx, *b.lease.taken.Snapshot); err != nil {
			return fmt.Errorf("read what the predecessor did not know: %w", err)
		}
	}
	b.noteAllSpent()
	b.lease.leading = true
	b.wantResync("took the lease")
	settled := "none" // there was no beat before
	if at := b.lease.taken.Watermark; at != nil {
		settled = at.UTC().Format(time.RFC3339Nano)
	}
	b.log.Info("took the lease", "epoch", b.lease.term, "holder", b.holder, "watermark", settled)
	return nil
}

// learnChanges finds the schedules that changed after the predecessor's snapshot, and makes them due again where the
// predecessor may not have settled them. While the log is locked it goes by the table of the schedules, and does the
// rest when the log can be read (readOwed).
func (b *Beat) learnChanges(ctx context.Context, snapshot string) error {
	changed, err := b.changedAfter(ctx, snapshot)
	if postgres.LockTimedOut(err) {
		b.eventsLocked(ctx, err)
		if changed, err = b.maybeChangedAfter(ctx, snapshot); err == nil {
			b.unread.owed = &snapshot
			b.decideAgain(changed)
		}
		return err
	}
	if err == nil {
		err = b.settleOvertakenBefore(ctx, snapshot, moved(changed))
	}
	if err == nil {
		b.decideAgain(changed)
	}
	return err
}

// decideAgain makes changed schedules due again at due times that the predecessor may not have settled, and marks them
// for a sync.
func (b *Beat) decideAgain(changed []changedAfterRow) {
	for _, s := range changed {
		if s.Restarted {
			b.memory.Restart(s.ID)
		} else {
			b.memory.Reconsider(s.ID, b.lease.taken.settled())
		}
		b.syncs.pending[s.ID] = anyVersion
	}
}

// changedAfterSQL finds the schedules that were changed by transactions which a snapshot does not show, and whether
// these set effective_from. They did if one of the events occurred at effective_from, or enabled the schedule. (When a
// pause ends by itself, effective_from is the end of the pause, which is earlier than the event.)
var changedAfterSQL = `
select s.id, bool_or(o.occurred_at = s.effective_from or o.type = 'schedule.enabled'), not s.enabled or s.deleted_at is not null
from tactus.outbox o join tactus.schedules s on s.id = o.aggregate_id
where o.topic = 'schedule' and o.position <= @end::bigint and ` + notInSnapshotSQL + `
group by s.id`

// changedAfterRow is a schedule that has changed after the predecessor's snapshot.
type changedAfterRow struct {
	ID        domain.ID
	Restarted bool
	Ended     bool // the schedule may not fire any more
}

// moved returns the schedules whose due times count from another instant, or not at all.
func moved(changed []changedAfterRow) (ids []domain.ID) {
	for _, s := range changed {
		if s.Restarted || s.Ended {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

func (b *Beat) changedAfter(ctx context.Context, snapshot string) (changed []changedAfterRow, err error) {
	err = b.readEvents(ctx, changedAfterSQL, named{"from": snapshot}, func(rows pgx.Rows) (err error) {
		changed, err = pgx.CollectRows(rows, pgx.RowToStructByPos[changedAfterRow])
		return err
	})
	return changed, err
}
