package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// Judge looks at what SQL wrote since it was last asked, and records of what it would have refused itself why it cannot
// be scheduled: names of zones, windows in which nothing is due, what no worker reads. It returns how many those are.
// Several may judge at once: what one has recorded, the others find known. A schedule that somebody has locked, or that
// cannot be judged, is left for the next time, and keeps no other one.
func (s *Store) Judge(ctx context.Context) (invalid int, err error) {
	written, err := collect(ctx, s.pool, pgx.RowToStructByPos[writtenBySQL], unjudged)
	if err != nil {
		return 0, fmt.Errorf("read what is not judged: %w", err)
	}
	if len(written) > 0 {
		s.streams.forget() // another process may have written one since
	}
	var failed error
	for _, w := range written {
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

type writtenBySQL struct {
	ID      domain.ID
	Version int64
}

const (
	// What is locked is not read. The locks that this takes end with the statement: they only ask. A version below zero
	// was judged as it was written, and is looked at again (see lookAgain).
	unjudged = `
select u.schedule_id, u.version from tactus.unjudged u join tactus.schedules s on s.id = u.schedule_id
where u.version > 0 or s.updated_at < clock_timestamp() - interval '1500 milliseconds'
limit 100 for no key update of s skip locked`
	judged = `delete from tactus.unjudged where schedule_id = $1 and version = $2`
)

const (
	noteAgain = `insert into tactus.unjudged (schedule_id, version) values ($1, $2) on conflict (schedule_id) do nothing`

	unjudgedOne = `select schedule_id, version from tactus.unjudged where schedule_id = $1 and version > 0`
)

// lookAgain claims the stream of a schedule that was written just now, and has it judged once more. Another process may
// be writing a schedule with a queue of that name: neither sees what the other has not committed, and who writes many
// remembers for a second which streams there are.
func (s *Store) lookAgain(ctx context.Context, written domain.Schedule) {
	if written.Stream != "" { // what was written stands, whether or not this does
		_, _ = Claim(ctx, s.pool, written.Stream, queueOf(written.Stream))
		_, _ = s.pool.Exec(ctx, noteAgain, written.ID, -written.Version)
	}
}

// judgeFirst judges what SQL wrote before it is run: a stream that it names may be another's queue.
func (s *Store) judgeFirst(ctx context.Context, id domain.ID) error {
	written, err := collect(ctx, s.pool, pgx.RowToStructByPos[writtenBySQL], unjudgedOne, id)
	if err != nil || len(written) == 0 {
		return err
	}
	s.streams.forget()
	_, err = s.judgeOne(ctx, written[0])
	return err
}

// judgeAtMost is how long one schedule may take, if somebody locks it now.
const judgeAtMost = 2 * time.Second

func (s *Store) judgeOne(ctx context.Context, w writtenBySQL) (invalid bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, judgeAtMost)
	defer cancel()
	if invalid, err = s.judge(ctx, w.ID); err == nil {
		_, err = s.pool.Exec(ctx, judged, w.ID, w.Version)
	}
	return invalid, err
}

// judge records the faults of a schedule, and reports whether there are any that were not known.
func (s *Store) judge(ctx context.Context, id domain.ID) (bool, error) {
	written, err := s.Get(ctx, id)
	if errors.Is(err, domain.ErrNotFound) {
		return false, nil
	}
	if err != nil || written.InvalidReason != "" {
		return false, err
	}
	normal, _, err := written.Normalize(domain.Context{ID: id, Timezone: s.timezone, Now: written.TriggerSetAt, Check: s.check})
	if err == nil {
		err = s.judgeName(ctx, normal)
	}
	if err != nil && domain.FaultsOf(err) == nil {
		return false, err
	}
	faults := slices.DeleteFunc(slices.Clone(domain.FaultsOf(err)), func(f *domain.Error) bool {
		return f.Code == "at_in_past" // whether it is, the statement that wrote it has decided
	})
	if len(faults) == 0 {
		return false, nil
	}
	return true, s.Invalidate(ctx, id, written.Version, faults.Error())
}
