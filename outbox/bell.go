package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Ring wakes the relay. Call it after the commit of a transaction in which Put and its like were called. They do not
// ring themselves, because the bell takes a lock that would be held until a commit that may be long in coming.
func Ring(ctx context.Context, q Querier) error {
	rows, err := q.Query(ctx, `select `+sqlexpr.RingSchedules)
	if err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	return nil
}

// InTx runs do in a transaction and rings after its commit. If do or the commit fails, the error is returned and
// nothing has changed. A bell that cannot be rung is no error, because the relay polls.
func InTx(ctx context.Context, db interface {
	Querier
	Begin(ctx context.Context) (pgx.Tx, error)
}, do func(pgx.Tx) error,
) error {
	if err := pgx.BeginFunc(ctx, db, do); err != nil {
		return err
	}
	_ = Ring(ctx, db) // what it would tell is found by polling
	return nil
}

// turn lets one write of a store ring at a time, as sqlexpr.RingSchedules lets one statement of all processes do. That
// the others do not even try saves a twentieth of the server's time when there are many.
type turn struct {
	mu     sync.Mutex
	number int       // of the turn that was taken last
	since  time.Time // when it was; zero when it has ended
	left   bool      // somebody leaves it to who has the turn
}

// turnLasts is how long other writes leave ringing to one, which may have to wait for a row.
const turnLasts = 5 * time.Millisecond

// take returns the number of a turn, which must be ended, or 0 when another write has the turn.
func (t *turn) take(now time.Time) (number int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() && now.Sub(t.since) < turnLasts {
		t.left = true
		return 0
	}
	t.number++
	t.since = now
	return t.number
}

// end reports whether the bell must still be rung, because others left it to this write and it did not ring.
func (t *turn) end(number int, rang bool) (owed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if number != t.number {
		return false // another has the turn by now, and what was left to this one
	}
	owed = t.left && !rang
	t.since, t.left = time.Time{}, false
	return owed
}
