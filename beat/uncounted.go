package beat

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// # While the counts cannot be read
//
// VACUUM FULL, ALTER TABLE and the like lock the whole table of the counts. Every statement that names the table then
// waits while it is planned, before a lock_timeout that it sets itself takes effect, and everything else waits behind
// it, since the beat does one thing after another. So the beat reads the counts in a transaction with a short
// lock_timeout. While the table is locked, it reads schedules without their counts:
//
//	read without its count         becomes
//	one that has used up its runs  due again in memory
//	one that was due once          the same
//
// This makes nothing fire. The firing statement looks at the count itself, finds that the schedule has used up its
// runs, and the beat reads the schedule again (outcome.Stale). As long as the table is locked, schedules that count
// their runs are left for later anyway (see settleApart).

// bounded calls do with a read-only transaction in which no statement waits long for a lock, not even for one on a
// whole table. Writing transactions have to be one statement: a process that is stopped between two statements of a
// transaction would keep its row locks.
func (b *Beat) bounded(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{BeginQuery: beginBounded}, do)
}

const beginBounded = `begin read only; set local lock_timeout = '100ms'`

// counts says whether the table of the counts is locked, as far as the beat knows.
type counts struct {
	pause    time.Duration // the last pause before the table is tried again
	notUntil time.Time     // when it may be tried again
	failures failureLog
}

func newCounts(log *slog.Logger) counts {
	return counts{failures: failureLog{
		log: log, level: slog.LevelWarn, what: "schedules are read without the counts of their runs",
	}}
}

// mayRead reports whether the beat may try to read the counts.
func (c *counts) mayRead() bool { return !time.Now().Before(c.notUntil) }

// locked notes that the table is locked. It is not tried again before a pause, which is twice as long each time.
func (c *counts) locked() {
	c.failures.report(errCountsLocked)
	c.pause = min(max(2*c.pause, firstLeave), lastLeave)
	c.notUntil = time.Now().Add(c.pause)
}

// free notes that the table is not locked.
func (c *counts) free() {
	c.failures.recovered()
	c.pause, c.notUntil = 0, time.Time{}
}

// living is a query for schedules that may fire, in a form with their counts and one without.
type living struct{ counted, uncounted string }

var allRows = living{livingRowsSQL, uncountedRowsSQL}

// readLiving returns the rows of a query. The caller computes due times after the query has ended, so that the
// computation holds no transaction open and does not count for the query's deadline.
func (b *Beat) readLiving(ctx context.Context, q living, args named) (all []memory.Row, err error) {
	for r, err := range b.livingRows(ctx, q, args) {
		if err != nil {
			return nil, err
		}
		r.Trigger, r.Policy = bytes.Clone(r.Trigger), bytes.Clone(r.Policy)
		all = append(all, r)
	}
	return all, nil
}

// livingRows streams the rows of a query, with counts unless their table is locked.
func (b *Beat) livingRows(ctx context.Context, q living, args named) iter.Seq2[memory.Row, error] {
	return func(yield func(memory.Row, error) bool) {
		if b.counts.mayRead() {
			locked := false
			for r, err := range b.boundedRows(ctx, q.counted, args) {
				if locked = postgres.LockTimedOut(err); locked {
					break
				}
				if !yield(r, err) {
					return
				}
			}
			if !locked {
				b.counts.free()
				return
			}
			b.counts.locked()
		}
		for r, err := range readRows(ctx, b.pool, q.uncounted, args) {
			if !yield(r, err) {
				return
			}
		}
	}
}

func (b *Beat) boundedRows(ctx context.Context, sql string, args named) iter.Seq2[memory.Row, error] {
	return func(yield func(memory.Row, error) bool) {
		more := true
		err := b.bounded(ctx, func(tx pgx.Tx) error {
			for r, err := range readRows(ctx, tx, sql, args) {
				if err != nil {
					return err
				}
				if more = yield(r, nil); !more {
					return nil
				}
			}
			return nil
		})
		if err != nil && more {
			yield(memory.Row{}, err)
		}
	}
}
