package beat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/outbox"
)

// start loads all schedules into memory. It notes the feed's mark and a snapshot of the log first, so what changes
// during the load is heard or polled after it, and read again.
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

// partTimeout is how long a part of a step may take: a connection whose other end is gone would keep it for ever.
// Another beat has the lease by then.
const partTimeout = 30 * time.Second

// step does what has to be done now, and returns when the next thing has to be. It is the whole beat: Run only
// repeats it. Each part is bounded in what it does and how long it takes, so that none keeps another waiting for
// long, and each is tried even if others fail. A beat that was away for longer than a poll reads what has changed
// before it decides anything, hence the sync before fire.
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
		b.lease.askAt = now // the lease shows what became of the database, before anything else is decided
	}
	b.publish(now, err != nil)
	b.sums.tell(b.log, b.cfg.Shadow, false)
	return b.wake(now), err
}

// wake returns when the next thing has to be done.
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

// noteServer notes which server and timeline this is. On another one the log and the versions may have gone back.
func (b *Beat) noteServer(server string) {
	if b.polls.server != server {
		b.wantAnew("the database is on another server or timeline")
	}
	b.polls.server = server
}
