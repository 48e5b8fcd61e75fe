package cron

import "time"

// A segment is a stretch of time during which a zone keeps one offset: the instants in [start, end), in Unix seconds.
type segment struct {
	start, end int64
	offset     int64
}

const (
	ever  = 1<<62 - 1
	never = -ever
)

// segmentAt is the segment of an instant. time.Time.ZoneBounds gives it, but for two faults that are mended here: on
// 31 December of leap years after 2037 it may end a segment at or before the instant (golang/go#81583), and for zones
// without daylight saving it may start one after the instant (golang/go#58682).
func segmentAt(u int64, location *time.Location) segment {
	if location == time.UTC {
		return segment{never, ever, 0}
	}
	t := time.Unix(u, 0).In(location)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	s := segment{never, ever, int64(offset)}
	if !start.IsZero() && start.Unix() <= u {
		s.start = start.Unix()
	}
	if !end.IsZero() {
		s.end = end.Unix()
	}
	if s.end <= u {
		s.end = endAfter(u, location)
	}
	return s
}

// endAfter finds the end of the segment of u with the help of the day after next, for a day on which ZoneBounds fails.
func endAfter(u int64, location *time.Location) int64 {
	start, end := time.Unix(u+2*day, 0).In(location).ZoneBounds()
	if !start.IsZero() && start.Unix() > u {
		return start.Unix()
	}
	if !end.IsZero() && end.Unix() > u {
		return end.Unix()
	}
	return ever
}
