package beat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// settleApart settles the decisions about schedules that count their runs by a statement of their own, after all other
// decisions. So a lock on the table of the counts delays no schedule that counts nothing. A lock on the whole table,
// such as the rebuild of an index takes, is looked for beforehand (see sqlexpr.WritersWait); while there is one, the
// schedules that count their runs are left for a later step.
func (b *Beat) settleApart(ctx context.Context, decisions []memory.Decision) (out outcome, err error) {
	decisions, out = b.withoutCalendars(ctx, decisions)
	plain, counted := apart(decisions)
	if len(plain) > 0 {
		did, failed := b.settleOrBisect(ctx, plain)
		out, err = out.merge(did), failed
	}
	if err != nil || !out.Held || out.Early || len(counted) == 0 {
		return out, err
	}
	locked, err := b.countsLocked(ctx)
	if err != nil {
		return out, err
	}
	if locked {
		return out.merge(b.leaveCounted(counted)), nil
	}
	b.counts.free()
	after, err := b.settleOrBisect(ctx, counted)
	return out.merge(after), err
}

// withoutCalendars returns the decisions that did not go by calendars, and leaves the others for a later step, while
// another session has locked the whole table of the calendars. The first statement that meets such a lock waits until
// its lock_timeout.
func (b *Beat) withoutCalendars(
	ctx context.Context, decisions []memory.Decision,
) (others []memory.Decision, out outcome) {
	out.Held = true
	locked := b.beside.Closed(ctx, "tactus.calendars")
	if locked == nil {
		return decisions, out
	}
	for i := range decisions {
		if decisions[i].Calendars == nil {
			others = append(others, decisions[i])
		} else {
			out = out.merge(b.leaveLocked(decisions[i], locked))
		}
	}
	return others, out
}

// leaveCounted leaves decisions for a later step, because of a lock on the table of the counts.
func (b *Beat) leaveCounted(decisions []memory.Decision) outcome {
	b.locks.failures.report(errCountsLocked)
	return outcome{Held: true, Locked: schedulesOf(decisions)}
}

// apart splits decisions into those about schedules that do not count their runs and those about schedules that do, and
// keeps the order in both.
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

// fireSQL returns mode.fireSQL without the parts that the decisions do not need (withoutOthers), or, while another
// session has locked a partition of the runs, without the look at earlier runs (withoutLine).
func (b *Beat) fireSQL(decisions []memory.Decision) string {
	sql := b.mode.fireSQL(decisions)
	if !slices.ContainsFunc(decisions, func(d memory.Decision) bool { return !firesAnyway(d) }) {
		return withoutOthers(sql)
	}
	if b.beside.Partition("tactus.runs") {
		return withoutLine(sql)
	}
	return sql
}

// fireSQL returns the statement that settles decisions, which settleApart has split: all of them count, or none does.
func (m mode) fireSQL(decisions []memory.Decision) string {
	sql := m.firePlainSQL
	if decisions[0].Counts {
		sql = m.fireDueSQL
	}
	if slices.ContainsFunc(decisions, func(d memory.Decision) bool { return d.Calendars != nil }) {
		return strings.Replace(sql, noCalendarsSQL, calendarsSQL, 1)
	}
	return sql
}

var errCountsLocked = errors.New(
	"somebody has locked the table tactus.schedule_counts: see pg_locks; schedules with max_runs or run_at wait")

var (
	countsLockedSQL     = `select ` + sqlexpr.WritersWait("tactus.schedule_counts")
	countsUnreadableSQL = `select ` + sqlexpr.ReadersWait("tactus.schedule_counts")
)

func (b *Beat) countsLocked(ctx context.Context) (bool, error) {
	return b.looksLocked(ctx, b.mode.countsLockedSQL)
}

// looksLocked runs a query that says whether a table is locked, and returns its answer.
func (b *Beat) looksLocked(ctx context.Context, sql string) (locked bool, err error) {
	if err := b.pool.QueryRow(ctx, sql, planned).Scan(&locked); err != nil {
		return false, fmt.Errorf("look whether a table is locked: %w", err)
	}
	return locked, nil
}
