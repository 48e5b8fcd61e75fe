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

// rule is a recurrence rule (RFC 5545) as RedBeat keeps one, with dateutil's words. A start or an end is in seconds since
// 1970, beside the minutes by which its zone was ahead then: that offset is the rule's for ever.
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

// Frequencies, as dateutil numbers them.
const (
	yearly = iota
	monthly
	weekly
	daily
	hourly
	minutely
	secondly
)

var periods = map[int]time.Duration{weekly: 7 * 24 * time.Hour, daily: 24 * time.Hour, hourly: time.Hour, minutely: time.Minute, secondly: time.Second}

// into makes the trigger of a definition say what the rule does; why tells what of it nothing here can say.
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
		return "it has no dtstart, so that RedBeat begins it anew whenever it reads it"
	case said(r.SetPos, r.YearDay, r.Easter, r.WeekNo):
		return "nothing here counts positions, days of the year, weeks or days from Easter"
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

func said(members ...json.RawMessage) bool {
	return slices.ContainsFunc(members, func(m json.RawMessage) bool { return len(m) > 0 && string(m) != "null" })
}

// interval is a rule that only steps on from its start. Its last step is known when it ends after a count.
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

// cron is a rule of every year, month, week, day, hour, minute or second. What it does not say it has of its start.
func (r rule) cron(d *domain.Definition, start time.Time, freq int) string {
	zone, ok := fixedZone(r.Offset)
	if !ok {
		return fmt.Sprintf("its offset of %g minutes has no name", r.Offset)
	}
	days := said(r.ByMonthDay, r.ByWeekday)
	fields := []struct {
		raw     json.RawMessage
		implied bool // when nothing is said, it is that of the start
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
				return fmt.Sprintf("nothing here says what its %d does", v)
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

// fixedZone is the IANA name of an offset; whole hours have one, with the sign turned.
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

func within(least, most int) func(int) (string, bool) {
	return func(v int) (string, bool) { return strconv.Itoa(v), v >= least && v <= most }
}

// monthDay also counts from the end of the month.
func monthDay(v int) (string, bool) {
	switch {
	case v == -1:
		return "L", true
	case v < -1 && v >= -28:
		return fmt.Sprintf("L-%d", -v-1), true
	}
	return within(1, 31)(v)
}

// weekday counts from Monday; to cron Sunday is 0.
func weekday(v int) (string, bool) { return strconv.Itoa((v + 1) % 7), v >= 0 && v <= 6 }

// numbers reads a number or a list of them, where a weekday may be an object; nil when nothing is said.
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
	return values, true // an empty list says nothing, as to dateutil
}
