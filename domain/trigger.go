package domain

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
	"github.com/tactus-dev/tactus/domain/zone"
)

// Recurrence answers when something is due. Due times strictly increase, and every call is bounded.
type Recurrence interface {
	// Next is the first due time after the instant; false when there is none within 40 years (with a year field, ever).
	Next(after time.Time) (time.Time, bool)
	// Prev is the last due time before the instant; false when there is none within 40 years (with a year field, ever).
	Prev(before time.Time) (time.Time, bool)
}

// Trigger is when a schedule is due, in its canonical form: exactly one of Cron, Every and Once.
// The anchor of an interval and the instant of Once are kept beside it, so that triggers of many schedules are equal
// texts, which the beat keeps once.
type Trigger struct {
	Cron     string `json:"cron,omitempty"`
	Dialect  string `json:"dialect,omitempty"`
	Seconds  bool   `json:"seconds,omitempty"`
	Timezone string `json:"timezone,omitempty"`
	Gap      string `json:"gap,omitempty"`
	Overlap  string `json:"overlap,omitempty"`
	Every    int64  `json:"every,omitempty"` // seconds
	Once     bool   `json:"once,omitempty"`
}

// recurrenceDialect marks a trigger whose Cron is a recurrence of RFC 5545: a field of its own would make all triggers
// larger.
const recurrenceDialect = "rrule"

// Trigger returns the canonical trigger of a normalized definition, and its anchor: the phase of an interval
// (zero when it is the time of creation) or the instant of run_at.
func (d Definition) Trigger() (Trigger, time.Time) {
	switch {
	case d.RunAt != "":
		return Trigger{Once: true}, instant(d.RunAt)
	case d.IntervalSeconds != 0:
		return Trigger{Every: int64(d.IntervalSeconds)}, instant(d.IntervalAnchor)
	case d.RRule != "":
		return Trigger{Cron: d.RRule, Dialect: recurrenceDialect, Timezone: d.Timezone, Gap: d.DSTGap, Overlap: d.DSTOverlap}, time.Time{}
	default:
		return Trigger{
			Cron: d.CronExpression, Dialect: d.CronDialect, Seconds: d.CronSeconds,
			Timezone: d.Timezone, Gap: d.DSTGap, Overlap: d.DSTOverlap,
		}, time.Time{}
	}
}

// ParseTrigger reads the text that Trigger.String gave.
func ParseTrigger(text string) (Trigger, error) {
	var t Trigger
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return Trigger{}, fmt.Errorf("parse trigger: %w", err)
	}
	return t, nil
}

func (t Trigger) String() string {
	text, _ := json.Marshal(t) // strings, integers and booleans always encode
	return string(text)
}

// Recurrence compiles the trigger. The anchor is that of an interval or of Once; the others have none.
func (t Trigger) Recurrence(anchor time.Time) (Recurrence, error) {
	return t.recurrence(anchor, zone.Load)
}

// RecurrenceIn compiles a trigger of local times with the data of a zone that may be another release's.
func (t Trigger) RecurrenceIn(location *time.Location) (Recurrence, error) {
	return t.recurrence(time.Time{}, func(string) (*time.Location, error) { return location, nil })
}

func (t Trigger) recurrence(anchor time.Time, load func(string) (*time.Location, error)) (Recurrence, error) {
	switch {
	case t.Once:
		return Once(anchor), nil
	case t.Every > 0:
		return Interval{Anchor: anchor, Every: time.Duration(t.Every) * time.Second}, nil
	case t.Dialect == recurrenceDialect:
		rule, err := rrule.Parse(t.Cron)
		if err != nil {
			return nil, err
		}
		location, err := load(t.Timezone)
		if err != nil {
			return nil, err
		}
		return rule.In(location, time.Time{}, cron.GapPolicy(t.Gap), cron.OverlapPolicy(t.Overlap))
	}
	spec, err := cron.Parse(t.Cron, cron.Options{Dialect: cron.Dialect(t.Dialect), Seconds: t.Seconds})
	if err != nil {
		return nil, err
	}
	location, err := load(t.Timezone)
	if err != nil {
		return nil, err
	}
	return spec.In(location, cron.GapPolicy(t.Gap), cron.OverlapPolicy(t.Overlap)), nil
}

// zoneOf is the zone of a normalized definition.
func zoneOf(d Definition) (*time.Location, error) { return zone.Load(d.Timezone) }

// Interval is due at Anchor + n x Every for every whole n, before the anchor too. Every is whole seconds, at least one.
type Interval struct {
	Anchor time.Time
	Every  time.Duration
}

// Next implements Recurrence.
func (i Interval) Next(after time.Time) (time.Time, bool) {
	return after.Add(i.Every - i.phase(after)), true
}

// Prev implements Recurrence.
func (i Interval) Prev(before time.Time) (time.Time, bool) {
	if phase := i.phase(before); phase > 0 {
		return before.Add(-phase), true
	}
	return before.Add(-i.Every), true
}

// phase is how far t is past the last due time at or before it. Seconds and nanoseconds are taken apart, because a
// time.Duration holds 292 years only.
func (i Interval) phase(t time.Time) time.Duration {
	every := int64(i.Every / time.Second)
	seconds := (t.Unix() - i.Anchor.Unix()) % every
	nanoseconds := int64(t.Nanosecond() - i.Anchor.Nanosecond())
	if nanoseconds < 0 {
		seconds, nanoseconds = seconds-1, nanoseconds+int64(time.Second)
	}
	if seconds < 0 {
		seconds += every
	}
	return time.Duration(seconds)*time.Second + time.Duration(nanoseconds)
}

// Once is due at one instant.
type Once time.Time

// Next implements Recurrence.
func (o Once) Next(after time.Time) (time.Time, bool) {
	return time.Time(o), time.Time(o).After(after)
}

// Prev implements Recurrence.
func (o Once) Prev(before time.Time) (time.Time, bool) {
	return time.Time(o), time.Time(o).Before(before)
}

// instant reads a normalized time; the zero time stands for none.
func instant(text string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, text) // Normalize has checked it
	return t
}
