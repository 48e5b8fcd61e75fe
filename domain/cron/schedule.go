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

// Reach implements Walls. Years end by themselves, however far they are.
func (s *Spec) Reach() int64 {
	if s.years != nil {
		return 2 * farthest
	}
	return horizon
}

// Cadence implements Walls: it reports whether the hour does not matter.
func (s *Spec) Cadence() bool { return s.cadence() }

// correction is the size of a jump, in seconds, above which what it skips never existed: a change of the date line, not
// daylight saving.
const correction = 3 * hour

// Schedule is a Spec in a zone. It is immutable, and small enough to copy.
type Schedule struct {
	spec *Spec
	zoned
}

// Walls are wall times that recur, whatever rule yields them: seconds since 1970-01-01 00:00:00 of a clock on a wall.
type Walls interface {
	// NextWall is the first from the given one on, up to limit seconds later.
	NextWall(from, limit int64) (int64, bool)
	// Reach is how far, in seconds, to look for one.
	Reach() int64
	// Cadence reports whether they follow real time through a change of the clocks, when the policies say auto.
	Cadence() bool
}

// Local is when walls are shown in a zone, by the same rules as a Schedule.
type Local struct {
	walls Walls
	zoned
}

// Resolve binds walls to a zone. An empty policy is auto.
func Resolve(walls Walls, location *time.Location, gap GapPolicy, overlap OverlapPolicy) Local {
	return Local{walls, bindZone(location, gap, overlap, walls.Cadence())}
}

// Next is the first instant later than the given one.
func (l Local) Next(after time.Time) (time.Time, bool) { return l.zoned.nextTime(l.walls, after) }

// Prev is the last instant before the given one.
func (l Local) Prev(before time.Time) (time.Time, bool) { return l.prevTime(l.walls, before) }

// zoned is a zone with the policies by which its changes of clocks are met.
type zoned struct {
	location *time.Location
	table    []segment // of the location
	runAfter bool
	overlap  OverlapPolicy // never auto
}

// In binds a spec to a zone. An empty policy is auto.
func (s Spec) In(location *time.Location, gap GapPolicy, overlap OverlapPolicy) Schedule {
	return Schedule{&s, bindZone(location, gap, overlap, s.cadence())}
}

func bindZone(location *time.Location, gap GapPolicy, overlap OverlapPolicy, cadence bool) zoned {
	if overlap == "" || overlap == OverlapAuto {
		overlap = OverlapFirst
		if cadence {
			overlap = OverlapBoth
		}
	}
	runAfter := gap == GapRunAfter || (gap == "" || gap == GapAuto) && !cadence
	return zoned{location, tableOf(location), runAfter, overlap}
}

// Spec is what the schedule was made of.
func (s Schedule) Spec() Spec { return *s.spec }

// Next is the first due time after the instant, in the schedule's zone; false when there is none within Horizon.
func (s Schedule) Next(after time.Time) (time.Time, bool) { return s.nextTime(s.spec, after) }

// Prev is the last due time before the instant; false when there is none within Horizon.
func (s Schedule) Prev(before time.Time) (time.Time, bool) { return s.prevTime(s.spec, before) }

func (z *zoned) nextTime(w Walls, after time.Time) (time.Time, bool) {
	u, ok := z.next(w, after.Unix())
	if !ok {
		return time.Time{}, false
	}
	return time.Unix(u, 0).In(z.location), true
}

func (z *zoned) prevTime(w Walls, before time.Time) (time.Time, bool) {
	end := before.Unix()
	if before.Nanosecond() > 0 {
		end++ // due times are whole seconds
	}
	// Next rises with its argument, so the last due time before end is Next of the greatest u for which it is before
	// end. Gallop back until there is one, then bisect.
	reach := w.Reach()
	for back := int64(60); ; back *= 8 {
		back = min(back, reach)
		if due, ok := z.next(w, max(end-back, -farthest)); ok && due < end {
			return time.Unix(z.latest(w, due, end), 0).In(z.location), true
		}
		if back == reach {
			return time.Time{}, false
		}
	}
}

// latest is the last due time before end, given an earlier or equal one. From low on, due times before end may follow;
// from high on, none does. A due time may follow low by one second, so low itself is asked too.
func (z *zoned) latest(w Walls, due, end int64) int64 {
	for low, high := due, end; low < high; {
		mid := low + (high-low)/2
		if next, ok := z.next(w, mid); ok && next < end {
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
func (z *zoned) next(w Walls, after int64) (int64, bool) {
	if after < -farthest || after > farthest {
		return 0, false
	}
	limit := after + w.Reach()
	seg := z.segmentAt(after)
	from := z.afterRepeated(seg, after+1+seg.offset)
	for {
		wall, ok := w.NextWall(from, limit+seg.offset-from)
		if ok = ok && wall-seg.offset <= limit; !ok && !z.repeatsBefore(seg, from) {
			return 0, false
		}
		if ok && wall-seg.offset < seg.end {
			if due := wall - seg.offset; z.overlap != OverlapSecond || !z.repeatedLater(seg, wall) {
				return due, true
			}
		}
		if seg.end == ever {
			return 0, false
		}
		if far := wall - seg.offset - 2*day; ok && far > seg.end && from-seg.offset < seg.end-2*day {
			// Nothing matches before wall, and the end of this segment repeats nothing from before from: no need to
			// visit the segments on the way.
			seg = z.segmentAt(far)
			from = z.afterRepeated(seg, far+seg.offset)
			continue
		}
		following := z.segmentAt(seg.end)
		gapStart, gapEnd := seg.end+seg.offset, seg.end+following.offset
		if ok && wall >= gapStart && wall < gapEnd && z.runAfter && gapEnd-gapStart <= correction {
			return seg.end, true
		}
		seg, from = following, z.afterRepeated(following, gapEnd)
	}
}

// Shifted returns what is due at an instant because the zone skipped the wall times of it: those times, in order, as
// seconds since 1970 of a clock in UTC. It also reports whether the wall time of the instant itself is due.
func (s Schedule) Shifted(at time.Time) (walls iter.Seq[int64], own bool) {
	return s.shifted(s.spec, at.Unix())
}

// Shifted is Schedule.Shifted.
func (l Local) Shifted(at time.Time) (walls iter.Seq[int64], own bool) {
	return l.shifted(l.walls, at.Unix())
}

func (z *zoned) shifted(w Walls, at int64) (walls iter.Seq[int64], own bool) {
	seg := z.segmentAt(at)
	gapStart, gapEnd := at+z.offsetBefore(seg), at+seg.offset
	if at != seg.start || gapStart >= gapEnd || gapEnd-gapStart > correction || !z.runAfter {
		return func(func(int64) bool) {}, true
	}
	wall, ok := w.NextWall(gapEnd, 0)
	return func(yield func(int64) bool) {
		wall, ok := w.NextWall(gapStart, gapEnd-gapStart)
		for ok && wall < gapEnd && yield(wall) {
			wall, ok = w.NextWall(wall+1, gapEnd-wall)
		}
	}, ok && wall == gapEnd
}

// afterRepeated moves a wall time of the segment past those that the segment before has shown already, when only the
// first showing counts.
func (z *zoned) afterRepeated(seg segment, wall int64) int64 {
	if z.overlap != OverlapFirst || wall-seg.offset > seg.start+2*day {
		return wall
	}
	return max(wall, seg.start+z.offsetBefore(seg))
}

// repeatsBefore reports whether the segment after this one shows wall times before the given one again, and they count
// there. The last wall time of all may be among them.
func (z *zoned) repeatsBefore(seg segment, wall int64) bool {
	return z.overlap != OverlapFirst && z.repeatedLater(seg, wall-1)
}

// repeatedLater reports whether the segment after this one shows the wall time again.
func (z *zoned) repeatedLater(seg segment, wall int64) bool {
	if seg.end == ever || wall-seg.offset < seg.end-2*day {
		return false
	}
	return wall >= seg.end+z.segmentAt(seg.end).offset
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
