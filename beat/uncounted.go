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
// Somebody may lock the whole table of the counts: VACUUM FULL does, and so does ALTER TABLE. Whatever names that table
// waits, before a lock_timeout of its own is in force, and the beat does one thing after another. So such a statement
// runs in a transaction that gives up soon, and schedules are then read without their counts:
//
//	read without its count         becomes
//	one that has used up its runs  due again in memory
//	one that was due once          the same
//
// Nothing fires for it. The statement that fires looks at the count itself, finds that the schedule has used up its
// runs, and has it read again (outcome.Stale). As long as the table is locked, whatever counts is left for later anyway
// (see settleApart).

// bounded reads in a transaction in which no statement waits for a lock for long, be it of a table. Nothing is written
// in it: whoever is stopped between two messages of a transaction keeps its locks.
func (b *Beat) bounded(ctx context.Context, do func(pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{BeginQuery: beginBounded}, do)
}

const beginBounded = `begin read only; set local lock_timeout = '100ms'`

// counts is what the beat knows of somebody's lock on their table.
type counts struct {
	pause    time.Duration // the last one, before they are asked for again
	notUntil time.Time     // when they may be
	failures failureLog
}

func newCounts(log *slog.Logger) counts {
	return counts{failures: failureLog{
		log: log, level: slog.LevelWarn, what: "schedules are read without the counts of their runs",
	}}
}

// may reports whether it is time to ask for the counts.
func (c *counts) may() bool { return !time.Now().Before(c.notUntil) }

// locked notes that they could not be had. They are not asked for before a pause is over, which is longer each time.
func (c *counts) locked() {
	c.failures.report(errCountsLocked)
	c.pause = min(max(2*c.pause, firstLeave), lastLeave)
	c.notUntil = time.Now().Add(c.pause)
}

// free notes that they can be had.
func (c *counts) free() {
	c.failures.recovered()
	c.pause, c.notUntil = 0, time.Time{}
}

// living is a query for schedules that may fire, with their counts and without.
type living struct{ counted, uncounted string }

var allRows = living{livingRowsSQL, uncountedRowsSQL}

// readLiving returns the answer of a query. What its rows are due is reckoned when the query is over, so that it holds
// nothing open and has its deadline to itself.
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

// livingRows streams the answer of a query, which has counts if they can be had.
func (b *Beat) livingRows(ctx context.Context, q living, args named) iter.Seq2[memory.Row, error] {
	return func(yield func(memory.Row, error) bool) {
		if b.counts.may() {
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
