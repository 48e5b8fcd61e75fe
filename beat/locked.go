package beat

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// lockTimeoutSQL makes a statement give up soon when it waits for a lock. The statement also settles due times of other
// schedules, and the lock may be held for hours.
const lockTimeoutSQL = ` and set_config('lock_timeout', '100ms', true) is not null`

// maxLockWaits is how often one firing may wait for a lock in vain. Decisions that it does not get to are left for the
// next firing.
const maxLockWaits = 40

// How long a locked schedule is put off: the first time, and at most. Each time it is put off for twice as long as
// before.
const (
	firstLeave = time.Second
	lastLeave  = 10 * time.Second
)

// locks are the schedules that did not fire because another session has locked a row. Each is tried again after a
// pause, so that it does not delay the others at every step.
type locks struct {
	waits    int                         // how often this firing has waited for a lock
	left     map[domain.ID]struct{}      // schedules that this firing has left alone
	pauses   map[domain.ID]time.Duration // by schedule, its last pause
	due      map[domain.ID]unsettledDue  // the due times before which the watermark has to stay
	failures failureLog
}

func newLocks(log *slog.Logger) locks {
	return locks{
		pauses: map[domain.ID]time.Duration{}, due: map[domain.ID]unsettledDue{},
		failures: failureLog{
			log: log, level: slog.LevelWarn, what: "somebody has locked a row, or nobody has judged what SQL wrote: a schedule fires later",
		},
	}
}

// unsettledDue is the first due time of a schedule that is not settled, and the watermark that is right before it
// fires.
type unsettledDue struct{ due, before memory.Micros }

func schedulesOf(decisions []memory.Decision) (ids []domain.ID) {
	for i := range decisions {
		ids = append(ids, decisions[i].Schedule)
	}
	return ids
}

// begin prepares for a new firing.
func (l *locks) begin() { l.waits, l.left = 0, nil }

// leave excludes schedules from the rest of this firing.
func (l *locks) leave(ids ...domain.ID) {
	if l.left == nil {
		l.left = map[domain.ID]struct{}{}
	}
	for _, id := range ids {
		l.left[id] = struct{}{}
	}
}

// withoutLeft returns the decisions about schedules that this firing has not left alone. A due time must not be settled
// while an earlier one of the same schedule is not, because a look-up of what is settled (lastSettled) takes everything
// before the last row for settled.
func (l *locks) withoutLeft(decisions []memory.Decision) []memory.Decision {
	if len(l.left) == 0 {
		return decisions
	}
	return slices.DeleteFunc(slices.Clone(decisions), func(d memory.Decision) bool {
		_, left := l.left[d.Schedule]
		return left
	})
}

// unsettled returns the schedules whose decisions were not all settled, and doubles the pauses of the locked ones.
func (l *locks) unsettled(out outcome) map[domain.ID]struct{} {
	left := make(map[domain.ID]struct{}, len(out.Untried)+len(out.Locked))
	for _, id := range out.Untried {
		left[id] = struct{}{}
	}
	for _, id := range out.Locked {
		left[id] = struct{}{}
		l.pauses[id] = min(max(2*l.pauses[id], firstLeave), lastLeave)
	}
	return left
}

// deferFiring puts off a locked schedule by its pause, and keeps the watermark before its due time.
func (l *locks) deferFiring(r *memory.Record, now memory.Micros) {
	pause, ok := l.pauses[r.ID]
	if !ok {
		return
	}
	if l.due[r.ID].due != r.Due {
		l.due[r.ID] = unsettledDue{r.Due, r.Fire - 1}
	}
	r.Fire = now + pause.Microseconds()
}

// free notes that a schedule is not locked any more.
func (l *locks) free(id domain.ID) {
	if _, ok := l.pauses[id]; !ok {
		return
	}
	delete(l.pauses, id)
	delete(l.due, id)
	if len(l.pauses) == 0 {
		l.failures.recovered()
	}
}

// watermark returns the instant up to which all due times that fire by then are settled. Memory only knows the later
// instant to which a locked schedule was put off, so the watermark is limited to just before the instant at which its
// due time was to fire.
func (b *Beat) watermark(now memory.Micros) memory.Micros {
	at := b.memory.Watermark(now)
	for id, waits := range b.locks.due {
		if r, known := b.memory.Find(id); !known || r.Due != waits.due { // settled by another beat, or edited
			b.locks.free(id)
			continue
		}
		at = min(at, waits.before)
	}
	return at
}
