package postgres

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Clashes reports whether a transaction failed only because of another beside it: serialization_failure, where an
// administrator has made a stricter isolation the default and a pooler hands its sessions on, or deadlock_detected.
// Running it again is the mend.
func Clashes(err error) bool {
	code := Code(err)
	return code == "40001" || code == "40P01"
}

// mostClashes is how often a transaction is run again before its clash is told.
const mostClashes = 30

// Retry runs a transaction again for as long as it clashes. What is run must be a whole transaction, with nothing
// decided before.
func Retry(ctx context.Context, run func() error) (err error) {
	for n := range mostClashes {
		if err = run(); !Clashes(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(rand.N(time.Duration(n+1) * 2 * time.Millisecond)):
		}
	}
	return err
}

// Collect runs a statement and returns its rows. Where serializable is the default, one that only reads can clash as
// well: over a pool, where it is a transaction of its own, it is run again. Over any other Querier a caller's
// transaction may be under way, which a clash has ended, and only the caller can begin it anew.
func Collect[T any](
	ctx context.Context, q Querier, row pgx.RowToFunc[T], sql string, args ...any,
) (all []T, err error) {
	run := func() error {
		rows, err := q.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, row)
		return err
	}
	if _, alone := q.(*pgxpool.Pool); alone {
		err = Retry(ctx, run)
		return all, err
	}
	err = run()
	return all, err
}

// IsTrue runs a statement that returns one boolean, and returns that. No plan of it is kept.
func IsTrue(ctx context.Context, q Querier, sql string, args ...any) (bool, error) {
	answer, err := Collect(ctx, q, pgx.RowTo[bool], sql, append([]any{pgx.QueryExecModeExec}, args...)...)
	return err == nil && answer[0], err
}
