package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

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

type patienceKey struct{}

// WithPatience has writes wait for locks for so long, in place of some seconds: for whoever writes to many schedules,
// and has not as long for each.
func (*Store) WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

func patienceOf(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return d
	}
	return lockPatience
}

// freeSQL takes the locks that writes to schedules take, of those rows that nobody has locked, and gives them back.
const freeSQL = `select id from tactus.schedules where id = any ($1::uuid[]) for no key update skip locked`

// Free returns those of some schedules that nobody has locked at the moment.
func (s *Store) Free(ctx context.Context, ids []domain.ID) (map[domain.ID]bool, error) {
	rows, err := s.pool.Query(ctx, freeSQL, pgx.QueryExecModeCacheDescribe, ids)
	if err != nil {
		return nil, fmt.Errorf("look what is locked: %w", err)
	}
	free := make(map[domain.ID]bool, len(ids))
	var id domain.ID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { free[id] = true; return nil }); err != nil {
		return nil, fmt.Errorf("look what is locked: %w", err)
	}
	return free, nil
}

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
	patience := time.NewTimer(patienceOf(ctx))
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
