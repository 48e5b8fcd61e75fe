package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// What a store writes may have to wait for a lock that somebody holds on the schedule's row, for hours perhaps. A write
// that waits keeps a connection, and a pool has few: those who write to one locked schedule would take all of them, and
// nobody else would be served. So
//
//   - a statement gives up after lockWait, and is sent again after a pause in which it keeps no connection, until
//     lockPatience is over. Then the write is refused by domain.ErrLocked, and nothing was changed.
//   - of the writes of one store to one schedule, one is in the database at a time (lines). The others would have to
//     wait for it there anyway.
//
// A caller's transaction keeps the limits that its owner has set.
const (
	lockPause    = 250 * time.Millisecond
	lockPatience = 3 * time.Second

	// lockWait has a statement give up a wait for a lock. It is a condition that is always true.
	lockWait = `
    and set_config('lock_timeout', '250ms', true) is not null`
)

// lines are the writes of a store that stand in line for the same schedule.
type lines struct {
	mu sync.Mutex
	of map[string]*line
}

// line is for one schedule: who holds its only place is in the database.
type line struct {
	place   chan struct{}
	writers int // in line, and in the database
}

// patiently runs a write to what key names, once it is its turn, and again while it finds a lock. locked is what it
// returns when that lasts.
func (l *lines) patiently(ctx context.Context, key string, locked error, write func() error) error {
	own := l.join(key)
	defer l.leave(key)
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	select {
	case own.place <- struct{}{}:
		defer func() { <-own.place }()
	case <-patience.C:
		return locked
	case <-ctx.Done():
		return ctx.Err()
	}
	for {
		err := postgres.Retry(ctx, write)
		if !postgres.LockTimedOut(err) {
			return err
		}
		select {
		case <-time.After(lockPause):
		case <-patience.C:
			return fmt.Errorf("%w (%w)", locked, err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *lines) join(key string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.of[key]
	if own == nil {
		own = &line{place: make(chan struct{}, 1)}
		l.of[key] = own
	}
	own.writers++
	return own
}

func (l *lines) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of[key].writers--; l.of[key].writers == 0 {
		delete(l.of, key)
	}
}

// lockedError names what is locked.
func lockedError(what string) error { return lockedErrorOf(domain.ErrLocked, what) }

func lockedErrorOf(kind *domain.Error, what string) error {
	return &domain.Error{
		Kind: kind.Kind, Code: kind.Code,
		Message: fmt.Sprintf("%s is locked by another transaction in PostgreSQL, or waits behind such a one: nothing was "+
			"changed; try again, and if it lasts, look for the transaction by pg_blocking_pids", what),
	}
}
