package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
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
	b.memory.AdvanceTo(watermarkMicros(b.lease.taken.Watermark))
	b.withdrawal = withdrawal{wanted: true}
	b.switchFromShadow(b.lease.taken.SwitchedAt)
	if b.lease.taken.Snapshot != nil {
		changed, err := b.changedAfter(ctx, *b.lease.taken.Snapshot)
		if err != nil {
			return err
		}
		if err := b.settleOvertakenBefore(ctx, *b.lease.taken.Snapshot, moved(changed)); err != nil {
			return err
		}
		for _, s := range changed {
			if s.Restarted {
				b.memory.Restart(s.ID)
			} else {
				b.memory.Reconsider(s.ID, watermarkMicros(b.lease.taken.Watermark))
			}
			b.syncs.pending[s.ID] = anyVersion
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

// changedAfterSQL finds the schedules that a transaction changed which a snapshot does not show, and whether it set
// effective_from: that is so if one of its events occurred at that very instant, or enabled it. A pause that ended by
// itself did so before its event occurred.
var changedAfterSQL = `
select s.id, bool_or(o.occurred_at = s.effective_from or o.type = 'schedule.enabled'), not s.enabled or s.deleted_at is not null
from tactus.outbox o join tactus.schedules s on s.id = o.aggregate_id
where o.topic = 'schedule' and ` + notInSnapshotSQL + `
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

func (b *Beat) changedAfter(ctx context.Context, snapshot string) ([]changedAfterRow, error) {
	rows, err := b.pool.Query(ctx, changedAfterSQL, planned, named{"from": snapshot})
	if err != nil {
		return nil, fmt.Errorf("read what the predecessor did not know: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[changedAfterRow])
	if err != nil {
		return nil, fmt.Errorf("read what the predecessor did not know: %w", err)
	}
	return changed, nil
}
