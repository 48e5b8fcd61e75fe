package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// errRehearsed rolls back what went well.
var errRehearsed = errors.New("rehearsed")

// Rehearse runs do on a pool, or, for a dry run, in a transaction that is rolled back: what refuses a statement refuses
// it there, too.
func Rehearse(ctx context.Context, pool *pgxpool.Pool, dry bool, do func(Querier) error) error {
	if !dry {
		return do(pool)
	}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return errRehearsed
	})
	if errors.Is(err, errRehearsed) {
		return nil
	}
	return err
}
