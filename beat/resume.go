package beat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
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

// pauses are when the next pause ends, as far as is known.
type pauses struct {
	at    memory.Micros               // when to ask again
	later map[domain.ID]memory.Micros // schedules that could not be enabled, and when to try again
}

// endedPausesSQL reads the pauses that end next, and whether they have ended by PostgreSQL's clock.
const endedPausesSQL = `
select id, version, paused_until, paused_until <= clock_timestamp() from tactus.schedules
where paused_until is not null and deleted_at is null and id <> all (@later::uuid[])
order by paused_until limit 100`

// endedPause is a row of endedPausesSQL.
type endedPause struct {
	ID      domain.ID
	Version int64
	Until   time.Time
	Ended   bool
}

const undefinedColumn = "42703"

// resume enables schedules whose pause is over. One step enables only some of them: each is a transaction of its own.
func (b *Beat) resume(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || now < b.pauses.at {
		return nil
	}
	b.pauses.at = now + min(b.cfg.Poll, DefaultPoll).Microseconds()
	ended, err := b.endedPauses(ctx, now)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedColumn {
		b.pauses.at = now + time.Minute.Microseconds() // the schema is that of the release before, which had no pauses
		return nil
	}
	if err != nil {
		return err
	}
	store := outbox.NewStore(b.pool, "", handover.Limits{}.Check)
	began := time.Now()
	for _, p := range ended {
		switch {
		case !p.Ended:
			b.pauses.at = min(b.pauses.at, max(now+1, p.Until.UnixMicro()))
			return nil
		case time.Since(began) > invalidateMost:
			b.pauses.at = now
			return nil
		}
		b.resumeOne(ctx, store, p, now)
	}
	if len(ended) > 0 {
		b.pauses.at = now // there may be more
	}
	return nil
}

func (b *Beat) endedPauses(ctx context.Context, now memory.Micros) ([]endedPause, error) {
	later := []domain.ID{}
	for id, at := range b.pauses.later {
		if at <= now {
			delete(b.pauses.later, id)
			continue
		}
		later = append(later, id)
	}
	rows, err := b.pool.Query(ctx, endedPausesSQL, planned, named{"later": later})
	if err != nil {
		return nil, fmt.Errorf("read which pauses are over: %w", err)
	}
	ended, err := pgx.CollectRows(rows, pgx.RowToStructByPos[endedPause])
	if err != nil {
		return nil, fmt.Errorf("read which pauses are over: %w", err)
	}
	return ended, nil
}

// resumeOne enables a schedule, unless its row is locked for long. One that cannot be enabled keeps no other waiting.
func (b *Beat) resumeOne(ctx context.Context, store *outbox.Store, p endedPause, now memory.Micros) {
	ctx, cancel := context.WithTimeout(ctx, invalidateWithin)
	defer cancel()
	err := store.Resume(outbox.WithActor(ctx, "beat:"+b.cfg.Name, "the pause is over"), p.ID, p.Version)
	switch {
	case err == nil:
		b.log.Info("a pause is over: enabled", "schedule_id", p.ID, "until", p.Until)
		b.wantSync(p.ID, p.Version+1)
	case errors.Is(err, domain.ErrVersionConflict) || errors.Is(err, domain.ErrNotFound): // it has changed since
	default:
		b.log.Warn("a pause is over, and the schedule cannot be enabled yet", "schedule_id", p.ID, "err", err)
		b.pauses.later[p.ID] = now + invalidateAgain.Microseconds()
	}
}
