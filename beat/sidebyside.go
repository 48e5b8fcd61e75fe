package beat

import (
	"context"
	"sync"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// sideBySide says how many statements fire at once, and how many due times each of them settles at least. For fewer,
// what a statement costs by itself is more than what another processor saves.
type sideBySide struct{ statements, least int }

const leastSideBySide = 250

// settleSideBySide settles decisions in as many statements at once as the beat may send (Config.Statements), each on a
// connection and in a transaction of its own. PostgreSQL runs one statement on one processor, and firing is most of
// what it does for a run.
//
//	decisions   a a b c c d e f          due first ──▶ due last, those of a schedule side by side
//	statements  [a a b] [c c d] [e f]    at once, under one term of the lease
//
// What is promised of one statement holds of several:
//
//   - All demand the same term, and lock the lease "for share", which keeps none of them from it. Whoever takes the
//     lease over writes the row, so it waits for all of them.
//   - A schedule is in one of them. So its due times are settled in order, by one look at its count and its runs, and
//     no statement waits for a row that another has locked.
//   - Memory moves on when all have answered. When one has not, nothing is known of any, and the beat goes on in a new
//     term, in which none of them does anything any more (see fire). What the others have settled is then looked up, or
//     comes upon its unique key.
//   - What is refused or locked is found afterwards, by bisection of that one statement's decisions, one after another.
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
		mended, err := b.mend(ctx, groups[i], a.tried, a.out, a.err)
		if err != nil {
			return outcome{}, err
		}
		out = out.merge(mended)
	}
	return out, nil
}

// bySchedule divides decisions into at most n groups of about the same number, in their order. Those about a schedule
// stand side by side, and stay in one group.
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
