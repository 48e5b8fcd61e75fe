package beat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
)

// lockedLease is the state of a beat while another session holds a lock on the row of the lease, such as an operator
// whose transaction is open.
//
// No beat can take or renew the lease then, so its term and holder stay as they are. A firing statement reads the row
// `for share`, as always: if the foreign lock allows that, the leader continues to fire, however long ago it last
// renewed the lease; otherwise firing has to wait. (A weaker lock, `for key share`, could always be acquired, but would
// not stop another beat from taking the lease between the moment at which the statement reads the term and its commit.)
// Both renewing and firing are tried again after pauses.
type lockedLease struct {
	pause    time.Duration // the pause before the next attempt to renew
	fireAt   memory.Micros // when firing is tried again
	failures failureLog
}

// How long a beat waits before it tries again to renew a locked lease: the first time, and at most. Each pause is twice
// as long as the one before.
const (
	firstLeasePause = 200 * time.Millisecond
	lastLeasePause  = 2 * time.Second
)

var errLeaseLocked = errors.New("somebody holds a lock on the row of the lease (tactus.leases): see pg_blocking_pids")

func newLockedLease(log *slog.Logger) lockedLease {
	return lockedLease{failures: failureLog{
		log: log, level: slog.LevelWarn, what: "the lease cannot be renewed: it goes on when its row is free",
	}}
}

func (l *lockedLease) free() {
	l.failures.recovered()
	l.pause, l.fireAt = 0, 0
}

// renewLater puts a renewal off, and reads without a lock who holds the lease.
func (b *Beat) renewLater(ctx context.Context, now memory.Micros) error {
	b.lease.locked.failures.report(errLeaseLocked)
	row, err := b.queryLease(ctx, readLeaseSQL, b.readArgs())
	if err != nil {
		return err
	}
	b.lease.asked = localNow()
	if row.Holder != b.holder || row.Term != b.lease.term {
		b.standBy(row, now)
	}
	b.lease.locked.pause = min(max(2*b.lease.locked.pause, firstLeasePause), lastLeasePause)
	b.lease.askAt = now + b.lease.locked.pause.Microseconds()
	return nil
}

// leaseFreeSQL takes the lock that firing needs, if it is free.
const leaseFreeSQL = `select from tactus.leases where name = @name for share skip locked`

// leaseLocked reports whether firing waited for the row of the lease, and not for one of a schedule. If so, firing
// pauses.
func (b *Beat) leaseLocked(ctx context.Context) (bool, error) {
	tag, err := b.pool.Exec(ctx, leaseFreeSQL, planned, pgx.NamedArgs{"name": b.mode.leaseName})
	if err != nil {
		return false, fmt.Errorf("look whether the lease is locked: %w", err)
	}
	if tag.RowsAffected() > 0 {
		return false, nil
	}
	b.lease.locked.failures.report(errLeaseLocked)
	b.lease.locked.fireAt = b.clock.now().UnixMicro() + firstLeave.Microseconds()
	return true, nil
}
