package beat

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
)

// slow reports schedules of which even a single due time takes longer to settle than a statement may. Such a schedule
// is put off like one that is locked, so that all others fire between two attempts.
type slow struct{ failures failureLog }

func newSlow(log *slog.Logger) slow {
	return slow{failureLog{
		log: log, level: slog.LevelError, what: "a schedule takes longer to fire than a statement may: it is tried again later",
	}}
}

// leaveSlow puts off the schedule of a firing that took too long, if the firing had only this one.
func (b *Beat) leaveSlow(due firing, now memory.Micros, err error) {
	if len(due.records) != 1 || !timedOut(err) {
		return
	}
	r := b.memory.At(due.records[0].slot)
	b.slow.failures.report(fmt.Errorf("schedule %s, due at %v, task of %d KiB: %w", r.ID, time.UnixMicro(r.Due).UTC(),
		r.Weight(), err))
	b.locks.pauses[r.ID] = min(max(2*b.locks.pauses[r.ID], firstLeave), lastLeave)
	b.locks.deferFiring(r, now)
}
