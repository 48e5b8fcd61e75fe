package adopt

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/unsent"
	"github.com/tactus-dev/tactus/internal/wait"
)

// batchSize is how many rows one statement adopts or releases.
const batchSize = 500

// Adopt creates the triggers on the tables and a schedule for each row, and deletes the schedules of rows that are
// gone. timezone is the zone of rows that name none. Adopt may be repeated: it leaves a schedule that matches its row
// as it is.
func (s Source) Adopt(ctx context.Context, timezone string) error {
	if _, err := zone.Load(timezone); err != nil {
		return fmt.Errorf("adopt %s: %w", s.Table, err)
	}
	err := s.locked(ctx, func() error {
		_, err := s.pool.Exec(ctx, `select set_config('lock_timeout', '500ms', true), tactus.adopt_install($1, $2, $3)`,
			s.Table, string(s.Kind), timezone)
		return err
	})
	if err == nil && s.NaiveTimezone != "" {
		_, err = s.pool.Exec(ctx, `update tactus.adoptions set naive_timezone = $2 where source = $1`, s.Table,
			s.NaiveTimezone)
	}
	if err != nil {
		return fmt.Errorf("adopt %s: %w", s.Table, err)
	}
	var after *string
	for first := true; first || after != nil; first = false {
		err := s.locked(ctx, func() error {
			return s.pool.QueryRow(ctx, `select tactus.adopt_batch($1, $2, $3)`, s.Table, after, batchSize).Scan(&after)
		})
		if err != nil {
			return fmt.Errorf("adopt the rows of %s: %w", s.Table, err)
		}
	}
	err = s.locked(ctx, func() error {
		_, err := s.pool.Exec(ctx, `select tactus.adopt_sweep($1)`, s.Table)
		return err
	})
	if err != nil {
		return fmt.Errorf("adopt %s: delete the schedules of deleted rows:  %w", s.Table, err)
	}
	return nil
}

// Unadopt drops the triggers and writes to each row when it ran last, for the beat that takes over again. With keep it
// keeps the schedules as schedules of tactus; otherwise it deletes them, because the other beat will fire the rows. It
// returns how many schedules there were. Only the owner of a table may drop its triggers: left holds the statements
// that the owner has to run. Until then these triggers do nothing.
func (s Source) Unadopt(ctx context.Context, keep bool) (count int64, left []string, err error) {
	if adopted, err := postgres.IsTrue(ctx, s.pool, anythingAdopted, s.Table); err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	} else if !adopted { // the old beat is in charge again, and its rows are not to be written a second time
		left, err = s.triggersLeft(ctx)
		return 0, left, err
	}
	if err := unsent.Settle(ctx, s.pool, `s.managed_by = $1`, s.Table, s.CancelUnsent); err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	}
	var counted *time.Time
	if err := s.pool.QueryRow(ctx, countedSQL, s.Table).Scan(&counted); err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	}
	before, err := s.leave(ctx, counted)
	if err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	}
	for released := int64(batchSize); released == batchSize; count += released {
		if err := s.pool.QueryRow(ctx, `select tactus.adopt_release($1, $2, $3)`, s.Table, keep,
			batchSize).Scan(&released); err != nil {
			return count, nil, fmt.Errorf("release the schedules of %s: %w", s.Table, err)
		}
	}
	if err := s.catchUp(ctx, before, counted); err != nil {
		return count, nil, fmt.Errorf("hand %s back: %w", s.Table, err)
	}
	left, err = s.triggersLeft(ctx)
	return count, left, err
}

// anythingAdopted reports whether a table is adopted, or its schedules have not all been released, because a process
// ended in between.
const anythingAdopted = `select exists (select from tactus.adoptions where source = $1)
	or exists (select from tactus.schedules where managed_by = $1 and deleted_at is null)`

func (s Source) triggersLeft(ctx context.Context) ([]string, error) {
	left, err := postgres.Collect(ctx, s.pool, pgx.RowTo[string], `select tactus.adopt_triggers($1)`, s.Table)
	if err != nil {
		return nil, fmt.Errorf("look for triggers on %s: %w", s.Table, err)
	}
	return left, nil
}

const (
	lockAttempts = 60
	lockPause    = time.Second
)

// locked calls do, whose statements wait for the writers of a table. Such a statement gives up early (lock_timeout),
// because all writers who come after it wait behind it; locked then tries again after a pause.
func (s Source) locked(ctx context.Context, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		if !postgres.LockTimedOut(err) || attempt == lockAttempts {
			return err
		}
		if err := wait.For(ctx, lockPause); err != nil {
			return err
		}
	}
}
