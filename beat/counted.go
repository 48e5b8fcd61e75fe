package beat

import (
	"context"
	"errors"
	"fmt"

	"github.com/tactus-dev/tactus/beat/memory"
)

// settleApart settles decisions about schedules that count their runs in a statement of their own, after all others.
// The others fire whatever somebody does with the table of the counts. An index that is rebuilt, for example, locks all
// of it, and a statement that writes to it waits before its own lock_timeout is in force: such a lock is looked for
// instead, and what counts is left for later.
func (b *Beat) settleApart(ctx context.Context, decisions []memory.Decision) (out outcome, err error) {
	plain, counted := apart(decisions)
	out.Held = true
	if len(plain) > 0 {
		out, err = b.settleOrBisect(ctx, plain)
	}
	if err != nil || !out.Held || out.Early || len(counted) == 0 {
		return out, err
	}
	locked, err := b.countsLocked(ctx)
	if err != nil {
		return out, err
	}
	if locked {
		b.locks.failures.report(errCountsLocked)
		return out.merge(outcome{Held: true, Locked: schedulesOf(counted)}), nil
	}
	after, err := b.settleOrBisect(ctx, counted)
	return out.merge(after), err
}

// apart returns the decisions about schedules that count nothing, and the others, each in the order given.
func apart(decisions []memory.Decision) (plain, counted []memory.Decision) {
	for i := range decisions {
		if decisions[i].Counts {
			counted = append(counted, decisions[i])
		} else {
			plain = append(plain, decisions[i])
		}
	}
	return plain, counted
}

// fireSQL is the statement for decisions that settleApart has taken apart.
func (m mode) fireSQL(decisions []memory.Decision) string {
	if decisions[0].Counts {
		return m.fireDueSQL
	}
	return m.firePlainSQL
}

var errCountsLocked = errors.New(
	"somebody has locked the table tactus.schedule_counts: see pg_locks; schedules with max_runs or run_at wait")

// countsLockedSQL looks for locks beside which nothing can be written to the table, those that are waited for included:
// whoever asks later stands behind them.
const countsLockedSQL = `
select exists (select from pg_locks where locktype = 'relation' and relation = 'tactus.schedule_counts'::regclass
    and database = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()
    and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))`

func (b *Beat) countsLocked(ctx context.Context) (locked bool, err error) {
	if b.cfg.Shadow {
		return false, nil // which only reads the counts
	}
	if err := b.pool.QueryRow(ctx, countsLockedSQL, planned).Scan(&locked); err != nil {
		return false, fmt.Errorf("look whether the counts are locked: %w", err)
	}
	return locked, nil
}
