package cron

import (
	"fmt"
	"strings"
	"time"
)

var nicknames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// Parse reads an expression. The error is an *Error: the expression is malformed, or is not due within 40 years.
func Parse(expression string, o Options) (Spec, error) {
	if o.Dialect != "" && o.Dialect != Celery && o.Dialect != Vixie {
		return Spec{}, &Error{Code: CodeSyntax, Field: "dialect", Text: string(o.Dialect), Hint: "celery or vixie"}
	}
	p := parser{dialect: o.Dialect}
	zone, words, err := zonePrefix(split(expression))
	if err != nil {
		return Spec{}, err
	}
	p.spec.zone = zone
	if len(words) > 0 && strings.HasPrefix(words[0].text, "@") {
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
	spec    Spec
	dialect Dialect
	domStar bool // begins with *
	dowStar bool
}

// nickname reads @daily and the like. When six fields are asked for, its canonical form has them too.
func (p *parser) nickname(words []word, withSeconds bool) (Spec, error) {
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
	p.spec.withSeconds = withSeconds
	return p.finish()
}

func (p *parser) fields(words []word, withSeconds bool) error {
	want := 5
	if withSeconds {
		want = 6
	} else {
		p.spec.seconds, p.spec.text[0] = 1, "0"
	}
	if len(words) != want {
		text, at := "", 0
		if len(words) > want {
			text, at = words[want].text, words[want].at
		}
		hint := fmt.Sprintf("want %d fields (minute hour day-of-month month day-of-week), got %d", want, len(words))
		if withSeconds {
			hint = fmt.Sprintf("want 6 fields (second minute hour day-of-month month day-of-week), got %d", len(words))
		} else if len(words) == 6 {
			hint += "; for leading seconds ask for six fields"
		}
		return &Error{CodeSyntax, "", text, at, hint}
	}
	p.spec.withSeconds = withSeconds
	for i, w := range words {
		if err := p.field(6-want+i, w); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) field(index int, w word) error {
	f := fieldParser{unit: &units[index], at: w.at, days: &p.spec.days}
	if err := f.list(w.text); err != nil {
		return err
	}
	p.spec.warnings = append(p.spec.warnings, f.warnings...)
	p.spec.text[index] = strings.Join(f.canonical, ",")
	star := w.text[0] == '*' || w.text[0] == '?'
	switch index {
	case 0:
		p.spec.seconds = f.set
	case 1:
		p.spec.minutes = f.set
	case 2:
		p.spec.hours = uint32(f.set)
	case 3:
		p.spec.days.ofMonth, p.spec.days.allMonth, p.domStar = uint32(f.set), f.all(), star
	case 4:
		p.spec.months = uint16(f.set)
	case 5:
		p.spec.days.ofWeek, p.spec.days.allOfWeek, p.dowStar = uint8(f.set), f.all(), star
	}
	return nil
}

func (p *parser) finish() (Spec, error) {
	d := &p.spec.days
	d.either = p.dialect == Vixie && !p.domStar && !p.dowStar
	if d.either || !d.allMonth && !d.allOfWeek {
		p.spec.warnings = append(p.spec.warnings, bothDays(d.either))
	}
	if _, ever := p.spec.nextWall(0, 40*366*day); !ever {
		return Spec{}, &Error{CodeNeverFires, "", p.spec.String(), 0, "there is no such date within 40 years"}
	}
	return p.spec, nil
}

func bothDays(either bool) Warning {
	if either {
		return Warning{"day_fields_or", "day of month and day of week are both restricted: due when either matches (Celery itself would demand both)"}
	}
	return Warning{"day_fields_and", "day of month and day of week are both restricted: due only when both match (Vixie's cron would take either)"}
}
