package rrule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads the lines of a recurrence. The error is Errors, with every fault.
func Parse(text string) (Rule, error) {
	p := parser{}
	at := 0
	for line := range strings.SplitAfterSeq(text, "\n") {
		if content := strings.TrimRight(line, " \t\r\n"); strings.TrimLeft(content, " \t") != "" {
			p.line(content, at)
		}
		at += len(line)
	}
	if !p.rule.hasRule && len(p.rule.rdates) == 0 && len(p.faults) == 0 {
		p.fault("RRULE", "", 0, "say when: a line such as RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO, or RDATE")
	}
	if len(p.faults) > 0 {
		return Rule{}, p.faults
	}
	return p.rule, nil
}

type parser struct {
	rule   Rule
	faults Errors
	seen   map[string]bool // parts of RRULE
}

func (p *parser) fault(part, text string, at int, format string, args ...any) {
	p.faults = append(p.faults, &Error{CodeSyntax, part, text, at, fmt.Sprintf(format, args...)})
}

// line reads a property: a name, parameters that each follow a semicolon, and a value behind the first colon.
func (p *parser) line(line string, at int) {
	head, value, found := strings.Cut(line, ":")
	valueAt := at + len(head) + 1
	name, parameters, _ := strings.Cut(head, ";")
	name = strings.ToUpper(strings.TrimSpace(name))
	if !found {
		if strings.HasPrefix(strings.ToUpper(strings.TrimSpace(line)), "FREQ=") ||
			strings.Contains(strings.ToUpper(line), ";FREQ=") {
			trimmed := strings.TrimLeft(line, " \t")
			p.recur(trimmed, at+len(line)-len(trimmed))
			return
		}
		p.fault(name, line, at, "want a line such as RRULE:FREQ=DAILY or DTSTART:20260105T093000")
		return
	}
	switch name {
	case "RRULE":
		p.recur(value, valueAt)
	case "DTSTART":
		p.dtstart(parameters, value, at, valueAt)
	case "RDATE":
		p.rule.rdates = append(p.rule.rdates, p.moments(name, parameters, value, at, valueAt)...)
	case "EXDATE":
		p.rule.exdates = append(p.rule.exdates, p.moments(name, parameters, value, at, valueAt)...)
	case "EXRULE":
		p.fault(name, value, valueAt, "RFC 5545 has no EXRULE any more: name the dates in EXDATE")
	default:
		p.fault(name, name, at, "want DTSTART, RRULE, RDATE or EXDATE")
	}
}

func (p *parser) dtstart(parameters, value string, at, valueAt int) {
	if p.rule.start != nil {
		p.fault("DTSTART", value, valueAt, "there is one already: take one of them out")
		return
	}
	moments := p.moments("DTSTART", parameters, value, at, valueAt)
	if len(moments) != 1 {
		if len(moments) > 1 {
			p.fault("DTSTART", value, valueAt, "want one time")
		}
		return
	}
	p.rule.start = &moments[0]
	if moments[0].utc {
		p.setZone("UTC", value, valueAt)
	}
}

func (p *parser) setZone(name, text string, at int) {
	if p.rule.zone != "" && p.rule.zone != name {
		p.fault("TZID", text, at, "the zone is %s already: one recurrence has one zone", p.rule.zone)
		return
	}
	p.rule.zone = name
}

// moments reads a list of times, by its parameters.
func (p *parser) moments(name, parameters, value string, at, valueAt int) (list []moment) {
	parameterAt := at + len(name) + 1
	for parameter := range strings.SplitSeq(parameters, ";") {
		key, text, _ := strings.Cut(parameter, "=")
		switch strings.ToUpper(key) {
		case "":
		case "TZID":
			if text = strings.Trim(text, `"`); text == "" {
				p.fault("TZID", parameter, parameterAt, "an IANA name such as Asia/Tokyo")
			} else {
				p.setZone(text, text, parameterAt)
			}
		case "VALUE":
			if u := strings.ToUpper(text); u != "DATE" && u != "DATE-TIME" {
				p.fault(name, parameter, parameterAt, "VALUE is DATE or DATE-TIME: a period has no place here")
			}
		default:
			p.fault(name, parameter, parameterAt, "want TZID or VALUE")
		}
		parameterAt += len(parameter) + 1
	}
	for text := range strings.SplitSeq(value, ",") {
		if m, ok := readMoment(text); ok {
			list = append(list, m)
		} else {
			p.fault(name, text, valueAt,
				"a time of the years %d to %d, such as 20260105T093000 (local), 20260105T003000Z (UTC) or 20260105", firstYear, lastYear)
		}
		valueAt += len(text) + 1
	}
	if len(list) > maxDates {
		p.fault(name, "", at, "%d times: at most %d", len(list), maxDates)
		return nil
	}
	return list
}

const (
	firstYear = 1970
	lastYear  = 2200
	maxDates  = 1_000
	maxCount  = 100_000
)

func readMoment(text string) (moment, bool) {
	text = strings.ToUpper(strings.TrimSpace(text))
	digits, utc := strings.CutSuffix(text, "Z")
	layout := "20060102T150405"
	if len(digits) == 8 && !utc {
		layout = "20060102"
	}
	t, err := time.Parse(layout, digits)
	if err != nil || t.Format(layout) != digits || t.Year() < firstYear || t.Year() > lastYear {
		return moment{}, false
	}
	return moment{t.Unix(), utc}, true
}

// recur reads the value of RRULE.
func (p *parser) recur(value string, at int) {
	if p.rule.hasRule {
		p.fault("RRULE", value, at, "there is one already: one recurrence has one rule")
		return
	}
	p.rule.hasRule, p.seen = true, map[string]bool{}
	p.rule.pattern = pattern{interval: 1, wkst: 1}
	begin := at
	for part := range strings.SplitSeq(value, ";") {
		key, text, found := strings.Cut(part, "=")
		key = strings.ToUpper(strings.TrimSpace(key))
		switch {
		case part == "" && at+len(part) == begin+len(value): // a semicolon at the end
		case !found || text == "":
			p.fault(key, part, at, "want NAME=VALUE, such as FREQ=DAILY")
		case p.seen[key]:
			p.fault(key, part, at, "it is there already: give it once")
		default:
			p.seen[key] = true
			p.part(key, strings.ToUpper(text), at+len(part)-len(text))
		}
		at += len(part) + 1
	}
	p.together(value, begin)
}

// part reads one part of the rule.
func (p *parser) part(key, text string, at int) {
	r := &p.rule.pattern
	switch key {
	case "FREQ":
		if i := slices.Index(freqs, text); i >= 0 {
			r.freq = Freq(i)
		} else {
			p.fault(key, text, at, "want one of %s", strings.Join(freqs, ", "))
		}
	case "INTERVAL":
		r.interval = int64(p.number(key, text, at, 1, 1_000_000_000))
	case "COUNT":
		r.count = p.number(key, text, at, 1, maxCount)
	case "UNTIL":
		p.until(text, at)
	case "WKST":
		if r.wkst = slices.Index(weekdays, text); r.wkst < 0 {
			p.fault(key, text, at, "want one of %s", strings.Join(weekdays, ", "))
		}
	case "BYDAY":
		p.byDay(text, at)
	case "BYSECOND":
		r.seconds = p.set(key, text, at, 0, 59)
	case "BYMINUTE":
		r.minutes = p.set(key, text, at, 0, 59)
	case "BYHOUR":
		r.hours = uint32(p.set(key, text, at, 0, 23))
	case "BYMONTH":
		r.months = uint16(p.set(key, text, at, 1, 12))
	case "BYMONTHDAY":
		for _, n := range p.numbers(key, text, at, 31) {
			if n > 0 {
				r.monthDays |= 1 << n
			} else {
				r.monthDaysBack |= 1 << -n
			}
		}
	case "BYYEARDAY":
		r.yearDays = p.numbers(key, text, at, 366)
	case "BYWEEKNO":
		r.weeks = p.numbers(key, text, at, 53)
	case "BYSETPOS":
		r.positions = p.numbers(key, text, at, 366)
	case "BYEASTER", "RSCALE", "SKIP":
		p.fault(key, text, at, "RFC 5545 has no such part, and it is not known here")
	default:
		p.fault(key, key, at-len(key)-1, "there is no such part: want FREQ, INTERVAL, COUNT, UNTIL, WKST or BY...")
	}
}

var weekdays = []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}

func (p *parser) until(text string, at int) {
	m, ok := readMoment(text)
	if !ok {
		p.fault("UNTIL", text, at, "a time such as 20261231T235959Z (UTC), 20261231T235959 (local) or 20261231")
		return
	}
	if len(text) == len("20261231") {
		m.wall += day - 1 // the whole day
	}
	if m.utc {
		p.rule.untilAt, p.rule.untilSet = time.Unix(m.wall, 0).UTC(), true
		return
	}
	p.rule.pattern.until, p.rule.pattern.hasUntil = m.wall, true
}

func (p *parser) number(key, text string, at, low, high int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high || text[0] == '+' {
		p.fault(key, text, at, "a whole number, %d to %d", low, high)
		return low
	}
	return n
}

// set reads a list of numbers as a set.
func (p *parser) set(key, text string, at, low, high int) (set uint64) {
	for item := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(item)
		if key == "BYSECOND" && n == 60 {
			n = -1 // no clock here shows a leap second
		}
		if err != nil || n < low || n > high {
			p.fault(key, item, at, "whole numbers, %d to %d", low, high)
		} else {
			set |= 1 << n
		}
		at += len(item) + 1
	}
	return set
}

// numbers reads a list of numbers that may count from the end.
func (p *parser) numbers(key, text string, at, most int) (list []int) {
	for item := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(item)
		if err != nil || n == 0 || n < -most || n > most {
			p.fault(key, item, at, "whole numbers, 1 to %d, or -1 to -%d from the end", most, most)
		} else {
			list = append(list, n)
		}
		at += len(item) + 1
	}
	return list
}

func (p *parser) byDay(text string, at int) {
	r := &p.rule.pattern
	for item := range strings.SplitSeq(text, ",") {
		weekday := -1
		if len(item) >= 2 {
			weekday = slices.Index(weekdays, item[len(item)-2:])
		}
		switch {
		case weekday < 0:
			p.fault("BYDAY", item, at, "want %s, or with a number in front: 1MO is the first, -1FR the last",
				strings.Join(weekdays, ", "))
		case len(item) == 2:
			r.weekdays |= 1 << weekday
		default:
			n, err := strconv.Atoi(item[:len(item)-2])
			if err != nil || n == 0 || n < -53 || n > 53 {
				p.fault("BYDAY", item, at, "the number is 1 to 53, or -1 to -53 from the end")
			} else {
				r.numbered = append(r.numbered, numbered{n, weekday})
			}
		}
		at += len(item) + 1
	}
}

// together checks which parts go with which.
func (p *parser) together(value string, at int) {
	r := &p.rule.pattern
	if !p.seen["FREQ"] {
		p.fault("FREQ", value, at, "say how often: FREQ= and one of %s", strings.Join(freqs, ", "))
		return
	}
	freq := freqs[r.freq]
	if p.seen["COUNT"] && p.seen["UNTIL"] {
		p.fault("COUNT", value, at, "COUNT and UNTIL exclude each other: take one of them out")
	}
	if p.seen["BYWEEKNO"] && r.freq != Yearly {
		p.fault("BYWEEKNO", value, at, "it goes with FREQ=YEARLY only, not with %s", freq)
	}
	if p.seen["BYYEARDAY"] && (r.freq == Monthly || r.freq == Weekly || r.freq == Daily) {
		p.fault("BYYEARDAY", value, at, "it does not go with FREQ=%s: use BYMONTH and BYMONTHDAY", freq)
	}
	if p.seen["BYMONTHDAY"] && r.freq == Weekly {
		p.fault("BYMONTHDAY", value, at, "it does not go with FREQ=WEEKLY: use FREQ=DAILY")
	}
	if len(r.numbered) > 0 && (r.freq > Monthly || p.seen["BYWEEKNO"]) {
		p.fault("BYDAY", value, at, "a number before a day goes with FREQ=MONTHLY or YEARLY without BYWEEKNO")
	}
	if p.seen["BYSETPOS"] && !slices.ContainsFunc([]string{"BYSECOND", "BYMINUTE", "BYHOUR", "BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH"},
		func(key string) bool { return p.seen[key] }) {
		p.fault("BYSETPOS", value, at, "it chooses from what another BY... yields: give one")
	}
}
