package verify

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// chain is a stretch of a schedule's life in which its due times are of one kind: it may fire, and counts from one instant.
// Only what does not move due times changes within it.
type chain struct {
	schedule    domain.ID
	first, last int64 // versions
	effective   time.Time
	end         time.Time // of the change that ended it; zero while it lasts
	recurrence  domain.Recurrence
	policy      domain.Policy
	jitter      time.Duration // the longest it had
	triggerSet  time.Time     // max_runs counts from it
	limited     bool          // by max_runs, at some time
	mostRuns    int64         // of all values of max_runs; 0 when it was not limited at some time
}

// extend follows a schedule's history by one state. What cannot be scheduled, though nobody has said so yet, is not due.
func extend(chains []chain, s domain.Schedule, at time.Time) []chain {
	var open *chain
	if n := len(chains); n > 0 && chains[n-1].end.IsZero() {
		open = &chains[n-1]
	}
	recurrence, err := s.Recurrence()
	runs := s.Runnable() && s.DeletedAt.IsZero() && err == nil
	switch {
	case open != nil && runs && open.effective.Equal(s.EffectiveFrom):
		open.follow(s)
		return chains
	case open != nil:
		open.end = at
	}
	if !runs {
		return chains
	}
	return append(chains, chain{
		schedule: s.ID, first: s.Version, last: s.Version, effective: s.EffectiveFrom, triggerSet: s.TriggerSetAt,
		recurrence: recurrence, policy: s.Policy(), jitter: seconds(s.JitterSeconds), limited: s.MaxRuns > 0, mostRuns: s.MaxRuns,
	})
}

// follow takes a change that moves no due time.
func (c *chain) follow(s domain.Schedule) {
	c.last, c.policy = s.Version, s.Policy()
	c.jitter = max(c.jitter, seconds(s.JitterSeconds))
	c.limited = c.limited || s.MaxRuns > 0
	c.mostRuns = max(c.mostRuns, s.MaxRuns) * min(c.mostRuns, s.MaxRuns, 1)
}

// due tells whether a due time belongs to the chain.
func (c chain) due(at time.Time) bool {
	next, ok := c.policy.Next(c.recurrence, later(at.Add(-1), c.effective))
	return ok && next.Equal(at)
}

func (c chain) lasts(at time.Time) bool { return c.end.IsZero() || at.Before(c.end) }

// settled tells whether a due time was certainly to fire, or to be recorded, before the chain ended: no beat was away for
// longer.
func (c chain) settled(due time.Time, away time.Duration) bool {
	return c.lasts(due.Add(c.jitter + away))
}

// gap is due times that lack what they should have.
type gap struct {
	from, to time.Time
	n        int64
}

func (g *gap) add(due time.Time) {
	if g.n == 0 {
		g.from = due
	}
	g.to = due
	g.n++
}

func (g *gap) take(other *gap) {
	if other.n == 0 {
		return
	}
	n := g.n + other.n
	g.add(other.from)
	g.to, g.n = other.to, n
	*other = gap{}
}

// unsettled are the due times in [from, to] that no run covers. Those at the end of the chain, which an edit may have
// overtaken, are only counted. Due times are settled in order: what has one after it that is settled was not overtaken.
func (c chain) unsettled(from, to time.Time, away time.Duration, runs []settledRun, excused func(time.Time) bool) (lost gap, settled, overtaken int64) {
	var open gap
	at := later(from.Add(-1), c.effective)
	for due, ok := c.policy.Next(c.recurrence, at); ok && !due.After(to) && c.lasts(due); due, ok = c.policy.Next(c.recurrence, due) {
		switch {
		case covered(runs, due):
			settled++
			lost.take(&open)
		case excused(due):
		case c.settled(due, away):
			lost.add(due)
		default:
			open.add(due)
		}
	}
	return lost, settled, open.n
}

// settledRun is a run, or a missed range, of a schedule.
type settledRun struct {
	Schedule domain.ID
	ID       domain.ID
	Version  int64
	Due      time.Time
	Until    *time.Time
	Fired    bool
}

// covered looks for a due time in runs, which are in order.
func covered(runs []settledRun, due time.Time) bool {
	due = due.Truncate(time.Microsecond)
	after, found := slices.BinarySearchFunc(runs, due, func(r settledRun, due time.Time) int { return r.Due.Compare(due) })
	if found {
		return true
	}
	if after == 0 {
		return false
	}
	before := runs[after-1]
	return before.Until != nil && !due.After(*before.Until)
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
