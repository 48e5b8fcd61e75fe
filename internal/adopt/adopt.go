package adopt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain/zone"
)

const batchSize = 500

// Adopt puts the triggers on the tables and takes all rows in. It may be repeated: what is already as its row says stays as
// it is. timezone is that of rows that name none.
func (s Source) Adopt(ctx context.Context, timezone string) error {
	if _, err := zone.Load(timezone); err != nil {
		return fmt.Errorf("adopt %s: %w", s.Table, err)
	}
	err := s.locked(ctx, func() error {
		_, err := s.pool.Exec(ctx, `select set_config('lock_timeout', '500ms', true), tactus.adopt_install($1, $2, $3)`, s.Table, string(s.Kind), timezone)
		return err
	})
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
		return fmt.Errorf("adopt %s: delete what is gone: %w", s.Table, err)
	}
	return nil
}

// Unadopt takes the triggers away, and has each row say when it ran last. The schedules are deleted, since their own beat is to
// fire them again; or kept, as tactus' own. It returns how many there were. Only the owner of a table may drop its triggers:
// left are the statements that it is to run; until then these triggers do nothing.
func (s Source) Unadopt(ctx context.Context, keep bool) (count int64, left []string, err error) {
	if err := s.trusted(ctx); err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	}
	before, err := s.leave(ctx)
	if err != nil {
		return 0, nil, fmt.Errorf("unadopt %s: %w", s.Table, err)
	}
	for released := int64(batchSize); released == batchSize; count += released {
		if err := s.pool.QueryRow(ctx, `select tactus.adopt_release($1, $2, $3)`, s.Table, keep, batchSize).Scan(&released); err != nil {
			return count, nil, fmt.Errorf("let go of the schedules of %s: %w", s.Table, err)
		}
	}
	if err := s.catchUp(ctx, before); err != nil {
		return count, nil, fmt.Errorf("hand %s back: %w", s.Table, err)
	}
	rows, err := s.pool.Query(ctx, `select tactus.adopt_triggers($1)`, s.Table)
	if err == nil {
		left, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return count, nil, fmt.Errorf("look for triggers on %s: %w", s.Table, err)
	}
	return count, left, nil
}

const (
	lockAttempts = 60
	lockPause    = time.Second
)

// locked does what waits for the writers of a table. It never waits for long, because all who come after it wait too; it
// tries again instead.
func (s Source) locked(ctx context.Context, do func() error) error {
	for attempt := 1; ; attempt++ {
		err := do()
		e, refused := errors.AsType[*pgconn.PgError](err)
		if !refused || e.Code != "55P03" || attempt == lockAttempts {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}
