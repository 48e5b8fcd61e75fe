package beat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/outbox"
)

// start loads all schedules into memory. Before the load it notes the feed's mark and a snapshot of the log. So a
// change that is committed during the load is heard or polled after it, and its schedule is read again.
func (b *Beat) start(ctx context.Context) error {
	if _, err := b.pool.Exec(ctx, makeLeaseSQL, planned, named{"name": b.mode.leaseName}); err != nil {
		return fmt.Errorf("make the lease: %w", err)
	}
	row, err := b.queryLease(ctx, readLeaseSQL, b.readArgs())
	if err != nil {
		return err
	}
	b.polls.server = row.Server
	b.compareLease(row)
	b.lease.asked = localNow()
	b.markFeed(ctx)
	snapshot, err := outbox.Current(ctx, b.pool)
	if err != nil {
		return err
	}
	b.polls.from, b.polls.inMemory = string(snapshot), string(snapshot)
	return b.load(ctx, row.settled())
}

// partTimeout is how long a part of a step may take. Without it, a connection whose other end is gone would block the
// step for ever. It is longer than the lease, so another beat has taken over by then.
const partTimeout = 30 * time.Second

// step does whatever has to be done now, and returns when it has to be called again. It is the whole beat: Run only
// repeats it. Each part of a step is bounded in its work and its time, so that no part delays another for long, and
// each part is tried even if others fail. If the beat was stopped for longer than the time between two polls, it has to
// read what has changed before it decides anything; hence the sync before fire.
func (b *Beat) step(ctx context.Context, now memory.Micros) (wake memory.Micros, err error) {
	b.receiveAll()
	var errs []error
	polls := now >= b.polls.at
	for _, part := range []struct {
		due  bool
		act  func(context.Context, memory.Micros) error
		most time.Duration
	}{
		{now >= b.lease.askAt, b.renew, renewEvery},
		{polls, b.poll, partTimeout},
		{polls, b.sync, partTimeout},
		{true, b.resume, partTimeout},
		{true, b.withdraw, partTimeout},
		{true, b.fire, fireTimeout},
		{b.resyncDue(now), b.resyncPage, partTimeout},
		{true, b.sync, partTimeout},
		{true, b.sweepCalendars, partTimeout},
		{true, b.invalidate, partTimeout},
		{true, b.complete, partTimeout},
		{true, b.backfill, partTimeout},
	} {
		if part.due {
			ctx, cancel := context.WithTimeout(ctx, part.most)
			errs = append(errs, part.act(ctx, now))
			cancel()
		}
	}
	now += b.applyClockStep()
	if err = errors.Join(errs...); err != nil {
		b.lease.askAt = now // before anything is decided, the lease tells whether the database has gone back
	}
	b.publish(now, err != nil)
	b.sums.tell(b.log, b.cfg.Shadow, false)
	return b.wake(now), err
}

// wake returns when the next step has to be made.
func (b *Beat) wake(now memory.Micros) memory.Micros {
	next := min(b.lease.askAt, b.polls.at)
	if b.lease.leading {
		fire := b.nextFire()
		if pause := b.backlog.pause(localNow()); pause > 0 {
			fire = max(fire, now+pause.Microseconds())
		}
		next = min(next, fire, b.pauses.at)
		if !b.clock.doubts() {
			next = min(next, b.spent.at(now))
		}
		if b.withdrawal.wanted {
			next = min(next, max(now, b.withdrawal.notBefore))
		}
		if !b.cfg.Shadow {
			next = min(next, b.backfills.at)
		}
	}
	if len(b.syncs.pending) > 0 {
		next = min(next, b.syncs.notBefore)
	}
	if b.memory.Sweeping() || b.calendars.more {
		next = now
	}
	if len(b.invalid.found) > 0 {
		next = min(next, max(now, b.invalid.notBefore))
	}
	if b.resync.running || b.resync.wanted {
		next = min(next, b.resync.at())
	}
	return next
}

// noteServer notes the server and timeline that PostgreSQL reports. If they have changed, the log and the versions of
// schedules may have gone back.
func (b *Beat) noteServer(server string) {
	if b.polls.server != server {
		b.wantAnew("the database is on another server or timeline")
	}
	b.polls.server = server
}
