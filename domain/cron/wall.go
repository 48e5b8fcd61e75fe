package cron

import "math/bits"

// A wall time is what a clock on the wall shows, as seconds since 1970-01-01 00:00:00 of that wall. All of this file is
// calendar arithmetic without zones.

const (
	hour = 3600
	day  = 24 * hour
)

// NextWall implements Walls. The zero Spec has none.
func (s *Spec) NextWall(from, limit int64) (int64, bool) {
	if s.months == 0 {
		return 0, false
	}
	date, clock := floorDiv(from, day), from-floorDiv(from, day)*day
	year, month, dom := civil(date)
	if s.inMonth(year, month) && s.days.mask(length(year, month), weekday(date-int64(dom)+1))&(1<<dom) != 0 {
		if c, ok := s.nextClock(int(clock)); ok {
			return date*day + int64(c), true
		}
	}
	first, _ := s.nextClock(0)
	for dom++; date*day <= from+limit; dom = 1 {
		// date is the first of the month that is looked at, less one, plus dom.
		monthStart := days1970(year, month)
		if s.inMonth(year, month) {
			rest := s.days.mask(length(year, month), weekday(monthStart)) >> dom << dom
			if rest != 0 {
				return (monthStart+int64(bits.TrailingZeros32(rest))-1)*day + int64(first), true
			}
		}
		year, month = s.nextMonth(year, month)
		date = days1970(year, month)
	}
	return 0, false
}

// inMonth reports whether the spec may be due in a month.
func (s *Spec) inMonth(year, month int) bool {
	return s.months&(1<<month) != 0 && (s.years == nil || s.years.has(year))
}

// nextMonth is the first month after the given one in which the spec may be due.
func (s *Spec) nextMonth(year, month int) (int, int) {
	if later := s.months >> (month + 1) << (month + 1); later != 0 && (s.years == nil || s.years.has(year)) {
		return year, bits.TrailingZeros16(later)
	}
	year++
	if s.years != nil {
		year = s.years.from(year)
	}
	return year, bits.TrailingZeros16(s.months)
}

// nextClock is the first matching second of the day from the given one on.
func (s *Spec) nextClock(clock int) (int, bool) {
	h, m, sec := clock/hour, clock/60%60, clock%60
	if s.hours&(1<<h) != 0 {
		if s.minutes&(1<<m) != 0 {
			if later := s.seconds >> sec << sec; later != 0 {
				return h*hour + m*60 + bits.TrailingZeros64(later), true
			}
		}
		if later := s.minutes >> (m + 1) << (m + 1); later != 0 {
			return h*hour + bits.TrailingZeros64(later)*60 + bits.TrailingZeros64(s.seconds), true
		}
	}
	if later := s.hours >> (h + 1) << (h + 1); later != 0 {
		return bits.TrailingZeros32(later)*hour + bits.TrailingZeros64(s.minutes)*60 + bits.TrailingZeros64(s.seconds), true
	}
	return 0, false
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// weekday of a day since 1970-01-01, which was a Thursday; 0 is Sunday.
func weekday(date int64) int { return int(((date+4)%7 + 7) % 7) }

func length(year, month int) int {
	if month == 2 {
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 30 + (month+month>>3)&1
}

// civil and days1970 turn days since 1970-01-01 into year, month, day and back, in the proleptic Gregorian calendar.
// The algorithm counts in eras of 400 years that begin in March (Howard Hinnant, "chrono-Compatible Low-Level Date
// Algorithms").
func civil(date int64) (year, month, dom int) {
	date += 719468
	era := floorDiv(date, 146097)
	doe := date - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	dom = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	year = int(yoe + era*400)
	if month > 12 {
		month, year = month-12, year+1
	}
	return year, month, dom
}

// days1970 is the day of the first of a month.
func days1970(year, month int) int64 {
	y, mp := int64(year), int64(month-3)
	if month <= 2 {
		y, mp = y-1, int64(month+9)
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doe := yoe*365 + yoe/4 - yoe/100 + (153*mp+2)/5
	return era*146097 + doe - 719468
}
