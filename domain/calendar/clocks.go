package calendar

import (
	"cmp"
	"slices"
)

// window is a stretch of a day: times that the clocks show, in seconds, from one to just before another.
type window struct{ from, to int64 }

// windows are in order, and do not overlap.
type windows []window

// clocks are the times of a day that are allowed. Of a day on which the clocks change, nothing is said: it is not
// plain.
type clocks struct {
	windows
	plain bool
}

// has reports whether a time of a day is in one of the windows.
func (all windows) has(clock int64) bool {
	return slices.ContainsFunc(all, func(w window) bool { return w.from <= clock && clock < w.to })
}

// without returns what others leave of windows.
func (all windows) without(others windows) (left windows) {
	for _, w := range all {
		for _, o := range others {
			if o.to <= w.from || o.from >= o.to {
				continue
			}
			if o.from >= w.to {
				break
			}
			if o.from > w.from {
				left = append(left, window{w.from, o.from})
			}
			w.from = o.to
		}
		if w.from < w.to {
			left = append(left, w)
		}
	}
	return left
}

// allowed returns the times of a day that are allowed.
func (s *search) allowed(date int64) clocks {
	if c, known := s.known[date]; known {
		return c
	}
	s.steps--
	c := clocks{}
	if begin, end := s.beginning(date), s.beginning(date+1); end.Unix()-begin.Unix() == day {
		_, offset := begin.Zone()
		c.plain = true
		held := s.held(date, int64(offset))
		if c.windows = held; !s.filter.Only {
			c.windows = windows{{0, day}}.without(held)
		}
	}
	if s.known == nil {
		s.known = map[int64]clocks{}
	}
	s.known[date] = c
	return c
}

// held returns the times of a day that the sets hold.
func (s *search) held(date, offset int64) (held windows) {
	add := func(all spans, shift int64) {
		from, to := date*day-shift, (date+1)*day-shift
		for i := all.next(from); i < len(all) && all[i].from < to; i++ {
			held = append(held, window{max(all[i].from-from, 0), min(all[i].to-from, day)})
		}
	}
	for _, set := range s.filter.Sets {
		add(set.wall, 0)
		add(set.fixed, offset)
	}
	s.steps -= len(held) / 8
	slices.SortFunc(held, func(a, b window) int { return cmp.Compare(a.from, b.from) })
	apart := held[:0]
	for _, w := range held {
		if n := len(apart); n > 0 && w.from <= apart[n-1].to {
			apart[n-1].to = max(apart[n-1].to, w.to)
			continue
		}
		apart = append(apart, w)
	}
	return apart
}
