package beat

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// settledRange is a row of tactus.runs: a due time, or a range of them.
type settledRange struct{ from, until time.Time }

// account returns the faults in the rows of all periods: a due time with two rows, a row without a due time, a due time
// without a row.
func (h *history) account() (faults []string) {
	rows := map[domain.ID][]settledRange{}
	found, err := h.pool.Query(h.Context(), `select schedule_id, due_at, coalesce(until, due_at) from tactus.runs order by due_at, until`)
	if err != nil {
		h.Fatal(err)
	}
	defer found.Close()
	total := 0
	for found.Next() {
		var id domain.ID
		var r settledRange
		if err := found.Scan(&id, &r.from, &r.until); err != nil {
			h.Fatal(err)
		}
		rows[id] = append(rows[id], r)
		total++
	}
	if err := found.Err(); err != nil {
		h.Fatal(err)
	}
	lives := map[domain.ID][]period{}
	for _, l := range h.periods {
		lives[l.schedule.ID] = append(lives[l.schedule.ID], l)
	}
	for id, of := range lives {
		faults = append(faults, accountFor(of, rows[id], h.now)...)
	}
	h.Logf("%d lives, %d rows, until %s", len(h.periods), total, h.now)
	return faults
}

// accountFor compares the periods of one schedule with its rows. The rows come in order, and each begins at the first
// due time of its period that has no row yet. A period that a change ended has a row for each due time before its end:
// due times that were not settled by then are recorded as overtaken by the change.
func accountFor(lives []period, rows []settledRange, now time.Time) (faults []string) {
	for _, l := range lives {
		until := l.until
		if until.IsZero() {
			until = now
		}
		recurrence, err := l.schedule.Recurrence()
		if err != nil {
			return []string{err.Error()}
		}
		due, _ := recurrence.Next(l.schedule.EffectiveFrom)
		for len(rows) > 0 && rows[0].from.Before(until) || len(rows) > 0 && rows[0].from.Equal(until) {
			if !rows[0].from.Equal(due) {
				faults = append(faults, fmt.Sprintf("%s from %s: a row of %s to %s, where %s is due", l.schedule.ID, l.schedule.EffectiveFrom, rows[0].from, rows[0].until, due))
			}
			due, _ = recurrence.Next(rows[0].until)
			rows = rows[1:]
		}
		if due.Before(until) || due.Equal(now) {
			faults = append(faults, fmt.Sprintf("%s from %s: %s has no row", l.schedule.ID, l.schedule.EffectiveFrom, due))
		}
	}
	for _, r := range rows {
		faults = append(faults, fmt.Sprintf("a row of %s to %s, when nothing is due", r.from, r.until))
	}
	return faults
}
