package calendar

import (
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
)

// moved is the allowed due times, and the excluded ones where they have moved to.
//
// It goes through the days to which something may have moved. On each it looks back (forward for previous_allowed)
// through the days from which that may have come: those between must be excluded at the same local time.
//
//	       Fri   Sat   Sun   Mon
//	due   09:00              09:00
//	           excluded excluded
//	      10:00 10:00          ◀── Sat 10:00 may have moved here: Sun 10:00 is excluded as well
type moved struct{ kept }

// back is the direction in which days lie from which a due time moves: -1 back in time, 1 ahead.
func (m moved) back() int64 {
	if m.filter.On == PreviousAllowed {
		return 1
	}
	return -1
}

// Next is the first due time after an instant.
func (m moved) Next(after time.Time) (time.Time, bool) {
	own, ok := m.kept.Next(after)
	today := floorDay(wallOf(after, m.filter.Location))
	last := today + int64(horizon/time.Second)/day
	if ok {
		last = floorDay(wallOf(own, m.filter.Location))
	}
	s := search{moved: m, steps: maxSteps, limit: after}
	for date := today; date <= last && s.steps > 0; date++ {
		if !m.passable(date+m.back()) || m.filter.whole(date) {
			continue
		}
		if !ok { // jump to where a due time may have come from
			source, any := m.Recurrence.Next(m.beginning(min(date, date+m.back()*MaxMove)).Add(-1))
			s.steps--
			if !any {
				return time.Time{}, false
			}
			from := floorDay(wallOf(source, m.filter.Location))
			if m.back() > 0 {
				from -= MaxMove
			}
			if from > date {
				date = from - 1
				continue
			}
		}
		if at, found := s.onto(date, func(at time.Time) bool { return at.After(after) }, true); found {
			if !ok || at.Before(own) {
				return at, true
			}
			break
		}
	}
	return own, ok
}

// Prev is the last due time before an instant.
func (m moved) Prev(before time.Time) (time.Time, bool) {
	own, ok := m.kept.Prev(before)
	today := floorDay(wallOf(before, m.filter.Location))
	first := today - int64(horizon/time.Second)/day
	if ok {
		first = floorDay(wallOf(own, m.filter.Location))
	}
	s := search{moved: m, steps: maxSteps, limit: before}
	for date := today; date >= first && s.steps > 0; date-- {
		if !m.passable(date+m.back()) || m.filter.whole(date) {
			continue
		}
		if !ok {
			source, any := m.Recurrence.Prev(m.beginning(max(date, date+m.back()*MaxMove) + 1))
			s.steps--
			if !any {
				return time.Time{}, false
			}
			from := floorDay(wallOf(source, m.filter.Location))
			if m.back() < 0 {
				from += MaxMove
			}
			if from < date {
				date = from + 1
				continue
			}
		}
		if at, found := s.onto(date, func(at time.Time) bool { return at.Before(before) }, false); found {
			if !ok || at.After(own) {
				return at, true
			}
			break
		}
	}
	return own, ok
}

// Source returns the excluded due time that has moved to an instant; false when the instant has a due time of its own,
// or none at all.
func (m moved) source(at time.Time) (time.Time, bool) {
	if own, ok := m.kept.Next(at.Add(-1)); ok && own.Equal(at) {
		return time.Time{}, false
	}
	date := floorDay(wallOf(at, m.filter.Location))
	s := search{moved: m, steps: maxSteps, limit: at}
	found, ok := s.onto(date, func(moved time.Time) bool { return moved.Equal(at) }, true)
	return s.from, ok && found.Equal(at)
}

// Source returns the excluded due time that a filter has moved to an instant; false when there is none.
func Source(r Recurrence, at time.Time) (time.Time, bool) {
	if m, ok := r.(moved); ok {
		return m.source(at)
	}
	return time.Time{}, false
}

// passable reports whether a due time may move across a day: some of it is excluded, or the zone skipped it altogether, as
// Pacific/Apia did in 2011.
func (m moved) passable(date int64) bool {
	return m.filter.touched(date) || !m.beginning(date).Before(m.beginning(date+1))
}

// beginning is when a day begins in the zone.
func (m moved) beginning(date int64) time.Time { return instantOf(date*day, m.filter.Location) }

// search looks for what has moved, and counts its steps.
type search struct {
	moved
	steps int
	limit time.Time // nothing is wanted that is earlier (or later) than it
	from  time.Time // where the due time found last has come from
}

// onto returns the first (or last) due time that has moved onto a day and is wanted.
func (s *search) onto(date int64, wanted func(time.Time) bool, first bool) (best time.Time, found bool) {
	if s.filter.On == DropIfTaken && s.taken(date) {
		return time.Time{}, false
	}
	for days := int64(1); days <= MaxMove && s.passable(date+s.back()*days) && s.steps > 0; days++ {
		at, from, ok := s.fromDay(date, days, wanted, first)
		if ok && (!found || at.Before(best) == first) {
			best, found, s.from = at, true, from
		}
	}
	return best, found
}

// taken reports whether a day has a due time of its own.
func (s *search) taken(date int64) bool {
	end := s.beginning(date + 1)
	due, ok := s.Recurrence.Next(s.beginning(date).Add(-1))
	for ok && due.Before(end) && s.steps > 0 {
		s.steps--
		if _, excluded := s.filter.Excluded(due); !excluded {
			return true
		}
		from, ever := s.filter.allowedFrom(due)
		if !ever {
			return false
		}
		due, ok = s.Recurrence.Next(from.Add(-1))
	}
	return false
}

// fromDay returns the first (or last) due time that has moved onto a day from one so many days away, and is wanted. A
// day of more than 24 hours shows times twice, so its due times are not in the order of their local times.
func (s *search) fromDay(date, days int64, wanted func(time.Time) bool, first bool) (best, from time.Time, found bool) {
	s.steps--
	source := date + s.back()*days
	begin, end := s.beginning(source), s.beginning(source+1)
	straight := end.Sub(begin) <= 24*time.Hour
	step, due, ok := s.Recurrence.Next, time.Time{}, false
	switch near := s.near(date, source); {
	case first && straight && near.Add(-slack).After(begin):
		due, ok = step(near.Add(-slack))
	case first:
		due, ok = step(begin.Add(-1))
	case straight && near.Add(slack).Before(end):
		step = s.Recurrence.Prev
		due, ok = step(near.Add(slack))
	default:
		step = s.Recurrence.Prev
		due, ok = step(end)
	}
	for ; ok && !due.Before(begin) && due.Before(end) && s.steps > 0; due, ok = step(due) {
		s.steps--
		at, moves := s.moves(due, date, days)
		if !moves || !wanted(at) || found && at.Before(best) != first {
			continue
		}
		if best, from, found = at, due, true; straight {
			return best, from, true
		}
	}
	return best, from, found
}

// slack is more than a change of the clocks shifts a time within its day.
const slack = 4 * time.Hour

// near returns when the clocks show on a source day what they show at the limit, if that is on the day of a target.
func (s *search) near(date, source int64) time.Time {
	return s.limit.AddDate(0, 0, int(source-date))
}

// moves reports whether a due time moves onto a day so many days away, and when it is due there.
func (s *search) moves(due time.Time, date, days int64) (at time.Time, ok bool) {
	if _, excluded := s.filter.Excluded(due); !excluded {
		return time.Time{}, false
	}
	local := due.In(s.filter.Location)
	wall := wallOf(due, s.filter.Location)
	clock, nanoseconds := wall-floorDay(wall)*day, local.Nanosecond()
	for between := days - 1; between > 0; between-- {
		if _, allowed := s.shown(date+s.back()*between, clock, nanoseconds); allowed {
			return time.Time{}, false
		}
	}
	return s.shown(date, clock, nanoseconds)
}

// shown returns when the clocks show a time on a day, and whether that is allowed.
func (s *search) shown(date, clock int64, nanoseconds int) (time.Time, bool) {
	f := s.filter
	at, ok := cron.ResolveLocal(time.Unix(date*day+clock, int64(nanoseconds)).UTC(), f.Location, f.Gap, f.Overlap)
	if !ok {
		return time.Time{}, false
	}
	_, excluded := f.Excluded(at)
	return at, !excluded
}
