package cron

import (
	"fmt"
	"math/bits"
	"time"
)

// Language is a language that Describe speaks.
type Language string

// Languages. Another one is a file like describe_en.go, and a line in languages.
const (
	English  Language = "en"
	Japanese Language = "ja"
)

var languages = map[Language]*phrases{English: &english, Japanese: &japanese}

// Languages are those that Describe speaks, the first of them by default.
var Languages = []Language{English, Japanese}

// phrasesOf is a language, English when it is unknown.
func phrasesOf(l Language) *phrases {
	if words, ok := languages[l]; ok {
		return words
	}
	return &english
}

// DescribeEvery says an interval: "Every 90 seconds".
func DescribeEvery(l Language, every time.Duration) string {
	return Spec{every: every}.Describe(l)
}

// DescribeLength says how long something is: "1 hour", "90 seconds".
func DescribeLength(l Language, d time.Duration) string { return phrasesOf(l).length(d) }

// Describe says in words when the spec is due: "At 09:30, Monday to Friday". An unknown language is English.
func (s Spec) Describe(l Language) string { return s.DescribeIn(l, "") }

// DescribeIn is Describe with the name of a zone: "At 09:30, Monday to Friday, Asia/Tokyo".
func (s Spec) DescribeIn(l Language, zone string) string {
	words := phrasesOf(l)
	p := parts{zone: zone}
	switch {
	case s.every > 0:
		p.rhythm = words.interval(s.every)
	case s.rare != nil && s.rare.at != "":
		p.rhythm = words.once(s.rare.at)
	case s.months == 0:
		p.rhythm = words.never
	default:
		s.describe(words, &p)
	}
	return words.sentence(p)
}

// phrases is a language: how it says each thing that a Spec can mean, and how it puts them together.
type phrases struct {
	never    string
	everyDay string
	once     func(at string) string
	interval func(time.Duration) string   // every 90 seconds
	length   func(time.Duration) string   // 90 seconds
	times    func(clock []string) string  // at 09:00 and 12:30
	rhythm   func(rhythm) string          // every 5 minutes
	marks    func(period, []span) string  // at minutes 5 and 35 of the hour
	within   func(period, pattern) string // in minutes 5 to 10 of the hour
	hours    func(pattern) string         // 08:00 to 18:59
	dates    func(dates, bool) string     // on day 1 of the month; true when months are said as well
	weekdays func(weekdays, bool) string  // Monday to Friday; true for the second part of both
	both     func(dates, weekday string) string
	either   func(dates, weekday string) string
	months   func([]span) string  // in January
	years    func(pattern) string // in 2026 to 2028
	sentence func(parts) string
}

// parts is a sentence before it is put together; what has nothing to say is empty.
type parts struct{ rhythm, within, hours, days, months, years, zone string }

// period is a unit of the clock.
type period int

const (
	perSecond period = iota
	perMinute
	perHour
)

// rhythm is every n periods. From and to bound it; both are empty when it goes round evenly from 0.
type rhythm struct {
	n        int
	period   period
	from, to string
}

// dates are the rules for the day of the month, weekdays those for the day of the week.
type (
	dates struct {
		pattern
		last     []int // days before the last
		nearLast []int // the weekdays nearest to those
		nearest  []int
	}
	weekdays struct {
		spans []span
		nth   []nth
	}
	nth struct{ n, weekday int } // n is 0 for the last
)

func (s *Spec) describe(words *phrases, p *parts) {
	if s.months != 1<<13-2 {
		p.months = words.months(patternOf(uint64(s.months), 1, 12, true).spans)
	}
	if s.years != nil {
		p.years = words.years(patternOfList(s.years.list(), firstYear, awsYear.max, false))
	}
	p.days = s.days.describe(words, p.months != "")
	s.describeClock(words, p)
}

// describeClock chooses the shortest of several exact ways to say the same times.
func (s *Spec) describeClock(words *phrases, p *parts) {
	second, minute := patternOf(s.seconds, 0, 59, false), patternOf(s.minutes, 0, 59, false)
	hour := patternOf(uint64(s.hours), 0, 23, true)
	switch {
	case second.count == 1 && minute.count == 1 && hour.step > 0 && (!hour.all || minute.from+second.from == 0):
		p.rhythm = words.rhythm(s.hourly(hour, second, minute))
		return
	case second.count == 1 && minute.step == 0 && minute.count*hour.count <= 6:
		p.rhythm = words.times(s.clocks())
		if p.days == "" {
			p.days = words.everyDay
		}
		return
	case second.count == 1 && second.from == 0:
		p.rhythm = ofHour(words, perMinute, minute)
	default:
		p.rhythm = ofHour(words, perSecond, second)
		if !minute.all {
			p.within = words.within(perMinute, minute)
		}
	}
	if !hour.all {
		p.hours = words.hours(hour)
	}
}

// hourly is a rhythm of hours, at one minute and second of each.
func (s *Spec) hourly(hour, second, minute pattern) rhythm {
	at := func(h int) string { return s.clock(h, minute.from, second.from) }
	r := rhythm{hour.step, perHour, at(hour.from), at(hour.to)}
	if hour.round {
		r.to = ""
		if hour.from+minute.from+second.from == 0 {
			r.from = ""
		}
	}
	return r
}

// ofHour says the minutes of an hour, or the seconds of a minute.
func ofHour(words *phrases, of period, p pattern) string {
	if p.step == 0 {
		return words.marks(of, p.spans)
	}
	r := rhythm{p.step, of, fmt.Sprint(p.from), fmt.Sprint(p.to)}
	if p.round {
		r.to = ""
		if p.from == 0 {
			r.from = ""
		}
	}
	return words.rhythm(r)
}

func (s *Spec) clocks() (clocks []string) {
	for hours := s.hours; hours != 0; hours &= hours - 1 {
		for minutes := s.minutes; minutes != 0; minutes &= minutes - 1 {
			clocks = append(clocks, s.clock(bits.TrailingZeros32(hours), bits.TrailingZeros64(minutes),
				bits.TrailingZeros64(s.seconds)))
		}
	}
	return clocks
}

// clock shows the seconds only where they are not 0.
func (s *Spec) clock(hour, minute, second int) string {
	if s.seconds == 1 {
		return fmt.Sprintf("%02d:%02d", hour, minute)
	}
	return fmt.Sprintf("%02d:%02d:%02d", hour, minute, second)
}

func (d *days) describe(words *phrases, inMonths bool) string {
	month, week := !d.allMonth, !d.allOfWeek
	switch {
	case d.either && month && week:
		return words.either(words.dates(d.dates(), inMonths), words.weekdays(d.weekdays(), true))
	case d.either || !month && !week:
		return ""
	case !week:
		return words.dates(d.dates(), inMonths)
	case !month:
		return words.weekdays(d.weekdays(), false)
	default:
		return words.both(words.dates(d.dates(), inMonths), words.weekdays(d.weekdays(), true))
	}
}

func (d *days) dates() dates {
	return dates{
		pattern: patternOf(uint64(d.ofMonth), 1, 31, false),
		last:    values(uint64(d.last)), nearLast: values(uint64(d.nearLast)), nearest: values(uint64(d.nearest)),
	}
}

func (d *days) weekdays() weekdays {
	w := weekdays{spans: patternOf(uint64(d.ofWeek), 0, 6, true).spans}
	for weekday := range 7 {
		for _, n := range values(uint64(d.nth[weekday])) {
			w.nth = append(w.nth, nth{n, weekday})
		}
		if d.lastDOW&(1<<weekday) != 0 {
			w.nth = append(w.nth, nth{0, weekday})
		}
	}
	return w
}

// inUnit is a duration in the largest unit of which it is a whole number; false when it is not whole seconds.
func inUnit(d time.Duration) (int64, period, bool) {
	switch {
	case d%time.Hour == 0:
		return int64(d / time.Hour), perHour, true
	case d%time.Minute == 0:
		return int64(d / time.Minute), perMinute, true
	}
	return int64(d / time.Second), perSecond, d%time.Second == 0
}
