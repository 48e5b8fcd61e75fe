package cron

import (
	"fmt"
	"strconv"
	"strings"
)

// unit is one of the fields.
type unit struct {
	kind     kind
	name     string
	min, max int
	sunday   int      // the number that is written for Sunday, where 0 is Sunday here
	names    []string // full, in lower case, of min, min+1, ...
	hint     string
}

// kind is the place of a field in the longest form.
type kind int

const (
	second kind = iota
	minute
	hourOfDay
	dayOfMonth
	monthOfYear
	dayOfWeek
	year
)

var (
	monthNames = []string{
		"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december",
	}
	weekdayNames = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
)

var units = [...]unit{
	{second, "second", 0, 59, 0, nil, "0-59"},
	{minute, "minute", 0, 59, 0, nil, "0-59"},
	{hourOfDay, "hour", 0, 23, 0, nil, "0-23"},
	{dayOfMonth, "day-of-month", 1, 31, 0, nil, "1-31, L, L-n, LW or nW"},
	{monthOfYear, "month", 1, 12, 0, monthNames, "1-12 or jan-dec"},
	{dayOfWeek, "day-of-week", 0, 6, 0, weekdayNames, "0-7 or sun-sat"},
}

// Quartz and AWS count the days of the week from 1, and have years.
var (
	dayOfWeekFromOne = unit{dayOfWeek, "day-of-week", 0, 6, 1, weekdayNames, "1-7 or SUN-SAT, where 1 is Sunday"}
	quartzYear       = unit{year, "year", firstYear, 2099, 0, nil, "1970-2099"}
	awsYear          = unit{year, "year", firstYear, 2199, 0, nil, "1970-2199"}
)

// unitOf is the unit of a field in a dialect.
func unitOf(k kind, d Dialect) *unit {
	switch {
	case k == dayOfWeek && d.strict():
		return &dayOfWeekFromOne
	case k == year && d == Quartz:
		return &quartzYear
	case k == year:
		return &awsYear
	}
	return &units[k]
}

// fieldParser reads one field: a list of items.
type fieldParser struct {
	unit      *unit
	strict    bool // as Quartz and AWS write
	at        int  // where the field begins
	set       uint64
	years     *yearSet // instead of set, of years
	days      *days
	canonical []string
	numbers   bool // a value is written as a number
	warnings  []Warning
}

func (f *fieldParser) all() bool {
	full := uint64(1)<<(f.unit.max+1) - uint64(1)<<f.unit.min
	return f.set == full
}

func (f *fieldParser) list(text string) error {
	at := f.at
	for item := range strings.SplitSeq(text, ",") {
		if err := f.item(item, at); err != nil {
			return err
		}
		at += len(item) + 1
	}
	return nil
}

func (f *fieldParser) fault(text string, at int, format string, args ...any) error {
	return &Error{CodeSyntax, f.unit.name, text, at, fmt.Sprintf(format, args...)}
}

func (f *fieldParser) item(item string, at int) error {
	if item == "" {
		return f.fault(item, at, "an empty item: %s", f.unit.hint)
	}
	if f.strict {
		if err := f.notHere(item, at); err != nil {
			return err
		}
	}
	if f.unit.kind == dayOfMonth || f.unit.kind == dayOfWeek {
		if done, err := f.special(item, at); done || err != nil {
			return err
		}
	}
	span, stepText, stepped := strings.Cut(item, "/")
	from, to, err := f.span(span, at, stepped)
	if err != nil {
		return err
	}
	step := 1
	if stepped {
		if step, err = f.step(stepText, at+len(span)+1); err != nil {
			return err
		}
	}
	f.add(from, to, step, f.isStar(span, stepped))
	return nil
}

// notHere refuses what Quartz and AWS have no use for in this place, or what has no meaning here.
func (f *fieldParser) notHere(item string, at int) error {
	switch {
	case strings.Contains(item, "?"):
		return f.fault(item, at, "? stands alone, in day-of-month or day-of-week only: %s", f.unit.hint)
	case (f.unit.kind == dayOfMonth || f.unit.kind == dayOfWeek) && strings.Trim(item, "0123456789") != "" &&
		strings.EqualFold(strings.Trim(item, "0123456789"), "c"):
		return f.fault(item, at, "C asks a calendar of Quartz, which is not known here: name the days themselves, %s",
			f.unit.hint)
	}
	return nil
}

// isStar reports whether a span means every value. Nothing before a step does for Quartz and AWS ("/5" is "*/5").
func (f *fieldParser) isStar(span string, stepped bool) bool {
	return span == "*" || span == "?" || f.strict && stepped && span == ""
}

func (f *fieldParser) step(text string, at int) (int, error) {
	step, ok := number(text, 3)
	if !ok || step < 1 || step > 999 {
		return 0, f.fault(text, at, "a step is a whole number, 1 to 999")
	}
	if count := f.unit.max - f.unit.min + 1; step >= count && step > 1 {
		f.warnings = append(f.warnings,
			Warning{"step_exceeds_range", fmt.Sprintf("%s: a step of %d leaves the first value only", f.unit.name, step)})
	}
	return step, nil
}

// span reads *, a, or a-b; a alone before a step reaches to the end.
func (f *fieldParser) span(text string, at int, stepped bool) (from, to int, err error) {
	if f.isStar(text, stepped) {
		return f.unit.min, f.unit.max, nil
	}
	first, second, isRange := strings.Cut(text, "-")
	if from, err = f.value(first, at); err != nil {
		return 0, 0, err
	}
	to = from
	if isRange {
		if to, err = f.value(second, at+len(first)+1); err != nil {
			return 0, 0, err
		}
		if f.unit.kind == year && to < from {
			return 0, 0, f.fault(text, at, "years do not go round: write the earlier one first, %s", f.unit.hint)
		}
	} else if stepped {
		to = f.unit.max
	}
	if f.unit.kind == dayOfWeek {
		if isRange && from == 0 && to == 7 {
			return 0, 6, nil
		}
		from, to = from%7, to%7
	}
	return from, to, nil
}

func (f *fieldParser) value(text string, at int) (int, error) {
	if n, ok := number(text, len("2026")); ok && (len(text) < 4 || f.unit.kind == year) {
		f.numbers = true
		n -= f.unit.sunday
		if n >= f.unit.min && n <= f.unit.max || f.unit.kind == dayOfWeek && f.unit.sunday == 0 && n == 7 {
			return n, nil
		}
		return 0, f.fault(text, at, "%s", f.unit.hint)
	}
	lower := strings.ToLower(text)
	for i, name := range f.unit.names {
		if lower == name || lower == name[:3] {
			return f.unit.min + i, nil
		}
	}
	return 0, f.fault(text, at, "%s", f.unit.hint)
}

// number reads digits, at most so many.
func number(text string, most int) (int, bool) {
	if text == "" || len(text) > most || strings.Trim(text, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// add puts every step-th value from from to to in the set, going round when to is before from.
func (f *fieldParser) add(from, to, step int, star bool) {
	size := f.unit.max - f.unit.min + 1
	length := (to - from + size) % size
	for i := 0; i <= length; i += step {
		if v := f.unit.min + (from-f.unit.min+i)%size; f.unit.kind == year {
			f.years.add(v)
		} else {
			f.set |= 1 << v
		}
	}
	text := strconv.Itoa(from + f.unit.sunday)
	switch {
	case star:
		text = "*"
	case from != to:
		text += "-" + strconv.Itoa(to+f.unit.sunday)
	}
	if step > 1 && (star || from != to) {
		text += "/" + strconv.Itoa(step)
	}
	f.canonical = append(f.canonical, text)
}

// special reads the items that name days by their place in the month: L, L-n, LW, L-nW, nW in day of month, d#n, dL in
// day of week.
func (f *fieldParser) special(item string, at int) (done bool, err error) {
	if f.unit.kind == dayOfMonth {
		return f.specialDOM(item, at)
	}
	return f.specialDOW(item, at)
}

func (f *fieldParser) specialDOM(written string, at int) (bool, error) {
	item := strings.ToLower(written)
	switch {
	case item == "l":
		f.days.last |= 1
	case item == "lw" || item == "wl":
		f.days.nearLast |= 1
		item = "lw"
	case strings.HasPrefix(item, "l-"):
		digits, weekday := strings.CutSuffix(item[2:], "w")
		n, ok := number(digits, 3)
		if !ok || n > 30 {
			return false, f.fault(written, at,
				"L-n counts 0 to 30 days before the last of the month; L-nW is the weekday nearest to that")
		}
		item = "l-" + strconv.Itoa(n)
		if weekday {
			f.days.nearLast |= 1 << n
			item += "w"
		} else {
			f.days.last |= 1 << n
		}
	case strings.HasSuffix(item, "w"):
		n, ok := number(item[:len(item)-1], 3)
		if !ok || n < 1 || n > 31 {
			return false, f.fault(written, at, "nW is the weekday nearest to day n, 1 to 31")
		}
		f.days.nearest |= 1 << n
		item = strconv.Itoa(n) + "w"
	default:
		return false, nil
	}
	f.canonical = append(f.canonical, strings.ToUpper(item))
	return true, nil
}

func (f *fieldParser) specialDOW(written string, at int) (bool, error) {
	item := strings.ToLower(written)
	if item == "l" && f.strict { // the last day of the week
		f.add(6, 6, 1, false)
		return true, nil
	}
	if item == "l" {
		return false, f.fault(written, at, "the last which day? 5L is the last Friday; for Saturday write 6")
	}
	if text, nth, ok := strings.Cut(written, "#"); ok {
		weekday, err := f.value(text, at)
		if err != nil {
			return false, err
		}
		n, ok := number(nth, 3)
		if !ok || n < 1 || n > 5 {
			return false, f.fault(nth, at+len(text)+1, "d#n is the n-th such day of the month, 1 to 5")
		}
		f.days.nth[weekday%7] |= 1 << n
		f.canonical = append(f.canonical, fmt.Sprintf("%d#%d", weekday%7+f.unit.sunday, n))
		return true, nil
	}
	if strings.HasSuffix(item, "l") {
		weekday, err := f.value(written[:len(written)-1], at)
		if err != nil {
			return false, err
		}
		f.days.lastDOW |= 1 << (weekday % 7)
		f.canonical = append(f.canonical, fmt.Sprintf("%dL", weekday%7+f.unit.sunday))
		return true, nil
	}
	return false, nil
}
