package importer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// rule is a recurrence rule (RFC 5545) as RedBeat stores it, with dateutil's names. A start or an end is in seconds
// since 1970, beside the minutes by which its zone was ahead of UTC then; that offset is the rule's for ever.
type rule struct {
	Freq       json.RawMessage `json:"freq"`
	Start      *float64        `json:"dtstart"`
	Offset     float64         `json:"dtstart_tz"`
	Until      *float64        `json:"until"`
	Interval   *int            `json:"interval"`
	WeekStart  json.RawMessage `json:"wkst"`
	Count      *int            `json:"count"`
	SetPos     json.RawMessage `json:"bysetpos"`
	YearDay    json.RawMessage `json:"byyearday"`
	Easter     json.RawMessage `json:"byeaster"`
	WeekNo     json.RawMessage `json:"byweekno"`
	ByMonth    json.RawMessage `json:"bymonth"`
	ByMonthDay json.RawMessage `json:"bymonthday"`
	ByWeekday  json.RawMessage `json:"byweekday"`
	ByHour     json.RawMessage `json:"byhour"`
	ByMinute   json.RawMessage `json:"byminute"`
	BySecond   json.RawMessage `json:"bysecond"`
}

// Some of the frequencies, in dateutil's numbers.
const (
	yearly   = 0
	weekly   = 2
	secondly = 6
)

// freqs are the frequencies of RFC 5545, by dateutil's numbers.
var freqs = []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}

// days are the weekdays of RFC 5545, by dateutil's numbers.
var days = []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}

// into sets the trigger of a definition to the same rule in the terms of RFC 5545. It returns the reason when the rule
// has none, or when RFC 5545 and dateutil, by which RedBeat goes, mean different times by it.
func (r rule) into(d *domain.Definition) (why string) {
	freq, err := strconv.Atoi(string(r.Freq))
	every := 1
	if r.Interval != nil {
		every = *r.Interval
	}
	switch {
	case err != nil || freq < yearly || freq > secondly || every < 1:
		return "its frequency cannot be read"
	case r.Start == nil:
		return "it has no dtstart, so that RedBeat starts it anew each time that it reads the rule"
	case said(r.Easter):
		return "RFC 5545 has no days from Easter"
	case freq == weekly && said(r.SetPos):
		return "its first week is not a whole one to dateutil"
	}
	start := time.Unix(int64(*r.Start), 0).In(time.FixedZone("", int(r.Offset*60)))
	timezone, named := fixedZone(r.Offset)
	if !named {
		if freq < weekly || r.local() {
			return fmt.Sprintf("its offset of %g minutes has no name", r.Offset)
		}
		start, timezone = start.UTC(), "UTC" // where a rule without times of the clock is the same
	}
	parts, why := r.parts(freq, every)
	if why != "" {
		return why
	}
	d.RRule = "DTSTART:" + start.Format("20060102T150405") + "\nRRULE:" + strings.Join(parts, ";")
	d.Timezone = timezone
	if r.Until != nil {
		d.EndsAt = time.Unix(int64(*r.Until), 0).UTC().Format(time.RFC3339)
	}
	return ""
}

// local reports whether the rule names times of a clock or a calendar.
func (r rule) local() bool {
	return said(r.SetPos, r.YearDay, r.WeekNo, r.ByMonth, r.ByMonthDay, r.ByWeekday, r.ByHour, r.ByMinute, r.BySecond)
}

// parts returns the parts of RRULE.
func (r rule) parts(freq, every int) (parts []string, why string) {
	parts = []string{"FREQ=" + freqs[freq]}
	if every > 1 {
		parts = append(parts, "INTERVAL="+strconv.Itoa(every))
	}
	if r.Count != nil {
		parts = append(parts, "COUNT="+strconv.Itoa(*r.Count))
	}
	for _, member := range []struct {
		name  string
		raw   json.RawMessage
		write func(int) (string, bool)
	}{
		{"WKST", r.WeekStart, day},
		{"BYMONTH", r.ByMonth, digits},
		{"BYWEEKNO", r.WeekNo, digits},
		{"BYYEARDAY", r.YearDay, digits},
		{"BYMONTHDAY", r.ByMonthDay, digits},
		{"BYDAY", r.ByWeekday, day},
		{"BYHOUR", r.ByHour, digits},
		{"BYMINUTE", r.ByMinute, digits},
		{"BYSECOND", r.BySecond, digits},
		{"BYSETPOS", r.SetPos, digits},
	} {
		values, ok := numbers(member.raw)
		if !ok {
			return nil, "a member of it cannot be read"
		}
		var texts []string
		for _, v := range values {
			text, ok := member.write(v)
			if !ok {
				return nil, fmt.Sprintf("there is no weekday %d", v)
			}
			texts = append(texts, text)
		}
		switch {
		case texts != nil:
			parts = append(parts, member.name+"="+strings.Join(texts, ","))
		case member.name == "BYDAY" && said(member.raw):
			return nil, "its list of weekdays is empty"
		}
	}
	if said(r.WeekNo) && slices.ContainsFunc(parts, func(p string) bool {
		return strings.HasPrefix(p, "WKST=") && p != "WKST=MO"
	}) {
		return nil, "dateutil numbers the last week of a year otherwise when weeks do not begin on Monday"
	}
	return parts, ""
}

func digits(v int) (string, bool) { return strconv.Itoa(v), true }

// day writes a weekday, of which dateutil counts Monday as 0.
func day(v int) (string, bool) {
	if v < 0 || v >= len(days) {
		return "", false
	}
	return days[v], true
}

// said reports whether any of the members is present.
func said(members ...json.RawMessage) bool {
	return slices.ContainsFunc(members, func(m json.RawMessage) bool { return len(m) > 0 && string(m) != "null" })
}

// fixedZone returns the IANA name of an offset in minutes. Only whole hours have one, whose sign is the reverse of the
// offset's.
func fixedZone(minutes float64) (string, bool) {
	hours := int(minutes / 60)
	switch {
	case minutes == 0:
		return "UTC", true
	case float64(hours*60) != minutes || hours < -12 || hours > 14:
		return "", false
	}
	return fmt.Sprintf("Etc/GMT%+d", -hours), true
}

// numbers parses a number or a list of numbers, in which a weekday may be an object. It returns nil for an absent
// member.
func numbers(raw json.RawMessage) (values []int, ok bool) {
	if !said(raw) {
		return nil, true
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	for _, item := range list {
		var v int
		if json.Unmarshal(item, &v) != nil {
			var day struct {
				Weekday *int `json:"wkday"`
			}
			if json.Unmarshal(item, &day) != nil || day.Weekday == nil {
				return nil, false
			}
			v = *day.Weekday
		}
		values = append(values, v)
	}
	return values, true // an empty list counts as absent, as for dateutil
}
