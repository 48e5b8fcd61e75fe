package beat

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/outbox"
)

// # Pauses that end by themselves
//
// A disabled schedule is not in memory, so that a pause costs nothing there. The leader asks for the pauses that end
// next, at each poll and when a schedule was disabled, and wakes when the first one ends:
//
//	disabled until 12:00        enabled by the beat at 12:00:00.02
//	     │                           │
//	─────┼─────×─────×─────×─────────┼──●─────●──
//	           not due               due times count from 12:00, itself included
//
// The version of the row lets one beat enable a schedule, once, however many try. Due times count from the end of the
// pause, not from when it was noticed: what fell due while no beat was there is late or missed like any other.
//
// Pauses may end together by the thousand, after a maintenance. A step enables some hundred of them in one transaction,
// and what is due fires before the next hundreds are. One that PostgreSQL refuses is found by halving.

// pauses are when the next pause ends, as far as is known.
type pauses struct {
	at    memory.Micros               // when to ask again
	later map[domain.ID]memory.Micros // schedules that could not be enabled, and when to try again
}

const undefinedColumn = "42703"

// resume enables schedules whose pause is over: of very many some, and the next step the others.
func (b *Beat) resume(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || now < b.pauses.at {
		return nil
	}
	b.pauses.at = now + min(b.cfg.Poll, DefaultPoll).Microseconds()
	store := outbox.NewStore(b.pool, "", handover.Limits{}.Check)
	found, err := store.EndedPauses(ctx, b.resumedLater(now))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedColumn {
		b.pauses.at = now + time.Minute.Microseconds() // the schema is that of the release before, which had no pauses
		return nil
	}
	if err != nil {
		return err
	}
	if !found.Next.IsZero() {
		b.pauses.at = min(b.pauses.at, max(now+1, found.Next.UnixMicro()))
	}
	r := resumption{Beat: b, store: store, now: now, began: time.Now()}
	err = r.resume(outbox.WithActor(ctx, "beat:"+b.cfg.Name, "the pause is over"), found.Ended)
	if r.resumed > 0 {
		b.log.Info("pauses are over: enabled", "schedules", r.resumed)
	}
	if r.resumed > 0 || r.left {
		b.pauses.at = now // there may be more
	}
	if postgres.LockTimedOut(err) {
		b.log.Warn("pauses are over, and somebody has locked the schedules: they are enabled later", "err", err)
		return nil
	}
	return err
}

// resumedLater returns the schedules that could not be enabled, and are not to be tried yet.
func (b *Beat) resumedLater(now memory.Micros) []domain.ID {
	later := []domain.ID{}
	for id, at := range b.pauses.later {
		if at <= now {
			delete(b.pauses.later, id)
			continue
		}
		later = append(later, id)
	}
	return later
}

// resumption is what a step does for the pauses that are over.
type resumption struct {
	*Beat
	store   *outbox.Store
	now     memory.Micros
	began   time.Time
	resumed int
	found   bool // one that PostgreSQL refuses
	left    bool // there was no time for the rest
}

// resume enables schedules; if PostgreSQL refuses one of them, the halves by themselves. One that cannot be enabled
// keeps no other waiting: a step goes on until it has found one of those, whatever time that takes.
func (r *resumption) resume(ctx context.Context, ended []outbox.EndedPause) error {
	switch {
	case len(ended) == 0:
		return nil
	case r.found && time.Since(r.began) > invalidateMost:
		r.left = true
		return nil
	}
	resumed, refused, err := r.store.Resume(ctx, ended)
	switch {
	case refused && len(ended) > 1:
		half := len(ended) / 2
		return errors.Join(r.resume(ctx, ended[:half]), r.resume(ctx, ended[half:]))
	case refused:
		r.log.Warn("a pause is over, and the schedule cannot be enabled yet", "schedule_id", ended[0].ID, "err", err)
		r.pauses.later[ended[0].ID], r.found = r.now+invalidateAgain.Microseconds(), true
	case err != nil:
		return err
	}
	r.resumed += len(resumed)
	versions := make(map[domain.ID]int64, len(ended))
	for _, e := range ended {
		versions[e.ID] = e.Version
	}
	for _, id := range resumed {
		r.wantSync(id, versions[id]+1)
	}
	return nil
}
