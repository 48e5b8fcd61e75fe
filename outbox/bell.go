package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Channel is where the bell is heard (LISTEN).
const Channel = "tactus"

// ScheduleBell and RunBell notify of a row of the topic, only if nobody else is ringing the same bell just now. A plain
// NOTIFY holds a lock of the whole cluster through the commit's fsync, and cost two thirds of the write rate. Whoever loses
// the race need not ring: a listener that was woken reads on for a while, so it sees this transaction too. Each is a
// select without FROM: a statement that writes to the log takes it from what it has written, one row of that.
const (
	ScheduleBell = `select ` + ringSchedules
	RunBell      = `select case when pg_try_advisory_xact_lock(7461637, 475732) then pg_notify('` + Channel + `', '` + Runs + `') end`

	ringSchedules = `case when pg_try_advisory_xact_lock(7461637, 475731) then pg_notify('` + Channel + `', '` + Schedules + `') end`
)

// Ring wakes the relay. It is for after the commit of a transaction in which Put and its like were called; there
// themselves they must not ring, because the lock would be held until a commit that may be long in coming.
func Ring(ctx context.Context, q Querier) error {
	rows, err := q.Query(ctx, ScheduleBell)
	if err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	return nil
}

// InTx runs do in a transaction and rings after its commit. An error from do, or from the commit, is returned and
// leaves nothing; a bell that cannot be rung is not an error, because the relay polls.
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

// turn lets one write of a store ring at a time, for the reason that one statement of all does (see ScheduleBell). That the
// others do not even try spares them a twentieth of the server's time when there are many.
type turn struct {
	mu     sync.Mutex
	number int       // of the turn that was taken last
	since  time.Time // when it was; zero when it has ended
	left   bool      // somebody leaves it to who has the turn
}

// turnLasts is how long others leave it to a write, which may have to wait for a row.
const turnLasts = 5 * time.Millisecond

// take gives a turn, which has to end; 0 when another write has it.
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

// end tells whether a bell is still to be rung: others had left it to a write that has not.
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
