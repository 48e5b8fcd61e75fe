package verify

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// chain is a stretch of a schedule's history in which the schedule may fire and its due times count from one instant.
// Only changes that move no due time occur within a chain.
type chain struct {
	schedule    domain.ID
	first, last int64     // the versions of the schedule that it spans
	effective   time.Time // due times count from here, exclusive
	end         time.Time // when a change ended the chain; zero while it lasts
	recurrence  domain.Recurrence
	policy      domain.Policy
	delay       time.Duration // by jitter and spread: the longest of its versions
	triggerSet  time.Time     // max_runs counts from it
	limited     bool          // whether any version had max_runs
	movedUntil  time.Time     // when a calendar has changed for certain that moved its due times; zero when none has
	mostRuns    int64         // the greatest max_runs of its versions; 0 if a version had none
}

// extend continues a schedule's chains by its next state. A schedule whose trigger cannot be evaluated is not due, even
// if no beat has marked it invalid yet.
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
		recurrence: recurrence, policy: s.Policy(), delay: s.Policy().Delay(), limited: s.MaxRuns > 0, mostRuns: s.MaxRuns,
	})
}

// follow continues a chain by a version that moves no due time.
func (c *chain) follow(s domain.Schedule) {
	c.last, c.policy = s.Version, s.Policy()
	c.delay = max(c.delay, s.Policy().Delay())
	c.limited = c.limited || s.MaxRuns > 0
	c.mostRuns = max(c.mostRuns, s.MaxRuns) * min(c.mostRuns, s.MaxRuns, 1)
}

// due reports whether an instant is a due time of the chain.
func (c chain) due(at time.Time) bool {
	if !c.movedUntil.IsZero() && at.After(c.movedUntil) {
		return false
	}
	next, ok := c.policy.Next(c.recurrence, later(at.Add(-1), c.effective))
	return ok && next.Equal(at)
}

func (c chain) lasts(at time.Time) bool { return c.end.IsZero() || at.Before(c.end) }

// settled reports whether a due time was certainly to be settled before the chain ended, if no beat was ever away for
// longer than away.
func (c chain) settled(due time.Time, away time.Duration) bool {
	return c.lasts(due.Add(c.delay + away))
}

// gap is a range of due times, all with the same fault.
type gap struct {
	from, to time.Time // the first and the last of them
	n        int64     // how many
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

// unsettled looks at the due times in [from, to], and returns those that are lost, the number settled by a run or a
// reason, and the number that an edit may have overtaken.
//
// A beat settles a schedule's due times in order. So an unsettled due time before a settled one is lost. Unsettled due
// times at the end of a chain are lost if the chain lasted long enough for any beat; otherwise an edit may have come
// before a beat settled them:
//
//	due   1    2    3    4    5   | the schedule is edited
//	      run  -    run  -    -   |
//	           lost      overtaken, unless the edit came later than jitter and away after them
func (c chain) unsettled(
	from, to time.Time, away time.Duration, runs []settledRun, excused func(time.Time) bool,
) (lost gap, settled, overtaken int64) {
	var open gap
	at := later(from.Add(-1), c.effective)
	for due, ok := c.policy.Next(c.recurrence, at); ok && !due.After(to) &&
		c.lasts(due); due, ok = c.policy.Next(c.recurrence, due) {
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

// settledRun is a run, or a row for a range of missed due times.
type settledRun struct {
	Schedule domain.ID
	ID       domain.ID
	Version  int64
	Due      time.Time
	Until    *time.Time // the end of a missed range, inclusive; nil for a run
	Fired    bool       // neither missed nor skipped
}

// covered reports whether a due time has a run, or lies in a missed range. runs are in the order of their due times.
func covered(runs []settledRun, due time.Time) bool {
	due = due.Truncate(time.Microsecond)
	after, found := slices.BinarySearchFunc(runs, due,
		func(r settledRun, due time.Time) int { return r.Due.Compare(due) })
	if found {
		return true
	}
	if after == 0 {
		return false
	}
	before := runs[after-1]
	return before.Until != nil && !due.After(*before.Until)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
