package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// lastSettledSQL finds the last due time of each schedule, from an instant on, that has a row. Due times of a
// schedule are settled in order, so everything before it is settled, too.
const lastSettledSQL = `
select w.schedule_id, coalesce(r.until, r.due_at)
from unnest(@schedules::uuid[], @from::timestamptz[]) w (schedule_id, since)
cross join lateral (
    select due_at, until from tactus.runs
    where schedule_id = w.schedule_id and slot = '00000000-0000-0000-0000-000000000000' and due_at >= w.since
    order by due_at desc limit 1
) r`

// settledRow is a row of lastSettledSQL.
type settledRow struct {
	ID   domain.ID
	Last time.Time
}

// skipSettled moves records past what has been settled without memory knowing it: by a predecessor after it had last
// written the watermark, or by a statement whose answer was lost. The unique key takes care of due times that fire. A
// range that was missed may end elsewhere when it is decided again, and the key, which is its first due time, would
// hide the difference.
func (b *Beat) skipSettled(ctx context.Context, slots []uint32) error {
	if len(slots) == 0 {
		return nil
	}
	ids, from := make([]domain.ID, len(slots)), make([]time.Time, len(slots))
	for i, slot := range slots {
		r := b.memory.At(slot)
		ids[i], from[i] = r.ID, time.UnixMicro(r.Effective)
	}
	rows, err := b.pool.Query(ctx, b.mode.lastSettledSQL, planned, named{"schedules": ids, "from": from})
	if err != nil {
		return fmt.Errorf("find what is settled: %w", err)
	}
	settled, err := pgx.CollectRows(rows, pgx.RowToStructByPos[settledRow])
	if err != nil {
		return fmt.Errorf("find what is settled: %w", err)
	}
	for _, s := range settled {
		if r, ok := b.memory.Find(s.ID); ok && s.Last.UnixMicro() >= r.Due {
			b.memory.SetDueAfter(r, s.Last.UnixMicro())
		}
	}
	return nil
}

// lastSettled returns the last due time of each schedule that has a row.
func (b *Beat) lastSettled(ctx context.Context, ids []domain.ID) (map[domain.ID]time.Time, error) {
	from := make([]time.Time, len(ids))
	rows, err := b.pool.Query(ctx, b.mode.lastSettledSQL, planned, named{"schedules": ids, "from": from})
	if err != nil {
		return nil, fmt.Errorf("find what is settled: %w", err)
	}
	settled, err := pgx.CollectRows(rows, pgx.RowToStructByPos[settledRow])
	if err != nil {
		return nil, fmt.Errorf("find what is settled: %w", err)
	}
	last := make(map[domain.ID]time.Time, len(settled))
	for _, s := range settled {
		last[s.ID] = s.Last
	}
	return last, nil
}
