package cron

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads an expression. The error is an *Error: the expression is malformed, or is not due within 40 years.
func Parse(expression string, o Options) (Spec, error) {
	if o.Dialect == "" {
		o.Dialect = Celery
	}
	if !slices.Contains(Dialects, o.Dialect) {
		return Spec{}, &Error{Code: CodeSyntax, Field: "dialect", Text: string(o.Dialect), Hint: "celery, vixie, quartz or aws"}
	}
	p := parser{dialect: o.Dialect}
	zone, words, err := zonePrefix(split(expression))
	if err != nil {
		return Spec{}, err
	}
	if zone != "" {
		p.spec.unusual().zone = zone
	}
	switch {
	case o.Dialect == AWS && o.Seconds:
		return Spec{}, &Error{Code: CodeSyntax, Field: "dialect", Text: string(AWS), Hint: "aws has no seconds: leave cron_seconds out, or use quartz"}
	case o.Dialect == AWS && len(words) > 0:
		return p.aws(expression, words)
	case len(words) > 0 && strings.HasPrefix(words[0].text, "@"):
		return p.nickname(words, o.Seconds)
	}
	if err := p.fields(words, o.Seconds); err != nil {
		return Spec{}, err
	}
	return p.finish()
}

type word struct {
	text string
	at   int // bytes from the beginning of the expression
}

func split(s string) (words []word) {
	for at := 0; at < len(s); {
		if s[at] == ' ' || s[at] == '\t' {
			at++
			continue
		}
		end := at
		for end < len(s) && s[end] != ' ' && s[end] != '\t' {
			end++
		}
		words = append(words, word{s[at:end], at})
		at = end
	}
	return words
}

func zonePrefix(words []word) (zone string, rest []word, err error) {
	if len(words) == 0 {
		return "", nil, nil
	}
	for _, prefix := range []string{"TZ=", "CRON_TZ="} {
		zone, ok := strings.CutPrefix(words[0].text, prefix)
		if !ok {
			continue
		}
		if zone == "" {
			err = &Error{CodeSyntax, "time-zone", prefix, words[0].at, "an IANA name such as Asia/Tokyo"}
		}
		return zone, words[1:], err
	}
	return "", words, nil
}

type parser struct {
	spec     Spec
	dialect  Dialect
	domStar  bool // begins with *
	dowStar  bool
	question [7]bool // the field has a ?
	numbers  [7]bool // the field has a value that is written as a number
}

// nickname reads @daily and the like. When six fields are asked for, its canonical form has them too.
func (p *parser) nickname(words []word, withSeconds bool) (Spec, error) {
	if p.dialect == Quartz {
		return Spec{}, &Error{CodeSyntax, "", words[0].text, words[0].at, "Quartz has no such names: write the fields, such as 0 0 12 * * ?"}
	}
	name := strings.ToLower(words[0].text)
	if name == "@every" && len(words) == 2 {
		every, err := time.ParseDuration(words[1].text)
		if err != nil || every <= 0 {
			return Spec{}, &Error{CodeSyntax, "@every", words[1].text, words[1].at, "a duration such as 90s, 5m or 1h30m"}
		}
		p.spec.every = every
		return p.spec, nil
	}
	fields, known := nicknames[name]
	if !known || len(words) != 1 {
		return Spec{}, &Error{CodeSyntax, "", words[0].text, words[0].at, "@yearly, @monthly, @weekly, @daily, @hourly, or @every and a duration"}
	}
	if err := p.fields(split(fields), false); err != nil {
		return Spec{}, err
	}
	if withSeconds {
		p.spec.form = sixFields
	}
	p.numbers = [7]bool{}
	return p.finish()
}

// fields reads the words, one a field.
func (p *parser) fields(words []word, withSeconds bool) error {
	layout := layoutOf(p.dialect, withSeconds)
	if p.dialect == Quartz && len(words) == int(year) {
		layout.kinds = layout.kinds[:year] // the year may be left out
	}
	if len(words) != len(layout.kinds) {
		return p.wrongCount(words, layout)
	}
	p.spec.form = layout.form
	if layout.kinds[0] == minute {
		p.spec.seconds, p.spec.text[0] = 1, "0"
	}
	for i, w := range words {
		if err := p.field(layout.kinds[i], w); err != nil {
			return err
		}
	}
	if p.dialect.strict() && p.question[dayOfMonth] == p.question[dayOfWeek] {
		w := words[slices.Index(layout.kinds, dayOfWeek)]
		return &Error{CodeSyntax, units[dayOfWeek].name, w.text, w.at, "write ? in one of day-of-month and day-of-week, and only there: the other one says the days"}
	}
	return nil
}

// layout is which fields an expression has.
type layout struct {
	form  form
	kinds []kind
	named string
}

var allKinds = []kind{second, minute, hourOfDay, dayOfMonth, monthOfYear, dayOfWeek, year}

func layoutOf(d Dialect, withSeconds bool) layout {
	switch {
	case d == Quartz:
		return layout{quartzForm, allKinds, "6 or 7 fields (second minute hour day-of-month month day-of-week, and perhaps year)"}
	case d == AWS:
		return layout{awsForm, allKinds[minute:], "6 fields (minute hour day-of-month month day-of-week year)"}
	case withSeconds:
		return layout{sixFields, allKinds[:year], "6 fields (second minute hour day-of-month month day-of-week)"}
	}
	return layout{fiveFields, allKinds[minute:year], "5 fields (minute hour day-of-month month day-of-week)"}
}

// wrongCount says how many fields are wanted, and guesses what was meant.
func (p *parser) wrongCount(words []word, l layout) error {
	text, at, want := "", 0, len(l.kinds)
	switch {
	case len(words) > want:
		text, at = words[want].text, words[want].at
	case len(words) > 0:
		all := make([]string, len(words))
		for i, w := range words {
			all[i] = w.text
		}
		text, at = strings.Join(all, " "), words[0].at
	}
	hint := fmt.Sprintf("want %s, got %d", l.named, len(words))
	switch {
	case p.dialect.strict():
	case strings.HasPrefix(text0(words), "cron(") || strings.HasPrefix(text0(words), "rate(") || strings.HasPrefix(text0(words), "at("):
		hint += "; this is how AWS writes: take dialect aws"
	case len(words) == 6 && isYear(words[5].text):
		hint += "; the last one looks like a year, which dialect aws has (minute hour day-of-month month day-of-week year)"
	case len(words) == 7 && (isYear(words[6].text) || words[6].text == "*"):
		hint += "; the last one looks like a year, which dialect quartz has (second minute hour day-of-month month day-of-week year)"
	case len(words) == 6 && slices.ContainsFunc(words, func(w word) bool { return strings.Contains(w.text, "?") }):
		hint += "; six fields and a ? are of dialect quartz (with seconds) or aws (with a year)"
	case len(words) == 6:
		hint += "; for leading seconds ask for six fields"
	}
	return &Error{CodeSyntax, "", text, at, hint}
}

func text0(words []word) string {
	if len(words) == 0 {
		return ""
	}
	return strings.ToLower(words[0].text)
}

// isYear reports whether a field is about years: one of four digits, alone or first of a range, a list or a step.
func isYear(field string) bool {
	n, err := strconv.Atoi(field[:min(len(field), 4)])
	return err == nil && n >= firstYear && n <= awsYear.max
}

func (p *parser) field(k kind, w word) error {
	f := fieldParser{unit: unitOf(k, p.dialect), strict: p.dialect.strict(), at: w.at, days: &p.spec.days}
	p.question[k] = strings.Contains(w.text, "?")
	if k == year {
		f.years = &yearSet{}
	}
	if f.strict && w.text == "?" && (k == dayOfMonth || k == dayOfWeek) {
		f.add(f.unit.min, f.unit.max, 1, true)
		f.canonical[0] = "?"
	} else if err := f.list(w.text); err != nil {
		return err
	}
	p.numbers[k] = f.numbers
	p.spec.warnings = append(p.spec.warnings, f.warnings...)
	canonical := strings.Join(f.canonical, ",")
	star := w.text[0] == '*' || w.text[0] == '?'
	if k == year {
		p.setYears(f.years, canonical)
		return nil
	}
	p.spec.text[k] = canonical
	switch k {
	case second:
		p.spec.seconds = f.set
	case minute:
		p.spec.minutes = f.set
	case hourOfDay:
		p.spec.hours = uint32(f.set)
	case dayOfMonth:
		p.spec.days.ofMonth, p.spec.days.allMonth, p.domStar = uint32(f.set), f.all(), star
	case monthOfYear:
		p.spec.months = uint16(f.set)
	case dayOfWeek:
		p.spec.days.ofWeek, p.spec.days.allOfWeek, p.dowStar = uint8(f.set), f.all(), star
	}
	return nil
}

// setYears keeps no set of every year. Quartz may leave that field out, so its canonical form does.
func (p *parser) setYears(years *yearSet, canonical string) {
	if canonical != "*" {
		p.spec.years = years
	} else if p.dialect == Quartz {
		return
	}
	p.spec.unusual().year = canonical
}

func (p *parser) finish() (Spec, error) {
	p.warn()
	if _, ever := p.spec.NextWall(0, p.spec.Reach()); !ever {
		hint := "there is no such date within 40 years"
		if p.spec.years != nil {
			hint = "there is no such date in these years"
		}
		return Spec{}, &Error{CodeNeverFires, "", p.spec.String(), 0, hint}
	}
	return p.spec, nil
}

// warn says where another dialect would read the expression otherwise.
func (p *parser) warn() {
	if p.dialect.strict() {
		return // one day field is ?, and 1 is Sunday: there is nothing to take for something else
	}
	d := &p.spec.days
	d.either = p.dialect == Vixie && !p.domStar && !p.dowStar
	if d.either || !d.allMonth && !d.allOfWeek && !p.domStar && !p.dowStar {
		p.spec.warnings = append(p.spec.warnings, bothDays(d.either))
	}
	if w, ok := p.foreign(); ok {
		p.spec.warnings = append(p.spec.warnings, w)
	}
}

func bothDays(either bool) Warning {
	if either {
		return Warning{"day_fields_or", "day of month and day of week are both restricted: due when either matches (Celery itself would demand both)"}
	}
	return Warning{"day_fields_and", "day of month and day of week are both restricted: due only when both match (Vixie's cron would take either)"}
}

// WarningForeign is the code of a warning that depends on how the expression is typed: its canonical form may lack it.
const WarningForeign = "cron_dialect"

// foreign finds what suggests that the expression was written for Quartz or AWS, where 1 is Sunday.
func (p *parser) foreign() (Warning, bool) {
	question := slices.Contains(p.question[:], true)
	seconds := p.spec.form == sixFields
	if !question && !(seconds && p.numbers[dayOfWeek]) {
		return Warning{}, false
	}
	message := "? is taken for *"
	if p.numbers[dayOfWeek] {
		message = fmt.Sprintf("day of week %s is counted from Sunday = 0, as %s does", p.spec.text[dayOfWeek],
			p.dialect)
	}
	meant := "quartz"
	if !seconds {
		meant = "aws or quartz"
	}
	return Warning{WarningForeign, message + ": in an expression that was written for Quartz or AWS, 1 is Sunday; take dialect " + meant + " for those"}, true
}
