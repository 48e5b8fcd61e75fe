package importer

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Script prints the static beat_schedule of a Celery application for ParseCelery. It is run where the application is.
//
//go:embed beat_schedule.py
var Script string

// ParseCelery reads what Script printed. Its zone is that of the application.
func ParseCelery(raw []byte) (entries []Entry, timezone string, err error) {
	var printed struct {
		Timezone  string      `json:"timezone"`
		Schedules []beatEntry `json:"schedules"`
	}
	if err := json.Unmarshal(raw, &printed); err != nil {
		return nil, "", fmt.Errorf("this is not what the script prints: %w", err)
	}
	for _, b := range printed.Schedules {
		entries = append(entries, b.entry(time.Time{}))
	}
	return entries, printed.Timezone, nil
}

// beatEntry is an entry of Celery's beat, in the JSON that RedBeat keeps.
type beatEntry struct {
	Name     string                     `json:"name"`
	Task     string                     `json:"task"`
	Args     json.RawMessage            `json:"args"`
	Kwargs   json.RawMessage            `json:"kwargs"`
	Options  map[string]json.RawMessage `json:"options"`
	Schedule struct {
		Type       string          `json:"__type__"`
		Every      float64         `json:"every"`
		Relative   bool            `json:"relative"`
		Minute     json.RawMessage `json:"minute"`
		Hour       json.RawMessage `json:"hour"`
		DayOfWeek  json.RawMessage `json:"day_of_week"`
		DayOfMonth json.RawMessage `json:"day_of_month"`
		Month      json.RawMessage `json:"month_of_year"`
		rule
	} `json:"schedule"`
	Enabled *bool `json:"enabled"`
}

// entry makes a definition of it. An interval goes on from its last run; one that is relative keeps to the clock.
func (b beatEntry) entry(lastRun time.Time) Entry {
	e := Entry{LastRun: lastRun, Definition: domain.Definition{Name: b.Name, TaskName: b.Task, Args: b.Args, Kwargs: b.Kwargs, Enabled: b.Enabled}}
	d, s := &e.Definition, b.Schedule
	switch s.Type {
	case "crontab":
		fields := []string{field(s.Minute), field(s.Hour), field(s.DayOfMonth), field(s.Month), field(s.DayOfWeek)}
		d.CronExpression = strings.Join(fields, " ")
		e.Typed = d.CronExpression
	case "interval":
		d.IntervalSeconds = s.Every
		switch {
		case s.Relative:
			d.IntervalAnchor = time.Unix(0, 0).UTC().Format(time.RFC3339)
		case !lastRun.IsZero():
			d.IntervalAnchor = lastRun.UTC().Format(time.RFC3339Nano)
		}
	case "rrule":
		if why := s.into(d); why != "" {
			e.Refused = fmt.Sprintf("trigger_unsupported at /schedule: the rule cannot be brought in, because %s: use a crontab or an interval", why)
		} else if s.Offset != 0 {
			e.Notes = append(e.Notes, fmt.Sprintf("RedBeat keeps its offset of %g minutes for ever: set timezone where the clocks change", s.Offset))
		}
	default:
		e.Refused = fmt.Sprintf("trigger_unsupported at /schedule: %q schedules cannot be brought in: use a crontab or an interval", s.Type)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Options)) {
		if !option(d, name, b.Options[name]) {
			e.Notes = append(e.Notes, fmt.Sprintf("the option %s (%s) is left behind", name, b.Options[name]))
		}
	}
	return e
}

// field is a field of a crontab: a text, a number, or a list of numbers; absent, it is any.
func field(raw json.RawMessage) string {
	var value any
	if json.Unmarshal(raw, &value) != nil || value == nil {
		return "*"
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = strings.ReplaceAll(fmt.Sprint(v), " ", "")
	}
	return strings.Join(texts, ",")
}

// option carries an option of apply_async over; false when there is nothing here that does the same.
func option(d *domain.Definition, name string, raw json.RawMessage) bool {
	if string(raw) == "null" {
		return true
	}
	into := map[string]any{
		"queue": &d.Queue, "exchange": &d.Exchange, "routing_key": &d.RoutingKey, "priority": &d.Priority, "headers": &d.Headers,
		"ignore_result": &d.IgnoreResult, "shadow": &d.Shadow,
	}[name]
	if into != nil {
		return json.Unmarshal(raw, into) == nil
	}
	seconds := map[string]*int64{"expires": &d.ExpiresSeconds, "time_limit": &d.TimeLimitSeconds, "soft_time_limit": &d.SoftTimeLimitSeconds}[name]
	var value float64
	if seconds == nil || json.Unmarshal(raw, &value) != nil || value < 0 {
		return false
	}
	*seconds = int64(math.Ceil(value))
	return true
}
