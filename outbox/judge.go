package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// Judge checks the schedules that SQL has written since the last call. SQL cannot check everything that the API does:
// names of zones, windows in which nothing is due, arguments that no worker can read. Judge records the reason on each
// schedule that the API would have refused, and returns how many it has found.
//
// Sound schedules are judged many at a time, in the order in which they were written. Schedules for streams come before
// all others, because they do not fire until they are judged; so none waits for long because of what others have
// written. Faulty ones are recorded afterwards, one by one.
//
// Several processes may judge at once: each finds what another has recorded. A schedule that somebody has locked, or
// that cannot be judged, is left for the next call, and delays no other.
func (s *Store) Judge(ctx context.Context) (invalid int, err error) {
	doubtful, err := s.judgeSound(ctx)
	if err != nil {
		return 0, err
	}
	var failed error
	for _, w := range doubtful[:min(len(doubtful), mostAlone)] {
		found, err := s.judgeOne(ctx, w)
		if errors.Is(err, domain.ErrVersionConflict) || errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			continue // it has changed since, or was locked just now: the next time
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("judge %s: %w", w.ID, err))
		}
		if found {
			invalid++
		}
	}
	return invalid, failed
}

// judgeSound marks the sound schedules as judged, and returns the others.
func (s *Store) judgeSound(ctx context.Context) (doubtful []writtenBySQL, err error) {
	for range mostBatches {
		batch, more, err := s.nextUnjudged(ctx, idsOf(doubtful))
		if err != nil {
			return nil, fmt.Errorf("read what is not judged: %w", err)
		}
		found, err := s.judgeTogether(ctx, batch)
		if err != nil {
			return nil, fmt.Errorf("judge what SQL wrote: %w", err)
		}
		if doubtful = append(doubtful, found...); !more {
			break
		}
	}
	return doubtful, nil
}

const (
	mostBatches = 100
	mostAlone   = 100 // of what is wrong, in one call: what is written meanwhile is looked at first
)

const (
	noteAgain = `insert into tactus.unjudged (schedule_id, version) values ($1, $2) on conflict (schedule_id) do nothing`

	unjudgedOne = `
select schedule_id, version, false, 0::bigint from tactus.unjudged where schedule_id = $1 and version > 0`
)

// lookAgain has a schedule for a stream, which was written just now, judged once more. Another process may be writing a
// schedule with a queue of the same name: neither sees what the other has not committed, and a process that writes many
// schedules remembers for a second which streams there are. The schedule also claims the name of a stream in use.
func (s *Store) lookAgain(ctx context.Context, written domain.Schedule) {
	if written.Stream != "" && !rehearsed(ctx) { // what was written stands, whether or not this does
		_ = claims.Share(ctx, s.pool, []string{written.Stream}, []domain.ID{written.ID})
		_, _ = s.pool.Exec(ctx, noteAgain, written.ID, -written.Version)
	}
}

// judgeFirst judges a schedule that SQL wrote before it is run by hand: its stream may be another schedule's queue.
func (s *Store) judgeFirst(ctx context.Context, id domain.ID) error {
	written, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[writtenBySQL], unjudgedOne, id)
	if err != nil || len(written) == 0 {
		return err
	}
	s.streams.forget()
	_, err = s.judgeOne(ctx, written[0])
	return err
}

// judgeAtMost is how long judging one schedule may take when somebody locks it just then.
const judgeAtMost = 2 * time.Second

func (s *Store) judgeOne(ctx context.Context, w writtenBySQL) (invalid bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, judgeAtMost)
	defer cancel()
	if invalid, err = s.judge(ctx, w.ID); err == nil {
		err = s.forgetUnjudged(ctx, []writtenBySQL{w})
	}
	return invalid, err
}

// judge records the faults of a schedule, and reports whether there are any that were not known.
func (s *Store) judge(ctx context.Context, id domain.ID) (bool, error) {
	written, err := Get(ctx, s.pool, id)
	if errors.Is(err, domain.ErrNotFound) {
		return false, nil
	}
	if err != nil || written.InvalidReason != "" {
		return false, err
	}
	normal, faults, err := s.faultsOf(written)
	if err == nil && len(faults) == 0 {
		err = s.judgeName(ctx, id, normal)
		faults = domain.FaultsOf(err)
	}
	if err != nil && faults == nil {
		return false, err
	}
	if len(faults) == 0 {
		return false, nil
	}
	return true, s.Invalidate(ctx, id, written.Version, faults.Error())
}

// faultsOf returns the faults of a definition that SQL wrote, except those of its target's name.
func (s *Store) faultsOf(written domain.Schedule) (domain.Definition, domain.Faults, error) {
	normal, _, err := written.Normalize(domain.Context{
		ID: written.ID, Timezone: s.timezone, Now: written.TriggerSetAt, Check: s.check, Kept: &written.Definition,
	})
	faults := domain.FaultsOf(err)
	if err != nil && faults == nil {
		return normal, nil, err
	}
	return normal, slices.DeleteFunc(slices.Clone(faults), func(f *domain.Error) bool {
		return f.Code == "at_in_past" // whether it is, the statement that wrote it has decided
	}), nil
}
