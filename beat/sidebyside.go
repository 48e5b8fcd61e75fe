package beat

import (
	"context"
	"sync"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// sideBySide says how many statements fire at once, and how many due times each of them settles at least. For fewer,
// the fixed cost of another statement exceeds what the use of another processor saves.
type sideBySide struct{ statements, least int }

const leastSideBySide = 250

// settleSideBySide settles decisions by up to Config.Statements statements at once, each on a connection and in a
// transaction of its own. PostgreSQL runs one statement on one processor, and firing is most of its work for a run.
//
//	decisions   a a b c c d e f          due first ──▶ due last, those of a schedule side by side
//	statements  [a a b] [c c d] [e f]    at once, under one term of the lease
//
// What one statement promises also holds for several at once:
//
//   - All demand the same term, and lock the row of the lease "for share"; such locks do not exclude each other. A beat
//     that takes the lease has to update the row, so it waits for all of them.
//   - All decisions about a schedule are in one statement. So its due times are settled in order, with one view of its
//     count and its runs, and no statement waits for a row that another one has locked.
//   - Memory moves on when all have answered. If the answer to one is lost, memory takes over the result of none, and
//     the beat continues in a new term, under which none of them can still commit (see fire). Due times that the others
//     have settled are then found by look-up, or their second insert is stopped by the unique key.
//   - If a statement fails because of a lock or bad data, its decisions are bisected afterwards, one statement after
//     another.
func (b *Beat) settleSideBySide(ctx context.Context, decisions []memory.Decision) (out outcome, err error) {
	groups := bySchedule(decisions, min(b.parallel.statements, len(decisions)/b.parallel.least))
	if len(groups) < 2 || b.locks.waits >= maxLockWaits {
		return b.bisect(ctx, decisions)
	}
	type answer struct {
		tried string
		out   outcome
		err   error
	}
	answers := make([]answer, len(groups))
	var sent sync.WaitGroup
	for i, group := range groups {
		sent.Go(func() {
			a := &answers[i]
			a.tried = b.fireSQL(group)
			a.out, a.err = b.settle(ctx, group)
		})
	}
	sent.Wait()
	out.Held = true
	for _, a := range answers {
		switch {
		case a.err == nil:
			b.leaveAll(a.out.Locked)
			out = out.merge(a.out)
		case !postgres.LockTimedOut(a.err) && !postgres.RefusedData(a.err):
			return outcome{}, a.err
		}
	}
	for i, a := range answers {
		if a.err == nil || !out.Held || out.Early {
			continue
		}
		mended, err := b.afterTrying(ctx, groups[i], a.tried, a.out, a.err)
		if err != nil {
			return outcome{}, err
		}
		out = out.merge(mended)
	}
	return out, nil
}

// bySchedule divides decisions, in their order, into at most n groups of about the same size. Decisions about one
// schedule are adjacent, and stay in one group.
func bySchedule(decisions []memory.Decision, n int) (groups [][]memory.Decision) {
	for ; len(decisions) > 0; n-- {
		at := len(decisions) / max(n, 1)
		for at < len(decisions) && (at == 0 || decisions[at].Schedule == decisions[at-1].Schedule) {
			at++
		}
		groups, decisions = append(groups, decisions[:at]), decisions[at:]
	}
	return groups
}
