package cron

import (
	"fmt"
	"strconv"
	"strings"
)

// unit is one of the six fields.
type unit struct {
	name     string
	min, max int
	names    []string // full, in lower case, of min, min+1, ...
	hint     string
}

var units = [6]unit{
	{"second", 0, 59, nil, "0-59"},
	{"minute", 0, 59, nil, "0-59"},
	{"hour", 0, 23, nil, "0-23"},
	{"day-of-month", 1, 31, nil, "1-31, L, L-n, LW or nW"},
	{"month", 1, 12, []string{
		"january", "february", "march", "april", "may", "june",
		"july", "august", "september", "october", "november", "december",
	}, "1-12 or jan-dec"},
	{"day-of-week", 0, 6, []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}, "0-7 or sun-sat"},
}

func (u *unit) isDOM() bool { return u == &units[3] }
func (u *unit) isDOW() bool { return u == &units[5] }

// fieldParser reads one field: a list of items.
type fieldParser struct {
	unit      *unit
	at        int // where the field begins
	set       uint64
	days      *days
	canonical []string
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
	if f.unit.isDOM() || f.unit.isDOW() {
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
	f.add(from, to, step, span == "*" || span == "?")
	return nil
}

func (f *fieldParser) step(text string, at int) (int, error) {
	step, ok := number(text)
	if !ok || step < 1 || step > 999 {
		return 0, f.fault(text, at, "a step is a whole number, 1 to 999")
	}
	if count := f.unit.max - f.unit.min + 1; step >= count && step > 1 {
		f.warnings = append(f.warnings, Warning{"step_exceeds_range", fmt.Sprintf("%s: a step of %d leaves the first value only", f.unit.name, step)})
	}
	return step, nil
}

// span reads *, a, or a-b; a alone before a step reaches to the end.
func (f *fieldParser) span(text string, at int, stepped bool) (from, to int, err error) {
	if text == "*" || text == "?" {
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
	} else if stepped {
		to = f.unit.max
	}
	if f.unit.isDOW() {
		if isRange && from == 0 && to == 7 {
			return 0, 6, nil
		}
		from, to = from%7, to%7
	}
	return from, to, nil
}

func (f *fieldParser) value(text string, at int) (int, error) {
	if n, ok := number(text); ok {
		if n >= f.unit.min && n <= f.unit.max || f.unit.isDOW() && n == 7 {
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

func number(text string) (int, bool) {
	if text == "" || len(text) > 3 || strings.Trim(text, "0123456789") != "" {
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
		f.set |= 1 << (f.unit.min + (from-f.unit.min+i)%size)
	}
	text := strconv.Itoa(from)
	switch {
	case star:
		text = "*"
	case from != to:
		text += "-" + strconv.Itoa(to)
	}
	if step > 1 && (star || from != to) {
		text += "/" + strconv.Itoa(step)
	}
	f.canonical = append(f.canonical, text)
}

// special reads the items that name days by their place in the month: L, L-n, LW, nW in day of month, d#n, dL in day
// of week.
func (f *fieldParser) special(item string, at int) (done bool, err error) {
	if f.unit.isDOM() {
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
		f.days.lastWD, item = true, "lw"
	case strings.HasPrefix(item, "l-"):
		n, ok := number(item[2:])
		if !ok || n > 30 {
			return false, f.fault(written, at, "L-n counts 0 to 30 days before the last of the month")
		}
		f.days.last |= 1 << n
		item = "l-" + strconv.Itoa(n)
	case strings.HasSuffix(item, "w"):
		n, ok := number(item[:len(item)-1])
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
	if item == "l" {
		return false, f.fault(written, at, "the last which day? 5L is the last Friday; for Saturday write 6")
	}
	if text, nth, ok := strings.Cut(written, "#"); ok {
		weekday, err := f.value(text, at)
		if err != nil {
			return false, err
		}
		n, ok := number(nth)
		if !ok || n < 1 || n > 5 {
			return false, f.fault(nth, at+len(text)+1, "d#n is the n-th such day of the month, 1 to 5")
		}
		f.days.nth[weekday%7] |= 1 << n
		f.canonical = append(f.canonical, fmt.Sprintf("%d#%d", weekday%7, n))
		return true, nil
	}
	if strings.HasSuffix(item, "l") {
		weekday, err := f.value(written[:len(written)-1], at)
		if err != nil {
			return false, err
		}
		f.days.lastDOW |= 1 << (weekday % 7)
		f.canonical = append(f.canonical, fmt.Sprintf("%dL", weekday%7))
		return true, nil
	}
	return false, nil
}
