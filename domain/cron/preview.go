package cron

import "time"

// MaxPreview bounds what Preview answers.
const MaxPreview = 1000

// Marks of a Due: what a change of the clocks does to it.
const (
	Moved    = "moved"    // its wall time lies in a gap, so it is due at the end of the gap
	Skipped  = "skipped"  // its wall time lies in a gap, and nothing is due: At is the end of the gap
	Repeated = "repeated" // its wall time is shown twice: Copy tells which showing this is
)

// Due is an entry of a preview.
type Due struct {
	At   time.Time // in the schedule's zone
	Mark string    // empty almost always
	Copy int       // 1 or 2, when repeated
	Wall string    // the first wall time that was moved or skipped, such as 2026-03-08T02:30:00
}

// IsDue is false of an entry that only tells of what is skipped.
func (d Due) IsDue() bool { return d.Mark != Skipped }

// Preview is the next n due times after the instant, n being 1 to MaxPreview, with marks where the clocks change.
// Before the due time that follows it there is one entry more for each gap that skips something; such entries are no
// due times and do not count. Nothing is previewed beyond the year 9999.
func Preview(s Schedule, after time.Time, n int) []Due {
	n = min(max(n, 1), MaxPreview)
	var entries []Due
	for range n {
		due, ok := s.Next(after)
		if !ok || due.Year() > 9999 {
			break
		}
		entries = append(entries, s.skipped(after.Unix(), due.Unix())...)
		entries = append(entries, s.mark(due))
		after = due
	}
	return entries
}

// skipped are the gaps that end in (after, until] and swallow wall times of the schedule.
func (s Schedule) skipped(after, until int64) (entries []Due) {
	for seg := s.segmentAt(after); seg.end <= until; {
		following := s.segmentAt(seg.end)
		if wall, moved, ok := s.inGap(seg, following); ok && !moved {
			entries = append(entries, Due{At: time.Unix(seg.end, 0).In(s.location), Mark: Skipped, Wall: wallText(wall)})
		}
		seg = following
	}
	return entries
}

func (s Schedule) mark(due time.Time) Due {
	u := due.Unix()
	seg := s.segmentAt(u)
	wall := u + seg.offset
	if u == seg.start {
		if first, moved, ok := s.inGap(s.segmentAt(u-1), seg); ok && moved {
			return Due{At: due, Mark: Moved, Wall: wallText(first)}
		}
	}
	switch {
	case wall < seg.start+s.offsetBefore(seg):
		return Due{At: due, Mark: Repeated, Copy: 2}
	case s.repeatedLater(seg, wall):
		return Due{At: due, Mark: Repeated, Copy: 1}
	}
	return Due{At: due}
}

// inGap is the first wall time of the schedule that the gap between two segments swallows, and whether it is due at
// the end of the gap instead.
func (s Schedule) inGap(before, after segment) (wall int64, moved, ok bool) {
	start, end := before.end+before.offset, before.end+after.offset
	if start >= end {
		return 0, false, false
	}
	wall, ok = s.spec.NextWall(start, end-start)
	return wall, s.runAfter && end-start <= correction, ok && wall < end
}

func wallText(wall int64) string { return time.Unix(wall, 0).UTC().Format("2006-01-02T15:04:05") }
