package cron

import (
	"iter"
	"time"
)

// GapPolicy says what becomes of a wall time that a zone skips.
type GapPolicy string

const (
	GapAuto     GapPolicy = "auto"      // run_after for fixed times, skip for a cadence (every hour of the day)
	GapRunAfter GapPolicy = "run_after" // due once, at the first instant after the gap
	GapSkip     GapPolicy = "skip"
)

// OverlapPolicy says what becomes of a wall time that a zone repeats.
type OverlapPolicy string

const (
	OverlapAuto   OverlapPolicy = "auto" // first for fixed times, both for a cadence
	OverlapFirst  OverlapPolicy = "first"
	OverlapSecond OverlapPolicy = "second"
	OverlapBoth   OverlapPolicy = "both"
)

// Horizon is how far ahead a due time is looked for. An expression with a year is looked for up to its last year.
const Horizon = 40 * 366 * 24 * time.Hour

// horizon is Horizon in seconds; farthest is how far from 1970 anything is looked for, some 34,000 years, so that no
// sum overflows.
const (
	horizon  = int64(Horizon / time.Second)
	farthest = 1 << 40
)

// reach is how far, in seconds, a due time is looked for. Years end by themselves, however far they are.
func (s *Spec) reach() int64 {
	if s.years != nil {
		return 2 * farthest
	}
	return horizon
}

// correction is the size of a jump, in seconds, above which what it skips never existed: a change of the date line, not
// daylight saving.
const correction = 3 * hour

// Schedule is a Spec in a zone. It is immutable, and small enough to copy.
type Schedule struct {
	spec     *Spec
	location *time.Location
	table    []segment // of the location
	runAfter bool
	overlap  OverlapPolicy // never auto
}

// In binds a spec to a zone. An empty policy is auto.
func (s Spec) In(location *time.Location, gap GapPolicy, overlap OverlapPolicy) Schedule {
	cadence := s.cadence()
	if overlap == "" || overlap == OverlapAuto {
		overlap = OverlapFirst
		if cadence {
			overlap = OverlapBoth
		}
	}
	runAfter := gap == GapRunAfter || (gap == "" || gap == GapAuto) && !cadence
	return Schedule{&s, location, tableOf(location), runAfter, overlap}
}

// Spec is what the schedule was made of.
func (s Schedule) Spec() Spec { return *s.spec }

// Next is the first due time after the instant, in the schedule's zone; false when there is none within Horizon.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	u, ok := s.next(after.Unix())
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(u, 0).In(s.location), true
}

// Prev is the last due time before the instant; false when there is none within Horizon.
func (s Schedule) Prev(before time.Time) (time.Time, bool) {
	end := before.Unix()
	if before.Nanosecond() > 0 {
		end++ // due times are whole seconds
	}
	// Next rises with its argument, so the last due time before end is Next of the greatest u for which it is before
	// end. Gallop back until there is one, then bisect.
	reach := s.spec.reach()
	for back := int64(60); ; back *= 8 {
		back = min(back, reach)
		if due, ok := s.next(max(end-back, -farthest)); ok && due < end {
			return time.Unix(s.latest(due, end), 0).In(s.location), true
		}
		if back == reach {
			return time.Time{}, false
		}
	}
}

// latest is the last due time before end, given an earlier or equal one. From low on, due times before end may follow;
// from high on, none does. A due time may follow low by one second, so low itself is asked too.
func (s Schedule) latest(due, end int64) int64 {
	for low, high := due, end; low < high; {
		mid := low + (high-low)/2
		if next, ok := s.next(mid); ok && next < end {
			due, low = next, next
		} else {
			high = mid
		}
	}
	return due
}

// Between are the due times in (after, until].
func (s Schedule) Between(after, until time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for due, ok := s.Next(after); ok && !due.After(until); due, ok = s.Next(due) {
			if !yield(due) {
				return
			}
		}
	}
}

// next works on Unix seconds. It looks for the next matching wall time, then asks whether, and when, the zone shows it.
// Every turn of the loop moves to a later segment, and no segment is looked at twice.
func (s Schedule) next(after int64) (int64, bool) {
	if s.spec.months == 0 || after < -farthest || after > farthest {
		return 0, false
	}
	limit := after + s.spec.reach()
	seg := s.segmentAt(after)
	from := s.afterRepeated(seg, after+1+seg.offset)
	for {
		wall, ok := s.spec.nextWall(from, limit+seg.offset-from)
		if !ok || wall-seg.offset > limit {
			return 0, false
		}
		if wall-seg.offset < seg.end {
			if due := wall - seg.offset; s.overlap != OverlapSecond || !s.repeatedLater(seg, wall) {
				return due, true
			}
		}
		if seg.end == ever {
			return 0, false
		}
		if far := wall - seg.offset - 2*day; far > seg.end && from-seg.offset < seg.end-2*day {
			// Nothing matches before wall, and the end of this segment repeats nothing from before from: no need to
			// visit the segments on the way.
			seg = s.segmentAt(far)
			from = s.afterRepeated(seg, far+seg.offset)
			continue
		}
		following := s.segmentAt(seg.end)
		gapStart, gapEnd := seg.end+seg.offset, seg.end+following.offset
		if wall >= gapStart && wall < gapEnd && s.runAfter && gapEnd-gapStart <= correction {
			return seg.end, true
		}
		seg, from = following, s.afterRepeated(following, gapEnd)
	}
}

// afterRepeated moves a wall time of the segment past those that the segment before has shown already, when only the
// first showing counts.
func (s Schedule) afterRepeated(seg segment, wall int64) int64 {
	if s.overlap != OverlapFirst || wall-seg.offset > seg.start+2*day {
		return wall
	}
	return max(wall, seg.start+s.offsetBefore(seg))
}

// repeatedLater tells whether the segment after this one shows the wall time again.
func (s Schedule) repeatedLater(seg segment, wall int64) bool {
	if seg.end == ever || wall-seg.offset < seg.end-2*day {
		return false
	}
	return wall >= seg.end+s.segmentAt(seg.end).offset
}

// ResolveLocal gives the instant of a wall time (whose own zone is not looked at); false when the zone skips it and gap
// says so, or when a jump of more than three hours means that it never existed. Of a repeated time it gives the first
// showing, unless overlap says second.
func ResolveLocal(wall time.Time, location *time.Location, gap GapPolicy, overlap OverlapPolicy) (time.Time, bool) {
	_, shift := wall.Zone()
	target := wall.Unix() + int64(shift)
	seg := segmentAt(target-2*day, location)
	for target-seg.offset >= seg.end {
		following := segmentAt(seg.end, location)
		if gapEnd := seg.end + following.offset; target < gapEnd {
			skipped := gap == GapSkip || gapEnd-seg.end-seg.offset > correction
			return time.Unix(seg.end, 0).In(location), !skipped
		}
		seg = following
	}
	u := target - seg.offset
	if overlap == OverlapSecond && seg.end != ever {
		if again := target - segmentAt(seg.end, location).offset; again >= seg.end {
			u = again
		}
	}
	return time.Unix(u, 0).In(location).Add(time.Duration(wall.Nanosecond())), true
}
