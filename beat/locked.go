package beat

import (
	"log/slog"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// lockTimeoutSQL has a statement give up when it waits for a lock: it settles due times of other schedules, too, and
// whoever holds the lock may hold it for hours.
const lockTimeoutSQL = ` and set_config('lock_timeout', '100ms', true) is not null`

// maxLockWaits is how often one firing may wait for a lock in vain. What it does not get to is left for the next.
const maxLockWaits = 40

// How long a schedule that is locked is left alone: longer each time.
const (
	firstLeave = time.Second
	lastLeave  = 10 * time.Second
)

// locks are the schedules that did not fire because somebody has locked a row. Each is tried again later, so that it
// does not keep the others waiting at every step.
type locks struct {
	waits    int                         // for a lock, in this firing
	left     map[domain.ID]struct{}      // in this firing, whose due time was locked
	pauses   map[domain.ID]time.Duration // by schedule, the last pause
	due      map[domain.ID]unsettledDue  // what keeps the watermark back
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

// unsettledDue is the first due time of a schedule that is not settled, and up to when it is.
type unsettledDue struct{ due, before memory.Micros }

func schedulesOf(decisions []memory.Decision) (ids []domain.ID) {
	for i := range decisions {
		ids = append(ids, decisions[i].Schedule)
	}
	return ids
}

// begin forgets what held up the last firing.
func (l *locks) begin() { l.waits, l.left = 0, nil }

// leave leaves schedules alone for the rest of this firing.
func (l *locks) leave(ids ...domain.ID) {
	if l.left == nil {
		l.left = map[domain.ID]struct{}{}
	}
	for _, id := range ids {
		l.left[id] = struct{}{}
	}
}

// withoutLeft returns the decisions about schedules that have not been left. A due time must not be settled while an
// earlier one of its schedule is not: whoever looks up what has been settled takes the last one for the end of all.
func (l *locks) withoutLeft(decisions []memory.Decision) []memory.Decision {
	if len(l.left) == 0 {
		return decisions
	}
	return slices.DeleteFunc(slices.Clone(decisions), func(d memory.Decision) bool {
		_, left := l.left[d.Schedule]
		return left
	})
}

// unsettled returns the schedules about which nothing, or not all, was done, and makes the pauses of those that are
// locked longer.
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

// deferFiring has a schedule that is locked fire later, and keeps the watermark before its due time.
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

// free forgets that a schedule was locked.
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

// watermark returns the instant up to which everything that fires is settled. A locked schedule fires later in memory
// than it was to, so the watermark is kept before that.
func (b *Beat) watermark(now memory.Micros) memory.Micros {
	at := b.memory.Watermark(now)
	for id, waits := range b.locks.due {
		if r, known := b.memory.Find(id); !known || r.Due != waits.due { // another has settled it, or it was edited
			b.locks.free(id)
			continue
		}
		at = min(at, waits.before)
	}
	return at
}
