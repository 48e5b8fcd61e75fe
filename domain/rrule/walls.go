package rrule

import (
	"math/bits"
	"slices"
	"sort"
	"time"
)

// walls are the wall times that a rule yields. They implement cron.Walls.
type walls struct {
	pattern
	start  int64
	last   int64
	budget *int    // of steps, that all searches share; nil when each has its own
	picks  []int32 // the seconds of a period of a day or less that BYSETPOS chooses; nil when it says nothing
}

// most bounds the steps of one search, a step being a day or a period that is looked at: some 30 ms. A rule that names
// a month is looked for up to the year 9999.
const most = 500_000

// farthest is the end of the year 9999.
const farthest = 253_402_300_799

// Reach implements cron.Walls.
func (w *walls) Reach() int64 { return 2 * farthest }

// Cadence implements cron.Walls: it reports whether the rule follows the clock around, whatever the hour.
func (w *walls) Cadence() bool { return w.freq >= Hourly && w.hours == 1<<24-1 }

// NextWall implements cron.Walls.
func (w *walls) NextWall(from, limit int64) (int64, bool) {
	allowance := w.allowance(most)
	steps := allowance
	at, ok := w.next(from, limit, &steps)
	w.spend(allowance - steps)
	return at, ok
}

// allowance is how many steps a search may take that would take so many.
func (w *walls) allowance(steps int) int {
	if w.budget == nil {
		return steps
	}
	return max(0, min(steps, *w.budget))
}

func (w *walls) spend(steps int) {
	if w.budget != nil {
		*w.budget -= steps
	}
}

func (w *walls) next(from, limit int64, steps *int) (int64, bool) {
	end := w.last
	if limit < end-from {
		end = from + limit
	}
	from = max(from, w.start)
	if from > end {
		return 0, false
	}
	if len(w.positions) > 0 && w.freq < Daily {
		return w.byPosition(from, end, steps)
	}
	date, clock := from/day, from%day // no start is before 1970
	for date*day <= end && *steps > 0 {
		following := w.nextDate(date, steps)
		if following > date {
			date, clock = following, 0
			continue
		}
		*steps--
		if w.on(date) {
			if at, ok := w.nextClock(date, clock, steps); ok {
				at += date * day
				return at, at <= end
			}
		}
		date, clock = date+1, 0
	}
	return 0, false
}

// nextDate is the first date from the given one on that the interval and the months do not rule out, or an earlier one
// from which to ask again.
func (w *walls) nextDate(date int64, steps *int) int64 {
	*steps--
	at := time.Unix(date*day, 0).UTC()
	year, month := at.Year(), at.Month()
	began := time.Unix(w.start, 0).UTC()
	switch w.freq {
	case Yearly:
		if late := int64(year-began.Year()) % w.interval; late != 0 {
			return dateOf(year+int(w.interval-late), time.January, 1)
		}
	case Monthly:
		index := int64(year)*12 + int64(month) - 1
		if late := (index - int64(began.Year())*12 - int64(began.Month()) + 1) % w.interval; late != 0 {
			index += w.interval - late
			return dateOf(int(index/12), time.Month(index%12+1), 1)
		}
	case Weekly:
		begin := w.weekStart(date)
		if late := (begin - w.weekStart(w.start/day)) / 7 % w.interval; late != 0 {
			return begin + (w.interval-late)*7
		}
	case Daily:
		if late := (date - w.start/day) % w.interval; late != 0 {
			return date + w.interval - late
		}
	default:
		unit := w.unit()
		if first := w.aligned(date * day / unit); first*unit >= (date+1)*day {
			return first * unit / day
		}
	}
	if w.months != 0 && w.months&(1<<month) == 0 {
		return dateOf(year, month+1, 1)
	}
	return date
}

// unit is the length of a period of an hour or less.
func (w *walls) unit() int64 {
	switch w.freq {
	case Hourly:
		return 3600
	case Minutely:
		return 60
	}
	return 1
}

// aligned is the first period from the given one on that the interval does not leave out.
func (w *walls) aligned(period int64) int64 {
	if late := (period - w.start/w.unit()) % w.interval; late > 0 {
		return period + w.interval - late
	} else if late < 0 {
		return period - late
	}
	return period
}

// nextClock is the first matching second of a date, from the given one on.
func (w *walls) nextClock(date, clock int64, steps *int) (int64, bool) {
	if w.freq <= Daily {
		return w.within(clock)
	}
	unit := w.unit()
	tomorrow := (date + 1) * day / unit
	for period := w.aligned((date*day + clock) / unit); period < tomorrow && *steps > 0; *steps-- {
		at := period*unit - date*day
		switch {
		case w.hours&(1<<(at/3600)) == 0:
			period = w.aligned((date*day + (at/3600+1)*3600) / unit)
			continue
		case unit < 3600 && w.minutes&(1<<(at/60%60)) == 0:
			period = w.aligned((date*day + (at/60+1)*60) / unit)
			continue
		case unit < 60 && w.seconds&(1<<(at%60)) == 0:
			period = w.aligned(period + 1)
			continue
		}
		if second, ok := w.within(max(clock-at, 0)); ok && second < unit {
			return at + second, true
		}
		period = w.aligned(period + 1)
	}
	return 0, false
}

// within is the first matching second of a period of a day or less, from the given one on.
func (w *walls) within(second int64) (int64, bool) {
	if w.picks != nil {
		i := sort.Search(len(w.picks), func(i int) bool { return int64(w.picks[i]) >= second })
		if i == len(w.picks) {
			return 0, false
		}
		return int64(w.picks[i]), true
	}
	hours, minutes := uint64(w.hours), w.minutes
	switch w.freq {
	case Hourly:
		hours = 1
	case Minutely:
		hours, minutes = 1, 1
	case Secondly:
		return 0, second == 0
	}
	h, m, s := second/3600, second/60%60, second%60
	if hours>>h&1 != 0 {
		if minutes>>m&1 != 0 {
			if later := w.seconds >> s << s; later != 0 {
				return h*3600 + m*60 + int64(bits.TrailingZeros64(later)), true
			}
		}
		if later := minutes >> (m + 1) << (m + 1); later != 0 {
			return h*3600 + int64(bits.TrailingZeros64(later))*60 + int64(bits.TrailingZeros64(w.seconds)), true
		}
	}
	if later := hours >> (h + 1) << (h + 1); later != 0 {
		return int64(bits.TrailingZeros64(later))*3600 + int64(bits.TrailingZeros64(minutes))*60 + int64(bits.TrailingZeros64(w.seconds)), true
	}
	return 0, false
}

// byPosition looks at whole periods of days, and chooses of all times in each.
func (w *walls) byPosition(from, end int64, steps *int) (int64, bool) {
	a := uint64(w.hours)
	times := bits.OnesCount64(a) * bits.OnesCount64(w.minutes) * bits.OnesCount64(w.seconds)
	var dates []int64
	for first, next := w.period(from / day); first*day <= end && *steps > 0; first, next = w.period(next) {
		dates = dates[:0]
		for date := first; date < next; date++ {
			if *steps--; w.on(date) {
				dates = append(dates, date)
			}
		}
		best := int64(-1)
		*steps -= len(w.positions)
		for _, position := range w.positions {
			i := position - 1
			if position < 0 {
				i = len(dates)*times + position
			}
			if i < 0 || i >= len(dates)*times {
				continue
			}
			if at := dates[i/times]*day + w.timeAt(i%times); at >= from && (best < 0 || at < best) {
				best = at
			}
		}
		if best >= 0 {
			return best, best <= end
		}
	}
	return 0, false
}

// period is the first date of the period of a date, or of the next period that the interval does not leave out, and the
// first date after it.
func (w *walls) period(date int64) (first, next int64) {
	at := time.Unix(date*day, 0).UTC()
	began := time.Unix(w.start, 0).UTC()
	switch w.freq {
	case Yearly:
		year := at.Year()
		if late := int64(year-began.Year()) % w.interval; late != 0 {
			year += int(w.interval - late)
		}
		return dateOf(year, time.January, 1), dateOf(year+1, time.January, 1)
	case Monthly:
		index := int64(at.Year())*12 + int64(at.Month()) - 1
		if late := (index - int64(began.Year())*12 - int64(began.Month()) + 1) % w.interval; late != 0 {
			index += w.interval - late
		}
		return dateOf(int(index/12), time.Month(index%12+1), 1), dateOf(int((index+1)/12), time.Month((index+1)%12+1),
			1)
	}
	first = w.weekStart(date)
	if late := (first - w.weekStart(w.start/day)) / 7 % w.interval; late != 0 {
		first += (w.interval - late) * 7
	}
	return first, first + 7
}

// timeAt is the i-th time of a day.
func (w *walls) timeAt(i int) int64 {
	seconds, minutes := bits.OnesCount64(w.seconds), bits.OnesCount64(w.minutes)
	return nthBit(uint64(w.hours), i/(minutes*seconds))*3600 + nthBit(w.minutes, i/seconds%minutes)*60 + nthBit(w.seconds, i%seconds)
}

func nthBit(set uint64, n int) int64 {
	for ; n > 0; n-- {
		set &= set - 1
	}
	return int64(bits.TrailingZeros64(set))
}

// choose makes the picks of BYSETPOS where every period has the same times.
func (w *walls) choose() {
	if len(w.positions) == 0 || w.freq < Daily {
		return
	}
	all := *w
	all.positions = nil
	var times []int32
	for second := int64(0); ; second++ {
		at, ok := all.within(second)
		if !ok {
			break
		}
		times, second = append(times, int32(at)), at
	}
	w.picks = []int32{}
	for _, position := range w.positions {
		i := position - 1
		if position < 0 {
			i = len(times) + position
		}
		if i >= 0 && i < len(times) {
			w.picks = append(w.picks, times[i])
		}
	}
	slices.Sort(w.picks)
}
