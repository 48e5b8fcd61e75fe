package cron

import (
	"runtime"
	"sync"
	"time"
	"weak"
)

// The time package reads the rule of a zone anew for each question about a time after the last transition that its data
// lists, which takes longer than all the rest of Next. So the segments of a zone are walked through once, from 1970 to
// 2100; beyond those years each is asked for.

// tables has the segments of each location that was asked for, as long as somebody holds the location.
var tables sync.Map // weak.Pointer[time.Location] to []segment

func tableOf(location *time.Location) []segment {
	key := weak.Make(location)
	if table, ok := tables.Load(key); ok {
		return table.([]segment)
	}
	table := walk(location)
	if _, other := tables.LoadOrStore(key, table); !other {
		runtime.AddCleanup(location, func(key weak.Pointer[time.Location]) { tables.Delete(key) }, key)
	}
	return table
}

const y2100 = 4_102_444_800

// walk lists the segments from that of 1970 to that of 2100: each begins where the one before ends, with another
// offset.
func walk(location *time.Location) []segment {
	table := []segment{segmentAt(0, location)}
	for {
		last := &table[len(table)-1]
		if last.end > y2100 {
			return table
		}
		following := segmentAt(last.end, location)
		if following.offset == last.offset {
			last.end = following.end
			continue
		}
		following.start = last.end
		table = append(table, following)
	}
}

// segmentAt is the segment of an instant in the schedule's zone.
func (z *zoned) segmentAt(u int64) segment {
	low, high := 0, len(z.table)
	if u < z.table[0].start || u >= z.table[high-1].end {
		return segmentAt(u, z.location)
	}
	for high-low > 1 {
		if mid := (low + high) / 2; z.table[mid].start <= u {
			low = mid
		} else {
			high = mid
		}
	}
	return z.table[low]
}

// offsetBefore is the offset just before a segment.
func (z *zoned) offsetBefore(seg segment) int64 {
	if seg.start == never {
		return seg.offset
	}
	return z.segmentAt(seg.start - 1).offset
}
