package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// settledFromSQL reads the rows of schedules from a due time on, and the row before it, since that may be a range that
// reaches beyond the due time.
const settledFromSQL = `
select w.schedule_id, r.due_at, coalesce(r.until, r.due_at)
from unnest(@schedules::uuid[], @from::timestamptz[], @due::timestamptz[]) w (schedule_id, since, due)
cross join lateral (
    select due_at, until from tactus.runs
    where schedule_id = w.schedule_id and slot = '00000000-0000-0000-0000-000000000000' and due_at >= coalesce((
        select max(due_at) from tactus.runs
        where schedule_id = w.schedule_id and slot = '00000000-0000-0000-0000-000000000000' and due_at between w.since and w.due
    ), w.due)
    order by due_at limit @most::bigint
) r
order by w.schedule_id, r.due_at`

// settledAtOnce is how many rows of a schedule one query reads.
const settledAtOnce = 500

// settledFromRow is a row of settledFromSQL.
type settledFromRow struct {
	ID          domain.ID
	First, Last time.Time
}

// gap describes how far unsettled due times reach: until is the last instant before the next due time that is settled.
type gap struct {
	until memory.Micros
	more  bool // there are more rows than were read, so until is not known
}

// skipSettled moves records past due times that were settled without memory knowing it: by a predecessor after it last
// wrote the watermark, or by a statement whose answer was lost. For a due time that fires, the unique key would be
// enough. But a missed range may end at another due time when it is decided again, and the unique key, which contains
// only its first due time, would hide the difference. Nor may a range cover due times that are settled already, as
// those are that fired early while the clock was ahead: the range has to end before them. skipSettled returns, by
// schedule, where.
func (b *Beat) skipSettled(ctx context.Context, slots []uint32) (map[domain.ID]gap, error) {
	if len(slots) == 0 {
		return nil, nil
	}
	ids, from, due := make([]domain.ID, len(slots)), make([]time.Time, len(slots)), make([]time.Time, len(slots))
	for i, slot := range slots {
		r := b.memory.At(slot)
		ids[i], from[i], due[i] = r.ID, time.UnixMicro(r.Effective), time.UnixMicro(r.Due)
	}
	rows, err := b.pool.Query(ctx, b.mode.settledFromSQL, planned,
		named{"schedules": ids, "from": from, "due": due, "most": settledAtOnce})
	if err != nil {
		return nil, fmt.Errorf("find what is settled: %w", err)
	}
	gaps, read := map[domain.ID]gap{}, map[domain.ID]int{}
	var s settledFromRow
	_, err = pgx.ForEachRow(rows, []any{&s.ID, &s.First, &s.Last}, func() error {
		read[s.ID]++
		r, known := b.memory.Find(s.ID)
		if _, found := gaps[s.ID]; found || !known {
			return nil
		}
		switch first, last := s.First.UnixMicro(), s.Last.UnixMicro(); {
		case first > r.Due:
			gaps[s.ID] = gap{until: first - 1}
		case last >= r.Due:
			b.memory.SetDueAfter(r, last)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find what is settled: %w", err)
	}
	for id, n := range read {
		if _, found := gaps[id]; !found && n == settledAtOnce {
			gaps[id] = gap{more: true}
		}
	}
	return gaps, nil
}

// lastSettledSQL finds the last due time of each schedule, from an instant on, that has a row. Due times in the future
// do not count: they fired early while the clock was ahead.
const lastSettledSQL = `
select w.schedule_id, coalesce(r.until, r.due_at)
from unnest(@schedules::uuid[], @from::timestamptz[]) w (schedule_id, since)
cross join lateral (
    select due_at, until from tactus.runs
    where schedule_id = w.schedule_id and slot = '00000000-0000-0000-0000-000000000000' and due_at >= w.since
        and due_at <= @now::timestamptz
    order by due_at desc limit 1
) r`

// settledRow is a row of lastSettledSQL.
type settledRow struct {
	ID   domain.ID
	Last time.Time
}

// lastSettled returns, for each schedule, the last due time that has a row, or the end of its range.
func (b *Beat) lastSettled(ctx context.Context, ids []domain.ID) (map[domain.ID]time.Time, error) {
	from := make([]time.Time, len(ids))
	rows, err := b.pool.Query(ctx, lastSettledSQL, planned, named{"schedules": ids, "from": from, "now": b.clock.now()})
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
