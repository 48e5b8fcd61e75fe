package calendar

import (
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
)

// What becomes of an excluded due time.
const (
	Skip            = "skip"             // it does not fire, which is recorded
	NextAllowed     = "next_allowed"     // it moves to the next allowed day, at the same local time
	PreviousAllowed = "previous_allowed" // it moves to the previous allowed day, at the same local time
	DropIfTaken     = "drop_if_taken"    // as next_allowed, but dropped when that day has a due time of its own
)

// Choices are the values that say what becomes of an excluded due time; the first is the default.
var Choices = []string{Skip, NextAllowed, PreviousAllowed, DropIfTaken}

// MaxMove is how many days a due time moves at most.
const MaxMove = 366

// horizon is how far from the instant given a due time is looked for.
const horizon = cron.Horizon

// maxSteps bounds what one call does: a step looks at a due time, or at a day, in a microsecond or two. What is not due
// within so many is not due.
const maxSteps = 4_000

// MaxSteps is for those who count them.
const MaxSteps = maxSteps

// Recurrence answers when something is due.
type Recurrence interface {
	Next(after time.Time) (time.Time, bool)
	Prev(before time.Time) (time.Time, bool)
}

// Filter says which due times calendars exclude, and what becomes of those.
type Filter struct {
	Sets     []*Set
	Only     bool   // due times that no set holds are excluded; otherwise those that any set holds
	On       string // one of Choices
	Location *time.Location
	Gap      cron.GapPolicy
	Overlap  cron.OverlapPolicy
}

// Apply returns the due times of a recurrence that are left by the filter: the allowed ones, and those that moved.
func (f *Filter) Apply(r Recurrence) Recurrence {
	if f.On == Skip {
		return kept{r, f}
	}
	return moved{kept{r, f}}
}

// Excluded reports whether an instant is excluded, and why, if a set says so.
func (f *Filter) Excluded(at time.Time) (reason string, excluded bool) {
	wall, unix := wallOf(at, f.Location), at.Unix()
	for _, s := range f.Sets {
		in, found := s.wall.holding(wall)
		if !found {
			in, found = s.fixed.holding(unix)
		}
		if found {
			return in.reason, !f.Only
		}
	}
	return "", f.Only
}

// allowedFrom returns an instant not before one that is excluded, up to which everything is excluded; false when
// nothing is ever allowed from there on.
func (f *Filter) allowedFrom(at time.Time) (time.Time, bool) {
	wall, unix := wallOf(at, f.Location), at.Unix()
	best, found := time.Time{}, false
	take := func(t time.Time, later bool) {
		if !found || t.After(best) == later {
			best, found = t, true
		}
	}
	for _, s := range f.Sets {
		if !f.Only { // the end of the longest that holds it
			if in, ok := s.wall.holding(wall); ok {
				take(instantOf(in.to, f.Location), true)
			}
			if in, ok := s.fixed.holding(unix); ok {
				take(time.Unix(in.to, 0), true)
			}
			continue
		}
		if i := s.wall.next(wall); i < len(s.wall) { // the first that begins
			take(instantOf(s.wall[i].from, f.Location), false)
		}
		if i := s.fixed.next(unix); i < len(s.fixed) {
			take(time.Unix(s.fixed[i].from, 0), false)
		}
	}
	if found && !best.After(at) { // clocks that go back show a time again
		best = at.Add(1)
	}
	return best, found
}

// allowedBefore returns an instant not after one that is excluded, from which on everything is excluded; false when
// nothing was ever allowed before.
func (f *Filter) allowedBefore(at time.Time) (time.Time, bool) {
	wall, unix := wallOf(at, f.Location), at.Unix()
	best, found := time.Time{}, false
	take := func(t time.Time, earlier bool) {
		if !found || t.Before(best) == earlier {
			best, found = t, true
		}
	}
	for _, s := range f.Sets {
		if !f.Only {
			if in, ok := s.wall.holding(wall); ok {
				take(instantOf(in.from, f.Location), true)
			}
			if in, ok := s.fixed.holding(unix); ok {
				take(time.Unix(in.from, 0), true)
			}
			continue
		}
		if i := s.wall.next(wall); i > 0 {
			take(instantOf(s.wall[i-1].to, f.Location).Add(2*time.Hour), false) // its end may be shown twice
		}
		if i := s.fixed.next(unix); i > 0 {
			take(time.Unix(s.fixed[i-1].to, 0), false)
		}
	}
	if found && best.After(at) {
		best = at
	}
	return best, found
}

// touched reports whether any moment of a day may be excluded.
func (f *Filter) touched(date int64) bool {
	from, to := date*day, (date+1)*day
	for _, s := range f.Sets {
		switch {
		case f.Only && s.wall.covers(from, to):
			return false
		case !f.Only && (s.wall.touches(from, to) || s.fixed.touches(from-day, to+day)):
			return true
		}
	}
	return f.Only
}

// whole reports whether every moment of a day is known to be excluded.
func (f *Filter) whole(date int64) bool {
	from, to := date*day, (date+1)*day
	for _, s := range f.Sets {
		switch {
		case f.Only && (s.wall.touches(from, to) || s.fixed.touches(from-day, to+day)):
			return false
		case !f.Only && s.wall.covers(from, to):
			return true
		}
	}
	return f.Only
}

// kept is the due times that are allowed.
type kept struct {
	Recurrence
	filter *Filter
}

// Next is the first allowed due time after an instant. Excluded stretches are jumped over.
func (k kept) Next(after time.Time) (time.Time, bool) {
	at, ok, _ := k.count(after, true)
	return at, ok
}

// Prev is the last allowed due time before an instant.
func (k kept) Prev(before time.Time) (time.Time, bool) {
	at, ok, _ := k.count(before, false)
	return at, ok
}

// count returns the next (or previous) due time, and how many steps it took to find.
func (k kept) count(limit time.Time, ahead bool) (at time.Time, found bool, steps int) {
	end := limit.Add(horizon)
	switch {
	case !ahead:
		end = limit.Add(-horizon)
	case limit.Year() <= 1: // whatever is due at all
		end = limit.AddDate(9998, 0, 0)
	}
	left := maxSteps
	at, found = k.within(limit, end, ahead, &left)
	return at, found, maxSteps - left
}

// within returns the first allowed due time that is later than an instant and not later than another; or the last that
// is earlier, and not earlier than another.
func (k kept) within(limit, end time.Time, ahead bool, steps *int) (time.Time, bool) {
	step, open := k.Recurrence.Prev, k.filter.allowedBefore
	past := func(at time.Time) bool { return at.Before(end) }
	if ahead {
		step, past = k.Recurrence.Next, func(at time.Time) bool { return at.After(end) }
		open = func(at time.Time) (time.Time, bool) {
			from, ever := k.filter.allowedFrom(at)
			return from.Add(-1), ever
		}
	}
	for due, ok := step(limit); ok && !past(due) && *steps > 0; *steps-- {
		if _, excluded := k.filter.Excluded(due); !excluded {
			return due, true
		}
		from, ever := open(due)
		if !ever {
			break
		}
		due, ok = step(from)
	}
	return time.Time{}, false
}

// NextCounted returns what a recurrence is due next, and how many steps it took to find: few, unless a filter looks
// far.
func NextCounted(r Recurrence, after time.Time) (at time.Time, ok bool, steps int) {
	if c, counts := r.(interface {
		count(limit time.Time, ahead bool) (time.Time, bool, int)
	}); counts {
		return c.count(after, true)
	}
	at, ok = r.Next(after)
	return at, ok, 1
}
