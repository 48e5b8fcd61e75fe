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

// A write may have to wait for a lock that somebody holds on the schedule's row, perhaps for hours. While it waits it
// keeps a connection, of which a pool has few: writes to one locked schedule would take all of them, and nobody else
// would be served. Therefore
//
//   - a statement gives up after lockWait. It is sent again after a pause in which it keeps no connection, until
//     lockPatience is over. Then the write fails with domain.ErrLocked, and has changed nothing.
//   - a store has one write to a schedule in the database at a time (lines). The others would have to wait for it there
//     anyway.
//
// A caller's own transaction keeps the limits that its owner has set.
const (
	lockPause    = 250 * time.Millisecond
	lockPatience = 3 * time.Second

	// lockWait is a condition that is always true, and sets the time after which its statement gives up waiting for a
	// lock.
	lockWait = `
    and set_config('lock_timeout', '250ms', true) is not null`
)

type patienceKey struct{}

// WithPatience sets how long writes wait for locks. The default is some seconds; a caller who writes to many schedules
// cannot spend as long on each.
func (*Store) WithPatience(ctx context.Context, d time.Duration) context.Context {
	return context.WithValue(ctx, patienceKey{}, d)
}

func patienceOf(ctx context.Context) time.Duration {
	if d, ok := ctx.Value(patienceKey{}).(time.Duration); ok {
		return d
	}
	return lockPatience
}

// freeSQL locks those rows that nobody else has locked, as a write does. The locks end with the statement.
const freeSQL = `select id from tactus.schedules where id = any ($1::uuid[]) for no key update skip locked`

// Free returns which of some schedules nobody has locked at the moment.
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

// lines has, for each schedule, the writes of a store that wait for each other.
type lines struct {
	mu sync.Mutex
	of map[string]*line
}

// line is that of one schedule. Whoever holds its only place has its write in the database.
type line struct {
	place   chan struct{}
	writers int // in line, and in the database
}

// patiently runs a write to the schedule that key names when it is its turn, and runs it again while it finds a lock.
// It returns locked when the lock outlasts the caller's patience.
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

// lockedError returns a domain.ErrLocked that names what is locked.
func lockedError(what string) error { return lockedErrorOf(domain.ErrLocked, what) }

func lockedErrorOf(kind *domain.Error, what string) error {
	return &domain.Error{
		Kind: kind.Kind, Code: kind.Code,
		Message: fmt.Sprintf("%s is locked by another transaction in PostgreSQL, or waits behind such a one: nothing was "+
			"changed; try again, and if it lasts, look for the transaction by pg_blocking_pids", what),
	}
}
