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
// A disabled schedule is not in memory, so a pause costs nothing there. The leader reads which pauses end next, at each
// poll and whenever a schedule was disabled, and wakes when the first one ends:
//
//	disabled until 12:00        enabled by the beat at 12:00:00.02
//	     │                           │
//	─────┼─────×─────×─────×─────────┼──●─────●──
//	           not due               due times count from 12:00, itself included
//
// A schedule is enabled only in the version that was read, so it is enabled once, however many beats try. Its due times
// count from the end of the pause, not from when a beat noticed the end: due times that passed while no beat ran are
// late or missed like any others.
//
// After a maintenance, thousands of pauses may end at once. A step enables some hundred schedules in one transaction,
// and the beat fires between these steps. A schedule that PostgreSQL refuses is found by bisection.

// pauses says when the next pause ends, as far as the beat knows.
type pauses struct {
	at    memory.Micros               // when to ask again
	later map[domain.ID]memory.Micros // schedules that could not be enabled, and when to try again
}

const undefinedColumn = "42703"

// resume enables schedules whose pause is over. If there are very many, the next steps enable the rest.
func (b *Beat) resume(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || now < b.pauses.at {
		return nil
	}
	b.pauses.at = now + min(b.cfg.Poll, DefaultPoll).Microseconds()
	store := outbox.NewStore(b.pool, "", handover.Limits{}.Check)
	found, err := store.EndedPauses(ctx, b.resumedLater(now))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedColumn {
		b.pauses.at = now + time.Minute.Microseconds() // the schema is that of the release before, which has no pauses
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

// resumedLater returns the schedules that could not be enabled, and are not to be tried again yet.
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

// resumption enables the schedules whose pauses are over, in one step of the beat.
type resumption struct {
	*Beat
	store   *outbox.Store
	now     memory.Micros
	began   time.Time
	resumed int
	found   bool // a schedule was found that PostgreSQL refuses
	left    bool // some schedules were not tried, for want of time
}

// resume enables schedules. If PostgreSQL refuses one of them, each half is enabled by itself, and so on, so that a
// schedule which cannot be enabled does not block the others. The time limit of a step counts only after the first bad
// schedule was found; otherwise a step might end before it has found any, and the next one would begin the same search
// again.
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
