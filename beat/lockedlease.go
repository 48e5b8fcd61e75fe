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

// lockedLease is what a beat does while somebody holds a lock on the row of the lease, such as an operator whose
// transaction is open.
//
// No beat can take or renew the lease then, so its term stays whose it was. Firing reads the row `for share`, as ever:
// beside a lock that allows it, the leader goes on firing, however long ago it has renewed; else it waits. (A weaker
// lock, `for key share`, would always be had, but it would not keep another beat from taking the lease between the
// statement's look at the term and its commit.) Both are tried again after pauses.
type lockedLease struct {
	pause    time.Duration // the last one, before the next attempt to renew
	fireAt   memory.Micros // when firing is tried again
	failures failureLog
}

// How long a beat waits until it tries to renew a lease that is locked: longer each time.
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

// renewLater puts a renewal off, and reads without a lock whose the lease is.
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

// leaseFreeSQL takes the lock that firing needs, if it can be had at once.
const leaseFreeSQL = `select from tactus.leases where name = @name for share skip locked`

// leaseLocked reports whether firing waited for the lease itself, and not for a schedule. Then it waits for a while.
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
