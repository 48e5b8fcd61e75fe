package calendar

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain/zone"
)

// CodeICS is the code of a fault in an iCalendar file.
const CodeICS = "ics_invalid"

// ParseICS reads the events of an iCalendar file (RFC 5545): whole days, times, and what recurs. Cancelled events are
// left out, and of an event that was moved out of its recurrence the new time counts. The error is Errors, whose items
// are lines of the file, from 1 on.
func ParseICS(text string) ([]Item, error) {
	p := icsParser{moved: map[string][]string{}}
	if !utf8.ValidString(text) {
		return nil, Errors{{Code: CodeICS, Item: 1, Message: "the file is not UTF-8"}}
	}
	for number, line := range unfolded(text) {
		if len(p.faults) >= MaxFaults {
			break
		}
		if p.line(line, number); !p.begun && len(p.faults) > 0 { // a file that is something else is not cited
			break
		}
	}
	switch {
	case !p.begun && len(p.faults) == 0:
		p.fault(1, "this is no iCalendar file: it begins with BEGIN:VCALENDAR")
	case p.event != nil && len(p.faults) == 0:
		p.fault(p.event.line, "the event has no end (END:VEVENT): is the file cut off?")
	}
	if len(p.faults) > 0 {
		return nil, p.faults
	}
	var items []Item
	for _, e := range p.events {
		if e.cancelled {
			continue
		}
		item, fault := e.item(p.moved[e.uid])
		if fault != nil {
			return nil, Errors{fault}
		}
		items = append(items, item)
	}
	return items, nil
}

// unfolded yields lines with their numbers; a line that begins with a space goes on with the one before.
func unfolded(text string) func(func(int, string) bool) {
	return func(yield func(int, string) bool) {
		begin, whole := 0, ""
		number := 0
		for line := range strings.SplitSeq(strings.TrimPrefix(text, "\ufeff"), "\n") {
			number++
			line = strings.TrimSuffix(line, "\r")
			if begin > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
				whole += line[1:]
				continue
			}
			if begin > 0 && !yield(begin, whole) {
				return
			}
			begin, whole = number, line
		}
		if begin > 0 {
			yield(begin, whole)
		}
	}
}

type icsParser struct {
	begun  bool
	inside []string // components that are open
	event  *icsEvent
	events []*icsEvent
	moved  map[string][]string // by UID, which times of a recurrence have an event of their own, as EXDATE lines
	faults Errors
}

// icsEvent is what an event says that concerns its days.
type icsEvent struct {
	line                int
	uid, summary        string
	begin, end          icsTime
	duration            time.Duration
	rules               []string // lines of RFC 5545
	cancelled, replaces bool
}

// icsTime is a time as a property has it.
type icsTime struct {
	text string // local, as Item has it; empty when there is none
	zone string // in which it is; empty when it floats
	day  bool
}

func (p *icsParser) fault(line int, format string, args ...any) {
	p.faults = append(p.faults, &Error{Code: CodeICS, Item: line, Message: fmt.Sprintf(format, args...)})
}

func (p *icsParser) line(line string, number int) {
	if strings.TrimSpace(line) == "" {
		return
	}
	name, parameters, value, ok := property(line)
	if !p.begun && (name != "BEGIN" || !strings.EqualFold(value, "VCALENDAR")) {
		p.fault(number, "this is no iCalendar file: it begins with BEGIN:VCALENDAR")
		return
	}
	p.begun = true
	if !ok {
		p.fault(number, "%.60q is no property: want NAME:VALUE", line)
		return
	}
	switch {
	case name == "BEGIN":
		p.inside = append(p.inside, strings.ToUpper(value))
		if strings.EqualFold(value, "VEVENT") && p.event == nil {
			p.event = &icsEvent{line: number}
		}
	case name == "END":
		p.ends(strings.ToUpper(value), number)
	case p.event != nil && p.inside[len(p.inside)-1] == "VEVENT":
		p.member(name, parameters, value, number)
	}
}

func (p *icsParser) ends(component string, number int) {
	last := len(p.inside) - 1
	if last < 0 || p.inside[last] != component {
		p.fault(number, "END:%.40s ends nothing that has begun", component)
		return
	}
	p.inside = p.inside[:last]
	if component == "VEVENT" && p.event != nil {
		if p.event.begin.text == "" && !p.event.cancelled {
			p.fault(p.event.line, "the event has no DTSTART")
		}
		p.events, p.event = append(p.events, p.event), nil
	}
}

// property takes a line apart. A parameter in quotes may have a colon.
func property(line string) (name string, parameters map[string]string, value string, ok bool) {
	quoted, end := false, -1
	for i, r := range line {
		if r == '"' {
			quoted = !quoted
		}
		if r == ':' && !quoted {
			end = i
			break
		}
	}
	if end < 1 {
		return "", nil, "", false
	}
	parts := strings.Split(line[:end], ";")
	parameters = map[string]string{}
	for _, part := range parts[1:] {
		key, value, _ := strings.Cut(part, "=")
		parameters[strings.ToUpper(key)] = strings.Trim(value, `"`)
	}
	return strings.ToUpper(parts[0]), parameters, line[end+1:], true
}

var icsText = strings.NewReplacer(`\n`, " ", `\N`, " ", `\,`, ",", `\;`, ";", `\\`, `\`)

func (p *icsParser) member(name string, parameters map[string]string, value string, number int) {
	e := p.event
	var err error
	switch name {
	case "UID":
		e.uid = value
	case "SUMMARY":
		e.summary = strings.TrimSpace(icsText.Replace(value))
	case "STATUS":
		e.cancelled = strings.EqualFold(value, "CANCELLED")
	case "DTSTART":
		e.begin, err = parseICSTime(parameters, value)
	case "DTEND":
		e.end, err = parseICSTime(parameters, value)
	case "DURATION":
		e.duration, err = parseDuration(value)
	case "RRULE":
		e.rules = append(e.rules, "RRULE:"+value)
	case "RDATE", "EXDATE":
		if parameters["VALUE"] == "PERIOD" {
			err = fmt.Errorf("periods are not read: give dates or times")
		}
		e.rules = append(e.rules, name+valueType(parameters)+":"+value)
	case "RECURRENCE-ID":
		e.replaces = true
		if _, err = parseICSTime(parameters, value); err == nil {
			p.moved[e.uid] = append(p.moved[e.uid], "EXDATE"+valueType(parameters)+":"+value)
		}
	}
	if err != nil {
		p.fault(number, "%s %.60q: %v", name, value, err)
	}
}

func valueType(parameters map[string]string) string {
	if strings.EqualFold(parameters["VALUE"], "DATE") {
		return ";VALUE=DATE"
	}
	return ""
}

func parseICSTime(parameters map[string]string, value string) (t icsTime, err error) {
	if at, err := time.Parse("20060102", value); err == nil {
		return icsTime{text: at.Format("2006-01-02"), day: true}, nil
	}
	at, err := time.Parse("20060102T150405", strings.TrimSuffix(value, "Z"))
	if err != nil {
		return t, fmt.Errorf("want a date (20270101) or a time (20270101T090000)")
	}
	t = icsTime{text: at.Format("2006-01-02T15:04:05"), zone: parameters["TZID"]}
	if strings.HasSuffix(value, "Z") {
		t.zone = "UTC"
	}
	if t.zone != "" {
		if _, err := zone.Load(t.zone); err != nil {
			return t, fmt.Errorf("%w: name it as the tz database does", err)
		}
	}
	return t, nil
}

// parseDuration reads a duration of RFC 5545: P15DT5H0M20S, P7W.
func parseDuration(text string) (d time.Duration, err error) {
	wrong := fmt.Errorf("want a duration such as P1D or PT2H30M")
	rest, ok := strings.CutPrefix(strings.TrimPrefix(text, "+"), "P")
	if !ok || rest == "" || len(rest) > 40 {
		return 0, wrong
	}
	units := map[byte]time.Duration{'W': 7 * 24 * time.Hour, 'D': 24 * time.Hour}
	number, digits := 0, 0
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= '0' && c <= '9' && digits < 6:
			number, digits = 10*number+int(c-'0'), digits+1
		case c == 'T' && digits == 0:
			units = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second}
		case digits > 0 && units[c] > 0:
			d += time.Duration(number) * units[c]
			number, digits = 0, 0
		default:
			return 0, wrong
		}
	}
	if digits > 0 || d <= 0 {
		return 0, wrong
	}
	return d, nil
}

// item returns the event as an item. moved are the times of its recurrence that have events of their own.
func (e *icsEvent) item(moved []string) (Item, *Error) {
	i := Item{From: e.begin.text, Timezone: e.begin.zone, Reason: shortened(e.summary)}
	layout := "2006-01-02T15:04:05"
	if e.begin.day {
		layout = "2006-01-02"
	}
	begin, _ := time.Parse(layout, e.begin.text) // it was made by us
	end := begin
	switch {
	case e.end.text != "":
		if e.end.day != e.begin.day || e.end.zone != e.begin.zone {
			return i, &Error{Code: CodeICS, Item: e.line, Message: "DTSTART and DTEND are of different kinds or zones"}
		}
		end, _ = time.Parse(layout, e.end.text)
	case e.duration > 0:
		end = begin.Add(e.duration)
	case e.begin.day:
		end = begin.AddDate(0, 0, 1)
	}
	if !end.After(begin) {
		return i, &Error{Code: CodeICS, Item: e.line, Message: "the event ends when it begins: it covers nothing"}
	}
	if e.begin.day {
		end = end.AddDate(0, 0, -1) // DTEND is the day after
	}
	if i.To = end.Format(layout); e.begin.day && i.To == i.From {
		i.To = ""
	}
	if !e.replaces && len(e.rules) > 0 {
		i.RRule = strings.Join(append(e.rules, moved...), "\n")
	}
	return i, nil
}

// shortened is a summary as a reason: without control characters, and no longer than one may be.
func shortened(summary string) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, summary))
	return string(runes[:min(len(runes), MaxReason)])
}
