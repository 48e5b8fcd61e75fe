package calendar

import (
	"iter"
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
	at, ok, _ := m.count(after, true)
	return at, ok
}

// Prev is the last due time before an instant.
func (m moved) Prev(before time.Time) (time.Time, bool) {
	at, ok, _ := m.count(before, false)
	return at, ok
}

// count returns the next (or previous) due time, and how many steps it took to find. It looks ahead a month, then four
// times as far, and so on: most find what they look for in the first.
func (m moved) count(limit time.Time, ahead bool) (at time.Time, found bool, steps int) {
	s := &search{moved: m, steps: maxSteps, limit: limit}
	s.day = floorDay(wallOf(limit, m.filter.Location))
	way := int64(1)
	if !ahead {
		way = -1
	}
	start := limit
	if limit.Year() <= 1 { // whatever is due at all
		first, any := m.Recurrence.Next(limit)
		if !any {
			return time.Time{}, false, 1
		}
		start = first.AddDate(0, 0, -MaxMove)
	}
	date, own := floorDay(wallOf(start, m.filter.Location)), limit
	end := date + way*int64(horizon/time.Second)/day
	for far := int64(32); s.steps > 0; far *= 4 {
		last := date + way*far
		if (last-end)*way > 0 {
			last = end
		}
		until := m.beginning(last + max(way, 0)).Add(-time.Duration(max(way, 0)))
		due, any := s.kept.within(own, until, ahead, &s.steps)
		if any {
			last = floorDay(wallOf(due, m.filter.Location))
		}
		if moved, some := s.among(date, last, way, any); some {
			if !any { // on the last day there may be one that is due later than the day is over
				due, any = s.kept.within(until, moved, ahead, &s.steps)
			}
			if !any || moved.Before(due) == ahead {
				due, any = moved, true
			}
			return due, any, maxSteps - s.steps
		}
		if any || last == end {
			return due, any, maxSteps - s.steps
		}
		date, own = last+way, until
	}
	return time.Time{}, false, maxSteps - s.steps
}

// among returns the first (or last) due time that has moved onto one of some days. When nothing is due on them
// otherwise, days are left out for which there is no due time that may have moved there.
func (s *search) among(date, last, way int64, near bool) (time.Time, bool) {
	ahead := way > 0
	wanted := func(at time.Time) bool { return !at.Equal(s.limit) && at.After(s.limit) == ahead }
	for idle := 0; (last-date)*way >= 0 && s.steps > 0; date, idle = date+way, idle+1 {
		s.steps--
		if !near && idle%16 == 0 {
			from, ever := s.sourced(date, way)
			if !ever {
				return time.Time{}, false
			}
			if (from-date)*way > 0 {
				date, idle = from-way, -1
				continue
			}
		}
		if s.filter.whole(date) {
			if from, ever := s.open(date, way); !ever {
				return time.Time{}, false
			} else if (from-date)*way > 1 {
				date, idle = from-way, -1
			}
			continue
		}
		if !s.passable(date + s.back()) {
			continue
		}
		if at, found := s.onto(date, wanted, ahead); found {
			return at, true
		}
	}
	return time.Time{}, false
}

// sourced returns a day, not past the first of those from the given one on to which a due time may move; false when
// there is none.
func (s *search) sourced(date, way int64) (int64, bool) {
	s.steps--
	if way > 0 {
		due, any := s.Recurrence.Next(s.beginning(min(date, date+s.back()*MaxMove)).Add(-1))
		from := floorDay(wallOf(due, s.filter.Location))
		return from - max(s.back(), 0)*MaxMove, any
	}
	due, any := s.Recurrence.Prev(s.beginning(max(date, date+s.back()*MaxMove) + 1))
	from := floorDay(wallOf(due, s.filter.Location))
	return from - min(s.back(), 0)*MaxMove, any
}

// open returns a day, not past the first from a wholly excluded one on that is not.
func (s *search) open(date, way int64) (int64, bool) {
	if way > 0 {
		from, ever := s.filter.allowedFrom(s.beginning(date))
		return floorDay(wallOf(from, s.filter.Location)), ever
	}
	from, ever := s.filter.allowedBefore(s.beginning(date + 1).Add(-1))
	return floorDay(wallOf(from, s.filter.Location)), ever
}

// Source returns the excluded due time that has moved to an instant; false when the instant has a due time of its own,
// or none at all.
func (m moved) source(at time.Time) (time.Time, bool) {
	if own, ok := m.kept.Next(at.Add(-1)); ok && own.Equal(at) {
		return time.Time{}, false
	}
	date := floorDay(wallOf(at, m.filter.Location))
	s := &search{moved: m, steps: maxSteps, limit: at, day: date}
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

// passable reports whether a due time may move across a day: some of it is excluded, or the zone skipped it altogether,
// as Pacific/Apia did in 2011.
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
	day   int64     // of the limit
	from  time.Time // where the due time found last has come from
	odd   []int64   // days between a target and its source of which the clocks say too little: see clocks
	known map[int64]clocks
}

// onto returns the first (or last) due time that has moved onto a day and is wanted. Each day that lies further back
// leaves fewer times of the clock from which something may have moved, and mostly none.
func (s *search) onto(date int64, wanted func(time.Time) bool, first bool) (best time.Time, found bool) {
	left := s.allowed(date)
	if !left.plain {
		left.windows = windows{{0, day}}
	}
	s.odd = s.odd[:0]
	asked := false
	for days := int64(1); days <= MaxMove && s.steps > 0; days++ {
		source := date + s.back()*days
		if !s.passable(source) {
			break
		}
		if own := s.allowed(source); own.plain {
			left.windows = left.windows.without(own.windows)
		}
		if len(left.windows) == 0 {
			break
		}
		if s.filter.On == DropIfTaken && !asked {
			if asked = true; s.taken(date) {
				return time.Time{}, false
			}
		}
		at, from, ok := s.fromDay(date, source, left, wanted, first)
		if ok && (!found || at.Before(best) == first) {
			best, found, s.from = at, true, from
		}
		if !s.allowed(source).plain {
			s.odd = append(s.odd, source)
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

// fromDay returns the first (or last) due time that has moved onto a day from another, and is wanted. A day on which
// the clocks change is gone through in two pieces: in each, due times are in the order of their local times.
func (s *search) fromDay(
	date, source int64, left clocks, wanted func(time.Time) bool, first bool,
) (best, from time.Time, found bool) {
	narrow := left.windows
	if date == s.day { // nothing is wanted that the clocks show before (or after) the limit
		clock, slack := wallOf(s.limit, s.filter.Location)-date*day, int64(0)
		if !left.plain {
			slack = mostShift
		}
		if first {
			narrow = narrow.without(windows{{0, clock - slack}})
		} else {
			narrow = narrow.without(windows{{clock + slack + 1, day}})
		}
	}
	for _, piece := range s.pieces(source) {
		own := true
		if gap, tells := s.Recurrence.(shifter); tells && piece.skipped > 0 {
			var walls iter.Seq[int64]
			walls, own = gap.Shifted(piece.begin)
			at, ok := s.fromGap(date, piece, walls, narrow, wanted, first)
			if ok && (!found || at.Before(best) == first) {
				best, from, found = at, piece.begin, true
			}
		}
		at, due, ok := s.fromPiece(date, piece, own, narrow, wanted, first)
		if ok && (!found || at.Before(best) == first) {
			best, from, found = at, due, true
		}
	}
	return best, from, found
}

// fromGap returns the first (or last) of the wall times that a piece skips as it begins, where it has moved to.
func (s *search) fromGap(
	date int64, p piece, walls iter.Seq[int64], left windows, wanted func(time.Time) bool, first bool,
) (best time.Time, found bool) {
	for wall := range walls {
		if s.steps--; s.steps <= 0 {
			break
		}
		clock := wall - floorDay(wall)*day
		if !left.has(clock) {
			continue
		}
		if at, moves := s.movesAt(p.begin, clock, date); moves && wanted(at) && (!found || at.Before(best) == first) {
			best, found = at, true
		}
	}
	return best, found
}

// mostShift is more than a change of the clocks shifts a time within its day, in seconds.
const mostShift = 4 * 3600

// piece is a day, or a part of one, on which the clocks do not change.
type piece struct {
	begin, end time.Time
	zero       int64 // when the clocks would show midnight, in seconds since 1970
	skipped    int64 // how many seconds the clocks skip as it begins
}

// shifter is a recurrence that tells which wall times are due at an instant because the zone skipped them. A due time
// moves at its own local time, not at the one to which the change of the clocks brought it.
type shifter interface {
	Shifted(at time.Time) (walls iter.Seq[int64], own bool)
}

// pieces returns the pieces of a day; a day that the zone skips has none.
func (s *search) pieces(date int64) (all []piece) {
	begin, end := s.beginning(date), s.beginning(date+1)
	for begin.Before(end) {
		_, offset := begin.In(s.filter.Location).Zone()
		until := end
		if _, change := begin.In(s.filter.Location).ZoneBounds(); !change.IsZero() && change.Before(end) {
			until = change
		}
		_, before := begin.Add(-1).In(s.filter.Location).Zone()
		p := piece{begin, until, date*day - int64(offset), int64(offset - before)}
		if begin.Unix()-p.zero < p.skipped { // what is skipped is of the day before
			p.skipped = 0
		}
		all = append(all, p)
		begin = until
	}
	return all
}

// fromPiece returns the first (or last) due time that has moved onto a day from a piece of another. It leaves out what
// is due as the piece begins, unless that is due for its own sake.
func (s *search) fromPiece(
	date int64, p piece, own bool, left windows, wanted func(time.Time) bool, first bool,
) (at, due time.Time, found bool) {
	ok, asked := true, false
	for i := range left {
		w := left[i]
		if !first {
			w = left[len(left)-1-i]
		}
		from, to := time.Unix(p.zero+w.from, 0), time.Unix(p.zero+w.to, 0)
		if from.Before(p.begin) {
			from = p.begin
		}
		if to.After(p.end) {
			to = p.end
		}
		if !from.Before(to) || asked && (first && !due.Before(to) || !first && due.Before(from)) {
			continue
		}
		step, begin := s.Recurrence.Next, from.Add(-1)
		if !first {
			step, begin = s.Recurrence.Prev, to
		}
		s.steps--
		for due, ok = step(begin); ok && !due.Before(from) && due.Before(to) && s.steps > 0; due, ok = step(due) {
			s.steps--
			if !own && due.Equal(p.begin) {
				continue
			}
			if at, moves := s.moves(due, date); moves && wanted(at) {
				return at, due, true
			}
		}
		if asked = true; !ok || s.steps <= 0 {
			break
		}
	}
	return time.Time{}, time.Time{}, false
}

// moves reports whether a due time moves onto a day, and when it is due there. Its clock is excluded on all days
// between but perhaps the odd ones.
func (s *search) moves(due time.Time, date int64) (at time.Time, ok bool) {
	wall := wallOf(due, s.filter.Location)
	return s.movesAt(due, wall-floorDay(wall)*day, date)
}

// movesAt is moves for a due time that the clocks would have shown at a certain time.
func (s *search) movesAt(due time.Time, clock, date int64) (at time.Time, ok bool) {
	if _, excluded := s.filter.Excluded(due); !excluded {
		return time.Time{}, false
	}
	nanoseconds := due.Nanosecond()
	for _, between := range s.odd {
		if _, allowed := s.shown(between, clock, nanoseconds); allowed {
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
