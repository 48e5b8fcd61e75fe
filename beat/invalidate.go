package beat

import (
	"context"
	"errors"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// unreadable is a version of a schedule whose trigger or policy cannot be read, and why. Such rows were written by SQL
// or adopted from another table, where nothing checks the syntax of cron expressions and the names of zones.
type unreadable struct {
	version int64
	err     error
}

// invalid are the schedules that were found to be unreadable and are to be recorded as invalid.
type invalid struct {
	found     map[domain.ID]unreadable
	notBefore memory.Micros // when they may be recorded
}

// reason returns the reason in the words of the API.
func (u unreadable) reason() string {
	if errors.Is(u.err, memory.ErrBeyond) {
		return sqlexpr.NotInYears
	}
	if fault, ok := errors.AsType[*domain.Error](u.err); ok {
		return fault.Error()
	}
	return domain.TriggerFault(u.err).Error()
}

// invalidate records why schedules cannot be read, so that the API shows the reason and schedule.invalidated is
// published. Every beat finds these schedules; since a write demands the version, only one beat succeeds. A schedule
// that could not be recorded is found again by the next load. One step records only some of them, because each takes a
// transaction of its own and there may be thousands.
func (b *Beat) invalidate(ctx context.Context, now memory.Micros) error {
	if now < b.invalid.notBefore {
		return nil
	}
	store := outbox.NewStore(b.pool, "", handover.Limits{}.Check)
	began := time.Now()
	for id, u := range b.invalid.found {
		if time.Since(began) > invalidateMost {
			return nil
		}
		reason := u.reason()
		err := b.invalidateOne(ctx, store, id, u.version, reason)
		switch delete(b.invalid.found, id); {
		case errors.Is(err, context.DeadlineExceeded):
			b.invalid.found[id], b.invalid.notBefore = u, now+invalidateAgain.Microseconds()
			b.log.Warn("an invalid schedule is locked: the reason is recorded later", "schedule_id", id)
			return nil
		case err == nil:
			b.log.Warn("a schedule is invalid", "schedule_id", id, "reason", reason)
		case !errors.Is(err, domain.ErrVersionConflict) && !errors.Is(err, domain.ErrNotFound): // not changed since
			b.log.Error("record an invalid schedule", "schedule_id", id, "err", err)
		}
	}
	return nil
}

// How long a step waits for a row that another transaction has locked, and how long until the row is tried again.
const (
	invalidateWithin = 300 * time.Millisecond
	invalidateAgain  = 10 * time.Second

	// invalidateMost is how long one step goes on recording invalid schedules.
	invalidateMost = 50 * time.Millisecond
)

// invalidateOne records one schedule as invalid. It gives up if the row stays locked for invalidateWithin.
func (b *Beat) invalidateOne(
	ctx context.Context, store *outbox.Store, id domain.ID, version int64, reason string,
) error {
	ctx, cancel := context.WithTimeout(ctx, invalidateWithin)
	defer cancel()
	return store.Invalidate(ctx, id, version, reason)
}
