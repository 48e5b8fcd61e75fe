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

// takeOver makes memory go on where the predecessor was, before this beat leads. The predecessor left two things in the
// lease: the watermark, and the snapshot of the log that its memory had.
//
// Most schedules are known to the predecessor, and what fires up to the watermark is settled. But a schedule that a
// later transaction changed may have been another one for the predecessor when it wrote the watermark:
//
//   - Its due times count from another instant since (created, enabled, another trigger): they are all to be settled,
//     whatever the watermark is, since they may have passed before the change was committed. Restart.
//   - It was edited otherwise. Its jitter may have been another one, so the last due time before the watermark may
//     not have fired. Reconsider.
//
// Deciding a due time again is harmless: the unique key of tactus.runs knows it. Passing over one is not.
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
	settled := "none" // of the first beat
	if at := b.lease.taken.Watermark; at != nil {
		settled = at.UTC().Format(time.RFC3339Nano)
	}
	b.log.Info("took the lease", "epoch", b.lease.term, "holder", b.holder, "watermark", settled)
	return nil
}

// learnChanges has what changed after the predecessor's snapshot be settled anew. While the log is locked it goes by
// the schedules, and the rest is left for later.
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

// decideAgain makes schedules due again whose due times the predecessor may not have settled.
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

// changedAfterSQL finds the schedules that a transaction changed which a snapshot does not show, and whether it set
// effective_from: that is so if one of its events occurred at that very instant, or enabled it. A pause that ended by
// itself did so before its event occurred.
var changedAfterSQL = `
select s.id, bool_or(o.occurred_at = s.effective_from or o.type = 'schedule.enabled'), not s.enabled or s.deleted_at is not null
from tactus.outbox o join tactus.schedules s on s.id = o.aggregate_id
where o.topic = 'schedule' and o.position <= @end::bigint and ` + notInSnapshotSQL + `
group by s.id`

// changedAfterRow is a schedule that the predecessor may have known otherwise.
type changedAfterRow struct {
	ID        domain.ID
	Restarted bool
	Ended     bool // it may not fire any more
}

// moved returns the schedules whose due times count from another instant, or do not count any more.
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
