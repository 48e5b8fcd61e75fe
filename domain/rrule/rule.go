package rrule

import (
	"time"
)

// Freq is how often a rule begins a new period.
type Freq int

// Frequencies, from the longest period to the shortest.
const (
	Yearly Freq = iota
	Monthly
	Weekly
	Daily
	Hourly
	Minutely
	Secondly
)

var freqs = []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

// Rule is a parsed recurrence. It is not changed once it is parsed.
type Rule struct {
	pattern  pattern
	hasRule  bool
	start    *moment
	zone     string
	rdates   []moment
	exdates  []moment
	untilAt  time.Time // an UNTIL in UTC
	untilSet bool
}

// moment is a time as it is written: on the wall, or an instant (which ends with Z).
type moment struct {
	wall int64 // seconds since 1970 of the wall; of UTC when utc
	utc  bool
}

// Zone is the name in TZID, or UTC when DTSTART ends with Z; empty when the text names none.
func (r Rule) Zone() string { return r.zone }

// HasStart reports whether there is a DTSTART.
func (r Rule) HasStart() bool { return r.start != nil }

// StartAt returns the DTSTART of a rule that has none and begins at an instant, as it stands on the wall. Where COUNT
// would count that instant itself, which has passed by the time that anybody looks, it is the first time behind it:
// what follows is the same.
func (r Rule) StartAt(at time.Time, location *time.Location) time.Time {
	local := at.In(location)
	_, offset := local.Zone()
	begin := at.Unix() + int64(offset)
	if r.pattern.count == 0 {
		return time.Unix(begin, 0).UTC()
	}
	w := &walls{pattern: r.pattern.filled(begin), start: begin, last: farthest}
	if r.pattern.hasUntil {
		w.last = r.pattern.until
	}
	w.choose()
	if first, ok := w.NextWall(begin, 2*farthest); ok && first == begin {
		if second, ok := w.NextWall(begin+1, 2*farthest); ok {
			begin = second
		}
	}
	return time.Unix(begin, 0).UTC()
}

// pattern is what RRULE says, in sets.
type pattern struct {
	freq     Freq
	interval int64
	count    int
	until    int64 // on the wall; 0 is none
	hasUntil bool
	wkst     int // 0 is Sunday

	months        uint16 // bit 1 is January; 0 is any
	monthDays     uint32 // bit n is day n
	monthDaysBack uint32 // bit n is the n-th from the end
	yearDays      []int
	weeks         []int
	weekdays      uint8      // bit 0 is Sunday
	numbered      []numbered // 2MO, -1FR
	hours         uint32
	minutes       uint64
	seconds       uint64
	positions     []int
}

type numbered struct{ n, weekday int }

// filled is the pattern with what DTSTART fills in.
func (p pattern) filled(start int64) pattern {
	at := time.Unix(start, 0).UTC()
	if p.monthDays|p.monthDaysBack == 0 && len(p.yearDays)+len(p.weeks)+len(p.numbered) == 0 && p.weekdays == 0 {
		switch p.freq {
		case Yearly:
			if p.months == 0 {
				p.months = 1 << at.Month()
			}
			p.monthDays = 1 << at.Day()
		case Monthly:
			p.monthDays = 1 << at.Day()
		case Weekly:
			p.weekdays = 1 << at.Weekday()
		}
	}
	p.hours = uint32(orAll(uint64(p.hours), p.freq < Hourly, at.Hour(), 24))
	p.minutes = orAll(p.minutes, p.freq < Minutely, at.Minute(), 60)
	p.seconds = orAll(p.seconds, p.freq < Secondly, at.Second(), 60)
	return p
}

// orAll is a set, or when it is empty the value of DTSTART, or every value.
func orAll(set uint64, single bool, value, size int) uint64 {
	switch {
	case set != 0:
		return set
	case single:
		return 1 << value
	}
	return 1<<size - 1
}

// on reports whether the filters for the day allow a date.
func (p *pattern) on(date int64) bool {
	at := time.Unix(date*day, 0).UTC()
	year, month, dom := at.Date()
	if p.months != 0 && p.months&(1<<month) == 0 {
		return false
	}
	length := daysIn(year, month)
	if p.monthDays|p.monthDaysBack != 0 && p.monthDays&(1<<dom) == 0 && p.monthDaysBack&(1<<(length-dom+1)) == 0 {
		return false
	}
	weekday := int(at.Weekday())
	if p.weekdays != 0 || len(p.numbered) > 0 {
		if p.weekdays&(1<<weekday) == 0 && !p.nth(weekday, year, month, dom, length, at.YearDay()) {
			return false
		}
	}
	if len(p.yearDays) > 0 && !among(p.yearDays, at.YearDay(), at.YearDay()-yearLength(year)-1) {
		return false
	}
	if len(p.weeks) > 0 {
		week, weeks := p.week(date)
		if !among(p.weeks, week, week-weeks-1) {
			return false
		}
	}
	return true
}

// nth reports whether a day is one that BYDAY numbers, within its month or its year.
func (p *pattern) nth(weekday, year int, month time.Month, dom, length, yearDay int) bool {
	of, size := yearDay, yearLength(year)
	if p.freq == Monthly || p.months != 0 {
		of, size = dom, length
	}
	for _, d := range p.numbered {
		if d.weekday == weekday && (d.n == (of-1)/7+1 || d.n == -((size-of)/7+1)) {
			return true
		}
	}
	return false
}

// week is the number of the week of a date, and how many weeks its year has. The first week of a year is the first that
// has four days in it.
func (p *pattern) week(date int64) (week, weeks int) {
	begin := p.weekStart(date)
	year := time.Unix((begin+3)*day, 0).UTC().Year()
	first := p.weekStart(dateOf(year, time.January, 4))
	return int((begin-first)/7) + 1, int((p.weekStart(dateOf(year+1, time.January, 4)) - first) / 7)
}

// weekStart is the first day of the week of a date.
func (p *pattern) weekStart(date int64) int64 {
	return date - (weekday(date)-int64(p.wkst)+7)%7
}

func among(list []int, a, b int) bool {
	for _, v := range list {
		if v == a || v == b {
			return true
		}
	}
	return false
}

const day = 86_400

// weekday of a day since 1970-01-01, which was a Thursday; 0 is Sunday.
func weekday(date int64) int64 { return ((date+4)%7 + 7) % 7 }

func dateOf(year int, month time.Month, dom int) int64 {
	return time.Date(year, month, dom, 0, 0, 0, 0, time.UTC).Unix() / day
}

func daysIn(year int, month time.Month) int {
	if month == time.February {
		return yearLength(year) - 337
	}
	return 30 + int(month+month>>3)&1
}

func yearLength(year int) int {
	if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		return 366
	}
	return 365
}
