package outbox

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Clashes reports whether a transaction failed only because of another beside it: serialization_failure, where an
// administrator has made a stricter isolation the default and a pooler hands its sessions on, or deadlock_detected.
// Running it again is the mend.
func Clashes(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01")
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
