package cron

import (
	"math/bits"
	"strings"
	"time"
)

// Dialect is whose expressions are read: which fields they have, how days of the week are numbered, and how the two day
// fields go together.
type Dialect string

const (
	// Celery demands both: "0 0 13 * 5" is Friday the 13th. It is the default.
	Celery Dialect = "celery"
	// Vixie takes either: "0 0 13 * 5" is every 13th and every Friday. A day field that begins with * counts as
	// unrestricted, as in Vixie's own cron, so "*/2" is ANDed.
	Vixie Dialect = "vixie"
	// Quartz has six fields, the first of them seconds, and may have a seventh, the year. 1 is Sunday. One of the day
	// fields is ?, so the other alone decides.
	Quartz Dialect = "quartz"
	// AWS is Amazon EventBridge's: cron(...) with five fields and a year, day fields as in Quartz; rate(5 minutes) is
	// an interval, and at(2026-11-20T13:00:00) a local time.
	AWS Dialect = "aws"
)

// Dialects are those that Parse knows, the first of them by default.
var Dialects = []Dialect{Celery, Vixie, Quartz, AWS}

// strict is a dialect in which one day field is ?, 1 is Sunday, and a year may follow.
func (d Dialect) strict() bool { return d == Quartz || d == AWS }

// Options say how an expression is read.
type Options struct {
	Dialect Dialect
	Seconds bool // six fields, the first of them seconds; Quartz has them anyway, AWS never
}

// Warning is something that is allowed but may surprise.
type Warning struct{ Code, Message string }

// Spec is a parsed expression. The zero Spec is due never.
type Spec struct {
	seconds, minutes uint64
	hours            uint32
	months           uint16 // bit 1 is January
	days             days
	text             [6]string // canonical, from seconds to day of week
	form             form
	every            time.Duration
	years            *yearSet // nil: every year
	rare             *rare    // nil almost always
	warnings         []Warning
}

// form is how the fields are written.
type form uint8

const (
	fiveFields form = iota
	sixFields
	quartzForm
	awsForm
)

// rare is what few expressions have.
type rare struct {
	zone string
	year string // canonical
	said string // the canonical form of what is no list of fields
	at   string // a local time
}

func (s *Spec) unusual() *rare {
	if s.rare == nil {
		s.rare = &rare{}
	}
	return s.rare
}

// days are the rules for the day of a date.
type days struct {
	ofMonth   uint32   // bit 1 is the first
	last      uint32   // bit n is L-n, bit 0 is L
	nearest   uint32   // bit n is nW
	nearLast  uint32   // bit n is L-nW, bit 0 is LW
	ofWeek    uint8    // bit 0 is Sunday
	nth       [7]uint8 // nth[5] bit 3 is 5#3
	lastDOW   uint8    // bit 5 is 5L
	either    bool     // OR, rather than AND
	allMonth  bool     // the day of month is *
	allOfWeek bool     // the day of week is *
}

// String is the canonical form: numbers instead of names, * instead of ? (but not in the dialects that need one), 0
// instead of 7. It parses to an equal Spec.
func (s Spec) String() string {
	switch {
	case s.rare != nil && s.rare.said != "":
		return s.rare.said
	case s.every > 0:
		return "@every " + s.every.String()
	}
	fields := s.text[1:]
	if s.form == sixFields || s.form == quartzForm {
		fields = s.text[:]
	}
	text := strings.Join(fields, " ")
	if s.rare != nil && s.rare.year != "" {
		text += " " + s.rare.year
	}
	if s.form == awsForm {
		text = "cron(" + text + ")"
	}
	return text
}

// Every is the interval of "@every 90s" or "rate(5 minutes)"; such a Spec has no due times of its own, because its
// phase is not in it.
func (s Spec) Every() (time.Duration, bool) { return s.every, s.every > 0 }

// At is the local time of "at(2026-11-20T13:00:00)"; such a Spec has no due times of its own, because its zone is not
// in it.
func (s Spec) At() (string, bool) {
	if s.rare == nil {
		return "", false
	}
	return s.rare.at, s.rare.at != ""
}

// HasYears reports whether the expression names years, after the last of which it is due no more.
func (s Spec) HasYears() bool { return s.years != nil }

// Zone is the name in a TZ= or CRON_TZ= prefix, or empty.
func (s Spec) Zone() string {
	if s.rare == nil {
		return ""
	}
	return s.rare.zone
}

// Warnings are what may surprise in the expression.
func (s Spec) Warnings() []Warning { return s.warnings }

// cadence reports whether the hour does not matter: such a schedule follows real time through daylight saving.
func (s *Spec) cadence() bool { return s.hours == 1<<24-1 }

// mask returns the days of a month (bit 1 is the first) on which the spec is due. The month has length days, and its
// first is the given day of the week.
func (d *days) mask(length, first int) uint32 {
	all := uint32(1)<<(length+1) - 2
	if d.allMonth && d.allOfWeek {
		return all
	}
	month, week := all, all
	if !d.allMonth {
		month = d.byMonth(length, first)
	}
	if !d.allOfWeek {
		week = d.byWeek(length, first)
	}
	if d.either {
		return (month | week) & all
	}
	return month & week & all
}

func (d *days) byMonth(length, first int) uint32 {
	m := d.ofMonth
	for rest := d.last; rest != 0; rest &= rest - 1 {
		if n := bits.TrailingZeros32(rest); n < length {
			m |= 1 << (length - n)
		}
	}
	for rest := d.nearLast; rest != 0; rest &= rest - 1 {
		if n := bits.TrailingZeros32(rest); n < length {
			m |= 1 << nearestWeekday(length-n, length, first)
		}
	}
	for rest := d.nearest; rest != 0; rest &= rest - 1 {
		if day := bits.TrailingZeros32(rest); day <= length {
			m |= 1 << nearestWeekday(day, length, first)
		}
	}
	return m
}

// nearestWeekday is the day from Monday to Friday that is nearest to day, within the month.
func nearestWeekday(day, length, first int) int {
	switch (first + day - 1) % 7 {
	case 6: // Saturday
		if day == 1 {
			return 3
		}
		return day - 1
	case 0: // Sunday
		if day == length {
			return day - 2
		}
		return day + 1
	}
	return day
}

// everyWeek has a bit for every seventh day, the first of them day 0.
const everyWeek = 1 | 1<<7 | 1<<14 | 1<<21 | 1<<28

func (d *days) byWeek(length, first int) uint32 {
	var m uint32
	for weekday := range 7 {
		day := 1 + (weekday-first+7)%7
		occurrences := uint32(uint64(everyWeek) << day)
		if d.ofWeek&(1<<weekday) != 0 {
			m |= occurrences
			continue
		}
		for n := 1; n <= 5; n++ {
			if d.nth[weekday]&(1<<n) != 0 && day+7*(n-1) <= length {
				m |= 1 << (day + 7*(n-1))
			}
		}
		if d.lastDOW&(1<<weekday) != 0 {
			m |= 1 << (day + (length-day)/7*7)
		}
	}
	return m
}
