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

// The frequencies, in dateutil's numbers.
const (
	yearly = iota
	monthly
	weekly
	daily
	hourly
	minutely
	secondly
)

var periods = map[int]time.Duration{
	weekly: 7 * 24 * time.Hour, daily: 24 * time.Hour, hourly: time.Hour,
	minutely: time.Minute, secondly: time.Second,
}

// into sets the trigger of a definition to what the rule does. It returns the reason when no trigger can do the same.
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
	case said(r.SetPos, r.YearDay, r.Easter, r.WeekNo):
		return "tactus has no triggers by position, day of the year, week, or days from Easter"
	}
	start := time.Unix(int64(*r.Start), 0).In(time.FixedZone("", int(r.Offset*60)))
	if r.Until != nil {
		d.EndsAt = time.Unix(int64(*r.Until), 0).UTC().Format(time.RFC3339)
	}
	period, even := periods[freq]
	even = even && !said(r.ByMonth, r.ByMonthDay, r.ByWeekday, r.ByHour, r.ByMinute, r.BySecond)
	switch {
	case r.Count != nil && *r.Count == 1 && even:
		d.RunAt, d.EndsAt = start.UTC().Format(time.RFC3339), ""
		return ""
	case even:
		return r.interval(d, start, time.Duration(every)*period)
	case r.Count != nil:
		return "it ends after a count, and how many have run is not known"
	case every > 1:
		return "it leaves out some of its periods"
	}
	d.StartsAt = start.UTC().Format(time.RFC3339)
	return r.cron(d, start, freq)
}

// said reports whether any of the members is present.
func said(members ...json.RawMessage) bool {
	return slices.ContainsFunc(members, func(m json.RawMessage) bool { return len(m) > 0 && string(m) != "null" })
}

// interval sets the trigger to a rule that only steps on from its start. When the rule ends after a count, its last
// step is the end.
func (r rule) interval(d *domain.Definition, start time.Time, every time.Duration) string {
	d.IntervalSeconds = every.Seconds()
	d.IntervalAnchor = start.UTC().Format(time.RFC3339)
	d.StartsAt = d.IntervalAnchor
	if r.Count != nil {
		if *r.Count < 1 || time.Duration(*r.Count) > 100*365*24*time.Hour/every {
			return "its count cannot be read"
		}
		last := start.Add(time.Duration(*r.Count-1) * every)
		if d.EndsAt == "" || last.Before(time.Unix(int64(*r.Until), 0)) {
			d.EndsAt = last.UTC().Format(time.RFC3339)
		}
	}
	return ""
}

// cron sets the trigger to a rule of every year, month, week, day, hour, minute or second. A field that the rule does
// not set has the value of the start.
func (r rule) cron(d *domain.Definition, start time.Time, freq int) string {
	zone, ok := fixedZone(r.Offset)
	if !ok {
		return fmt.Sprintf("its offset of %g minutes has no name", r.Offset)
	}
	days := said(r.ByMonthDay, r.ByWeekday)
	fields := []struct {
		raw     json.RawMessage
		implied bool // whether an absent field has the value of the start
		start   int
		write   func(int) (string, bool)
	}{
		{r.BySecond, freq < secondly, start.Second(), within(0, 59)},
		{r.ByMinute, freq < minutely, start.Minute(), within(0, 59)},
		{r.ByHour, freq < hourly, start.Hour(), within(0, 23)},
		{r.ByMonthDay, freq <= monthly && !days, start.Day(), monthDay},
		{r.ByMonth, freq == yearly && !days, int(start.Month()), within(1, 12)},
		{r.ByWeekday, freq == weekly && !days, (int(start.Weekday()) + 6) % 7, weekday},
	}
	texts := make([]string, len(fields))
	for i, f := range fields {
		values, ok := numbers(f.raw)
		if !ok {
			return "a member of it cannot be read"
		}
		if values == nil && f.implied {
			values = []int{f.start}
		}
		texts[i] = "*"
		if values == nil {
			continue
		}
		var parts []string
		for _, v := range values {
			part, ok := f.write(v)
			if !ok {
				return fmt.Sprintf("no cron expression can say what its %d does", v)
			}
			parts = append(parts, part)
		}
		texts[i] = strings.Join(parts, ",")
	}
	d.Timezone = zone
	if d.CronSeconds = texts[0] != "0"; !d.CronSeconds {
		texts = texts[1:]
	}
	d.CronExpression = strings.Join(texts, " ")
	return ""
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

// within returns a function that writes a number, and reports whether the number is from least to most.
func within(least, most int) func(int) (string, bool) {
	return func(v int) (string, bool) { return strconv.Itoa(v), v >= least && v <= most }
}

// monthDay writes a day of the month. A negative one counts from the end.
func monthDay(v int) (string, bool) {
	switch {
	case v == -1:
		return "L", true
	case v < -1 && v >= -28:
		return fmt.Sprintf("L-%d", -v-1), true
	}
	return within(1, 31)(v)
}

// weekday writes a weekday. dateutil counts from Monday as 0, cron from Sunday.
func weekday(v int) (string, bool) { return strconv.Itoa((v + 1) % 7), v >= 0 && v <= 6 }

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
