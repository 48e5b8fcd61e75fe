package cron

import (
	"fmt"
	"strings"
	"time"
)

var english = phrases{
	never:    "never",
	everyDay: "every day",
	once:     func(at string) string { return "once, at " + at },
	interval: func(d time.Duration) string { return "every " + lengthEN(d) },
	length: func(d time.Duration) string {
		if n, unit, whole := inUnit(d); whole && n == 1 {
			return "1 " + periodsEN[unit]
		}
		return lengthEN(d)
	},
	times:  func(clocks []string) string { return "at " + listEN(clocks, "and") },
	rhythm: rhythmEN,
	marks: func(p period, spans []span) string {
		return fmt.Sprintf("at %s of the %s", numberedEN(periodsEN[p], spans), periodsEN[p+1])
	},
	within:   withinEN,
	hours:    hoursEN,
	dates:    func(d dates, _ bool) string { return "on " + datesEN(d) + " of the month" },
	weekdays: weekdaysEN,
	both:     func(date, weekday string) string { return date + ", only when it is also " + weekday },
	either:   func(date, weekday string) string { return date + ", or on " + weekday },
	months: func(spans []span) string {
		return "in " + listEN(spansEN(spans, func(m int) string { return time.Month(m).String() }), "and")
	},
	years:    yearsEN,
	sentence: sentenceEN,
}

var periodsEN = [...]string{perSecond: "second", perMinute: "minute", perHour: "hour"}

func sentenceEN(p parts) string {
	var said []string
	for _, part := range []string{p.rhythm, p.within, p.hours, p.days, p.months, p.years, p.zone} {
		if part != "" {
			said = append(said, part)
		}
	}
	said[0] = strings.ToUpper(said[0][:1]) + said[0][1:]
	return strings.Join(said, ", ")
}

func rhythmEN(r rhythm) string {
	unit := periodsEN[r.period]
	text := "every " + unit
	if r.n > 1 {
		text = fmt.Sprintf("every %d %ss", r.n, unit)
	}
	from, of := r.from, ""
	if r.period != perHour {
		from, of = unit+" "+r.from, " of the "+periodsEN[r.period+1]
	}
	switch {
	case r.from == "":
		return text
	case r.to == "":
		return text + " from " + from
	}
	return text + " from " + from + " to " + r.to + of
}

func withinEN(u period, p pattern) string {
	unit, whole := periodsEN[u], periodsEN[u+1]
	if p.step > 1 {
		return fmt.Sprintf("in every %s %s from %d to %d of the %s", ordinalEN(p.step), unit, p.from, p.to, whole)
	}
	return fmt.Sprintf("in %s of the %s", numberedEN(unit, p.spans), whole)
}

func hoursEN(p pattern) string {
	if p.step > 1 {
		return fmt.Sprintf("in every %s hour from %02d:00 to %02d:59", ordinalEN(p.step), p.from, p.to)
	}
	var texts []string
	for _, s := range p.runs {
		texts = append(texts, fmt.Sprintf("%02d:00 to %02d:59", s.from, s.to))
	}
	return listEN(texts, "and")
}

func yearsEN(p pattern) string {
	if p.step > 1 {
		return fmt.Sprintf("in every %s year from %d to %d", ordinalEN(p.step), p.from, p.to)
	}
	return "in " + listEN(spansEN(p.spans, func(year int) string { return fmt.Sprint(year) }), "and")
}

func datesEN(d dates) string {
	var texts []string
	switch {
	case d.step > 1:
		texts = append(texts, fmt.Sprintf("every %s day from %d to %d", ordinalEN(d.step), d.from, d.to))
	case d.count > 0:
		texts = append(texts, numberedEN("day", d.spans))
	}
	for _, n := range d.last {
		switch n {
		case 0:
			texts = append(texts, "the last day")
		case 1:
			texts = append(texts, "the day before the last")
		default:
			texts = append(texts, fmt.Sprintf("the %s day before the last", ordinalEN(n)))
		}
	}
	for _, n := range d.nearLast {
		switch n {
		case 0:
			texts = append(texts, "the last weekday")
		case 1:
			texts = append(texts, "the weekday nearest to the day before the last")
		default:
			texts = append(texts, fmt.Sprintf("the weekday nearest to the %s day before the last", ordinalEN(n)))
		}
	}
	for _, n := range d.nearest {
		texts = append(texts, fmt.Sprintf("the weekday nearest to day %d", n))
	}
	return listEN(texts, "and")
}

func weekdaysEN(w weekdays, second bool) string {
	texts := spansEN(w.spans, func(d int) string { return time.Weekday(d).String() })
	for _, n := range w.nth {
		which := "last"
		if n.n > 0 {
			which = []string{"first", "second", "third", "fourth", "fifth"}[n.n-1]
		}
		texts = append(texts, fmt.Sprintf("the %s %s of the month", which, time.Weekday(n.weekday)))
	}
	switch {
	case second:
		return listEN(texts, "or")
	case len(w.spans) > 0 && w.spans[0].from != w.spans[0].to:
		return listEN(texts, "and")
	}
	return "on " + listEN(texts, "and")
}

// numberedEN is "minute 5", or "minutes 5, 10 and 20 to 30".
func numberedEN(unit string, spans []span) string {
	if len(spans) > 1 || spans[0].from != spans[0].to {
		unit += "s"
	}
	return unit + " " + listEN(spansEN(spans, func(n int) string { return fmt.Sprint(n) }), "and")
}

func spansEN(spans []span, name func(int) string) (texts []string) {
	for _, s := range spans {
		if s.from == s.to {
			texts = append(texts, name(s.from))
			continue
		}
		texts = append(texts, name(s.from)+" to "+name(s.to))
	}
	return texts
}

func listEN(texts []string, conjunction string) string {
	last := len(texts) - 1
	if last < 1 {
		return strings.Join(texts, "")
	}
	return strings.Join(texts[:last], ", ") + " " + conjunction + " " + texts[last]
}

func ordinalEN(n int) string {
	suffix := "th"
	if n%100/10 != 1 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n) + suffix
}

// lengthEN is "90 seconds", "1 hour 30 minutes", or the plain duration when it is not whole seconds.
func lengthEN(d time.Duration) string {
	n, unit, whole := inUnit(d)
	switch {
	case !whole:
		return d.String()
	case n == 1:
		return periodsEN[unit]
	}
	return fmt.Sprintf("%d %ss", n, periodsEN[unit])
}
