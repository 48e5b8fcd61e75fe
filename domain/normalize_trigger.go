package domain

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
	"github.com/tactus-dev/tactus/domain/zone"
)

// trigger checks the kind of trigger, its zone, its times and its recurrence, in that order, because each needs the
// ones before. Which of several triggers is meant nobody knows, so each is read for its own faults.
func (n *normalizer) trigger() {
	one := n.oneTrigger()
	n.parseCron(one)
	n.parseRRule()
	location, ok := n.location()
	if !ok {
		return
	}
	before := Definition{}
	if p := n.context.Previous; p != nil && p.Timezone == n.Timezone {
		before = *p
	}
	n.RunAt = n.instant(n.timeMember(), n.RunAt, before.RunAt, location)
	n.IntervalAnchor = n.instant("interval_anchor", n.IntervalAnchor, before.IntervalAnchor, location)
	n.StartsAt = n.instant("starts_at", n.StartsAt, before.StartsAt, location)
	n.EndsAt = n.instant("ends_at", n.EndsAt, before.EndsAt, location)
	if !one || slices.ContainsFunc(n.faults, decidesDueTimes) {
		return
	}
	if n.RRule != "" {
		n.RRule = n.canonicalRRule(location)
	}
	if n.IntervalSeconds != 0 && n.IntervalAnchor == "" {
		n.IntervalAnchor = n.phase(location)
	}
	n.warn()
	n.dueTimes()
}

// decidesDueTimes reports whether a fault is of a member without which nothing can be said of due times.
func decidesDueTimes(fault *Error) bool {
	return slices.Contains([]string{
		"/cron_expression", "/cron_dialect", "/cron_seconds", "/preset_name", "/interval_seconds", "/interval_anchor",
		"/run_at", "/rrule", "/timezone", "/dst_gap", "/dst_overlap", "/starts_at", "/ends_at", "/jitter_seconds",
		"/spread_seconds",
	}, fault.Field)
}

// timeMember is where run_at is written: in a member of its own, or as at(...) in the expression.
func (n *normalizer) timeMember() string {
	if n.timeInCron {
		return "cron_expression"
	}
	return "run_at"
}

// phase is that of the same interval so far, or now: saying it again does not move it.
func (n *normalizer) phase(location *time.Location) string {
	if p := n.context.Previous; p != nil && p.IntervalSeconds == n.IntervalSeconds && p.IntervalAnchor != "" {
		return p.IntervalAnchor
	}
	return local(n.context.Now.Truncate(time.Millisecond), location).Format(time.RFC3339Nano)
}

// warn collects what may surprise in the canonical trigger.
func (n *normalizer) warn() {
	if n.IgnoreResult && (n.ExecutionPolicy == OverlapSkip || n.ExecutionPolicy == OverlapQueue) {
		n.warnings = append(n.warnings,
			Warning{"overlap_without_result", "the task ignores its result, so only the events of its worker (worker -E) tell when a run ends: without them the next one is kept back until the run counts as lost"})
	}
	if n.CronExpression == "" {
		return
	}
	spec, err := cron.Parse(n.CronExpression,
		cron.Options{Dialect: cron.Dialect(n.CronDialect), Seconds: n.CronSeconds})
	if err != nil {
		return // a fault, which is told elsewhere
	}
	for _, w := range spec.Warnings() {
		if w.Code != cron.WarningForeign { // which told whoever typed the expression
			n.warnings = append(n.warnings, Warning{w.Code, w.Message})
		}
	}
}

// oneTrigger reports whether there is one trigger, which can be told from the others.
func (n *normalizer) oneTrigger() bool {
	typed := n.CronExpression != ""
	preset := n.preset()
	var given []string
	if typed {
		given = append(given, "cron_expression")
	} else if n.PresetName != "" {
		given = append(given, "preset_name")
	}
	inRange := true
	if n.IntervalSeconds != 0 {
		given, inRange = append(given, "interval_seconds"), n.intervalInRange("/interval_seconds")
	}
	if n.RunAt != "" {
		given = append(given, "run_at")
	}
	if n.RRule != "" {
		given = append(given, "rrule")
	}
	switch {
	case len(given) > 1:
		n.faults.add("trigger_ambiguous", "/"+given[1], "a schedule has one trigger, not %s: give one of them",
			strings.Join(given, " and "))
		return false
	case len(given) == 0:
		n.faults.add("trigger_missing", "",
			"say when: give one of cron_expression, interval_seconds, run_at, rrule, preset_name")
		return false
	}
	return preset && inRange
}

// preset takes the expression of the preset that is named. It reports whether there is nothing wrong with the name.
func (n *normalizer) preset() bool {
	if n.PresetName == "" {
		return true
	}
	preset, known := presetByName(n.PresetName)
	if !known {
		n.faults.add("preset_unknown", "/preset_name",
			"there is no preset %q: list them at /api/v1/schedules/presets", n.PresetName)
		return false
	}
	if n.CronExpression == "" {
		n.CronExpression = preset.CronExpression
	}
	if n.CronExpression != preset.CronExpression {
		n.faults.add("trigger_ambiguous", "/preset_name",
			"preset %s is %q but cron_expression is %q: give one of them", preset.Name, preset.CronExpression, n.CronExpression)
		return false
	}
	return true
}

func (n *normalizer) intervalInRange(member string) bool {
	switch s := n.IntervalSeconds; {
	case s == 0:
		return true
	case s < 1:
		n.faults.add("interval_too_small", member, "%v: at least 1 second", s)
	case s != math.Trunc(s):
		n.faults.add("trigger_unsupported", member, "%v: whole seconds only", s)
	case s > maxSeconds:
		n.faults.add("out_of_range", member, "%v: at most %d seconds", s, int64(maxSeconds))
	default:
		return true
	}
	return false
}

// parseCron brings the expression to its canonical form, and takes out of it what has a member of its own: a zone
// prefix, an interval written as "@every 90s" or "rate(5 minutes)", or a time written as "at(...)". Where it is one of
// several triggers, it is only read for its faults.
func (n *normalizer) parseCron(one bool) {
	if n.CronExpression == "" || utf8.RuneCountInString(n.CronExpression) > maxCron || // which texts has told
		!slices.Contains(cron.Dialects, cron.Dialect(n.CronDialect)) { // which policies has told
		return
	}
	seconds := n.CronSeconds
	if n.CronDialect == string(cron.AWS) && seconds {
		n.faults.add(cron.CodeSyntax, "/cron_seconds",
			"aws has no seconds: leave cron_seconds out, or use dialect quartz")
		seconds = false
	}
	spec, err := cron.Parse(n.CronExpression, cron.Options{Dialect: cron.Dialect(n.CronDialect), Seconds: seconds})
	if err != nil {
		n.cronFault("/cron_expression", err)
		return
	}
	n.warnOfTyping(spec)
	if prefix := spec.Zone(); prefix != "" {
		if n.Timezone != "" && n.Timezone != prefix {
			n.faults.add("trigger_ambiguous", "/timezone", "the expression says %s, timezone says %s: give one of them",
				prefix, n.Timezone)
		}
		n.Timezone = prefix
	}
	if !one {
		return
	}
	if every, ok := spec.Every(); ok {
		n.CronExpression, n.IntervalSeconds = "", every.Seconds()
		n.intervalInRange("/cron_expression")
		return
	}
	if at, ok := spec.At(); ok {
		n.CronExpression, n.RunAt, n.timeInCron = "", at, true
		return
	}
	if n.PresetName == "" {
		n.CronExpression = spec.String()
	}
	if n.CronDialect == string(cron.Quartz) {
		n.CronSeconds = false // its expressions have seconds anyway
	}
}

// warnOfTyping passes on what the canonical form would not show any more: that the expression looks like one of another
// dialect. Whoever brings back an expression as it is stored has been told.
func (n *normalizer) warnOfTyping(spec cron.Spec) {
	if p := n.context.Previous; p != nil && p.CronExpression == n.CronExpression && p.CronDialect == n.CronDialect {
		return
	}
	for _, w := range spec.Warnings() {
		if w.Code == cron.WarningForeign {
			n.warnings = append(n.warnings, Warning{w.Code, w.Message})
		}
	}
}

func (n *normalizer) cronFault(field string, err error) {
	var e *cron.Error
	if errors.As(err, &e) {
		n.faults.add(e.Code, field, "%s", error(e))
		return
	}
	n.faults.add("cron_syntax", field, "%s", err)
}

// location is that of the zone named, else of the zone so far: a stored zone is never reinterpreted because a writer
// left it out whose default is another.
func (n *normalizer) location() (*time.Location, bool) {
	if n.Timezone == "" && n.context.Previous != nil {
		n.Timezone = n.context.Previous.Timezone
	}
	if n.Timezone == "" {
		n.Timezone = n.context.Timezone
	}
	if n.Timezone == "" {
		n.Timezone = "UTC"
	}
	if utf8.RuneCountInString(n.Timezone) > maxName { // which texts has told
		return nil, false
	}
	location, err := zone.Load(n.Timezone)
	if err != nil {
		n.faults = append(n.faults, TriggerFault(err))
	}
	return location, err == nil
}

// TriggerFault tells of an error of Trigger.Recurrence what the API would: code, member and mend.
func TriggerFault(err error) *Error {
	if e, ok := errors.AsType[*cron.Error](err); ok {
		return &Error{Kind: Invalid, Code: e.Code, Field: "/cron_expression", Message: e.Error()}
	}
	if e, ok := errors.AsType[*rrule.Error](err); ok {
		return &Error{Kind: Invalid, Code: e.Code, Field: "/rrule", Message: e.Error()}
	}
	if e, ok := errors.AsType[rrule.Errors](err); ok {
		return &Error{Kind: Invalid, Code: rrule.CodeSyntax, Field: "/rrule", Message: e.Error()}
	}
	code := "timezone_unknown"
	if errors.Is(err, zone.ErrAbbreviation) {
		code = "timezone_abbreviation"
	}
	return &Error{Kind: Invalid, Code: code, Field: "/timezone", Message: err.Error()}
}

// instant reads RFC 3339, or a local time of the schedule's zone, and writes it as RFC 3339 with the zone's offset. The
// instant that stood there before stays as it was written.
func (n *normalizer) instant(field, text, before string, location *time.Location) string {
	if text == "" {
		return ""
	}
	t, err := parseTime(text, location, cron.GapPolicy(n.DSTGap), cron.OverlapPolicy(n.DSTOverlap))
	if err != nil {
		n.faults.add("time_invalid", "/"+field, "%v", err)
		return ""
	}
	t = t.Truncate(time.Microsecond) // as PostgreSQL keeps it
	if so, err := time.Parse(time.RFC3339Nano, before); err == nil && so.Equal(t) {
		return before // SQL spells it in UTC
	}
	return local(t, location).Format(time.RFC3339Nano)
}

// Times of a schedule lie in these years.
const (
	minYear = 1970
	maxYear = 2200
)

func inYears(t time.Time) bool { return t.UTC().Year() >= minYear && t.UTC().Year() <= maxYear }

func parseTime(
	text string, location *time.Location, gap cron.GapPolicy, overlap cron.OverlapPolicy,
) (time.Time, error) {
	t, err := parseAnyTime(text, location, gap, overlap)
	if err == nil && !inYears(t) {
		return time.Time{}, fmt.Errorf("%q is outside the years %d to %d", text, minYear, maxYear)
	}
	return t, err
}

func parseAnyTime(
	text string, location *time.Location, gap cron.GapPolicy, overlap cron.OverlapPolicy,
) (time.Time, error) {
	if len(text) > maxTime {
		return time.Time{}, fmt.Errorf("%q is not a time: more than %d characters", firstCharacters(text, maxTime),
			maxTime)
	}
	if t, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04"} {
		wall, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		t, ok := cron.ResolveLocal(wall, location, gap, overlap)
		if !ok {
			return time.Time{}, fmt.Errorf("%q does not exist in %s: daylight saving skips it", text, location)
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is not a time: want RFC 3339 (2026-03-08T02:30:00+09:00), or without offset for local time", text)
}

// dueTimes checks what can only be said of the whole trigger: that it is ever due, and that its delays fit.
func (n *normalizer) dueTimes() {
	starts, ends := instant(n.StartsAt), instant(n.EndsAt)
	if !starts.IsZero() && !ends.IsZero() && !ends.After(starts) {
		n.faults.add("end_before_start", "/ends_at", "%s is not after starts_at %s", n.EndsAt, n.StartsAt)
		ends = time.Time{} // whichever of them is wrong
	}
	trigger, anchor := n.Definition.Trigger()
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil {
		n.faults = append(n.faults, TriggerFault(err))
		return
	}
	if n.sameTrigger() {
		return
	}
	if trigger.Once && !anchor.After(n.context.Now) {
		n.faults = append(n.faults, Schedule{Definition: n.Definition}.Past())
		return
	}
	after := n.context.Now
	first, ok := Policy{StartsAt: starts, EndsAt: ends}.Next(recurrence, after)
	if !ok {
		if _, ever := recurrence.Next(after); !ever {
			if n.RRule != "" {
				n.faults.add(rrule.CodeNeverFires, "/rrule", "it is not due any more: its last time is past")
				return
			}
			n.faults.add("cron_never_fires", "/cron_expression", "%q is not due any more, or not within 40 years",
				n.CronExpression)
			return
		}
		n.faults.add("no_fire_in_window", "/ends_at", nothingDue)
		return
	}
	if second, ok := recurrence.Next(first); ok {
		n.delays(second.Sub(first))
	}
}

// delays checks that jitter and spread end before the next due time.
func (n *normalizer) delays(gap time.Duration) {
	jitter, spread := time.Duration(n.JitterSeconds)*time.Second, time.Duration(n.SpreadSeconds)*time.Second
	switch {
	case jitter >= gap:
		n.faults.add("jitter_too_large", "/jitter_seconds", "%d seconds reach the next due time, %s later: give less",
			n.JitterSeconds, gap)
	case spread > 0 && jitter > 0 && jitter+spread >= gap:
		n.faults.add("spread_too_large", "/spread_seconds",
			"%d seconds, and %d of jitter_seconds behind them, reach the next due time, %s later: give less",
			n.SpreadSeconds, n.JitterSeconds, gap)
	case spread >= gap:
		n.faults.add("spread_too_large", "/spread_seconds", "%d seconds reach the next due time, %s later: give less",
			n.SpreadSeconds, gap)
	}
}

// sameTrigger reports whether the stored schedule already had this trigger: what was accepted once stays accepted.
func (n *normalizer) sameTrigger() bool {
	p := n.context.Previous
	return p != nil && timing(*p) == timing(n.Definition) && p.JitterSeconds == n.JitterSeconds &&
		p.SpreadSeconds == n.SpreadSeconds
}

// timing is the text by which two definitions are due at the same times. What was written by SQL has its cron
// expression as it was typed. Jitter and spread are not in it: they move when a due time fires, and an edit of them
// between the two must not lose the run.
func timing(d Definition) string {
	trigger, anchor := d.Trigger()
	if spec, err := cron.Parse(trigger.Cron,
		cron.Options{Dialect: cron.Dialect(trigger.Dialect), Seconds: trigger.Seconds}); err == nil {
		trigger.Cron = spec.String()
	}
	if trigger.Dialect == recurrenceDialect {
		trigger.Cron = rrule.Canonical(trigger.Cron, time.Time{})
	}
	return fmt.Sprint(trigger, anchor.UnixMicro(), instant(d.StartsAt).UnixMicro(), instant(d.EndsAt).UnixMicro(), d.calendarRule())
}
