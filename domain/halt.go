package domain

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain/cron"
)

// Halt tells who keeps a schedule from firing, why, and for how long. A pause lasts while the schedule is disabled. A
// skip leaves out the due times up to an instant. A schedule that can fire no more is completed. None of it is part of
// the definition, which only says whether the schedule is enabled.
type Halt struct {
	PausedAt    time.Time `json:"paused_at,omitzero" readOnly:"true" doc:"Since when it is disabled."`
	PausedUntil time.Time `json:"paused_until,omitzero" readOnly:"true" doc:"When it is enabled again by itself."`
	PausedBy    string    `json:"paused_by,omitempty" readOnly:"true" doc:"Who disabled it."`
	PauseReason string    `json:"pause_reason,omitempty" readOnly:"true" doc:"Why it is disabled."`
	PauseGroup  string    `json:"pause_group,omitempty" readOnly:"true" doc:"The operation that disabled it together with others; whoever undoes that operation enables these alone."`
	SkipUntil   time.Time `json:"skip_until,omitzero" readOnly:"true" doc:"Due times up to this one are skipped."`
	SkippedBy   string    `json:"skipped_by,omitempty" readOnly:"true" doc:"Who skips them."`
	SkipReason  string    `json:"skip_reason,omitempty" readOnly:"true" doc:"Why they are skipped."`
	CompletedAt time.Time `json:"completed_at,omitzero" readOnly:"true" doc:"Since when it can fire no more."`
}

// States of a schedule. It fires only when it is active.
const (
	Active    = "active"
	Paused    = "paused"    // disabled, by hand
	Completed = "completed" // it can fire no more
	Unfit     = "invalid"   // it cannot be scheduled as it is
)

// State returns the state of a schedule. What is invalid is nothing else, and what is completed is not paused.
func (s Schedule) State() string { return s.Halt.State(s.InvalidReason, s.IsEnabled()) }

// State returns the state of a schedule that is invalid for a reason (or valid, without one), and enabled or not.
func (h Halt) State(invalidReason string, enabled bool) string {
	switch {
	case invalidReason != "":
		return Unfit
	case !h.CompletedAt.IsZero():
		return Completed
	case !enabled:
		return Paused
	}
	return Active
}

// Pause is what is said when a schedule is disabled. Each member may be empty.
type Pause struct {
	By, Reason string
	Group      string    // the operation on many schedules that this pause is part of
	Until      time.Time // when the schedule is enabled again by itself
}

// pause returns the pause of a halt.
func (h Halt) pause() Pause { return Pause{h.PausedBy, h.PauseReason, h.PauseGroup, h.PausedUntil} }

func (h *Halt) setPause(p Pause) {
	h.PausedBy, h.PauseReason, h.PauseGroup, h.PausedUntil = p.By, p.Reason, p.Group, p.Until
}

// unpaused returns the halt without its pause.
func (h Halt) unpaused() Halt {
	return Halt{
		SkipUntil: h.SkipUntil, SkippedBy: h.SkippedBy, SkipReason: h.SkipReason, CompletedAt: h.CompletedAt,
	}
}

// unskipped returns the halt without its skip.
func (h Halt) unskipped() Halt {
	h.SkipUntil, h.SkippedBy, h.SkipReason = time.Time{}, "", ""
	return h
}

// SetEnabled decides to enable or disable s; none (false) when it already is so.
func (s Schedule) SetEnabled(enabled bool) (Change, bool) {
	if !enabled {
		return s.Disable(Pause{})
	}
	if s.IsEnabled() {
		return Change{}, false
	}
	c := s.change(ScheduleEnabled)
	c.After.Enabled = &enabled
	c.After.Halt = s.unpaused()
	c.Halts, c.Effective = c.After.Halt != s.Halt, true
	return c, true
}

// Disable decides to disable s; none (false) when it already is, and the pause says nothing new.
func (s Schedule) Disable(p Pause) (Change, bool) {
	if !s.IsEnabled() && (p == Pause{By: p.By} || p == s.pause()) {
		return Change{}, false
	}
	c := s.change(ScheduleDisabled)
	c.After.Enabled = new(bool)
	c.After.setPause(p)
	c.Halts, c.Pauses = true, s.IsEnabled() || s.PausedAt.IsZero()
	return c, true
}

// Resume decides to enable s because its pause is over; none (false) when it has no end. Due times count from that end
// on, itself included, however much later the change is written.
func (s Schedule) Resume() (Change, bool) {
	if s.PausedUntil.IsZero() {
		return Change{}, false
	}
	c, changed := s.SetEnabled(true)
	if !changed { // a program of an earlier release enabled it, and left the pause
		c = s.change(ScheduleUpdated)
		c.After.Halt, c.Halts = s.unpaused(), true
		return c, true
	}
	c.EffectiveAt = s.PausedUntil.Add(-time.Microsecond)
	return c, true
}

// Skip decides to skip the next due times of s after an instant, so many, beginning behind those that are skipped
// already; with 0 to skip none any more. The change is none (false) when nothing would be another. What is disabled,
// invalid or due no more has nothing to skip.
func (s Schedule) Skip(count int, by, reason string, now time.Time) (Change, bool, error) {
	if err := SkipFaults(count, reason); err != nil {
		return Change{}, false, err
	}
	reason = strings.TrimSpace(reason)
	c := s.change(ScheduleUpdated)
	c.After.Halt = s.unskipped()
	if count > 0 {
		until, ok := now, true
		for done := range count {
			if until, ok = s.Next(until); !ok {
				return Change{}, false, s.nothingToSkip(count, done)
			}
		}
		c.After.SkipUntil, c.After.SkippedBy, c.After.SkipReason = until.UTC(), by, reason
	}
	c.Halts = c.After.Halt != s.Halt
	return c, c.Halts, nil
}

// SkipFaults returns what is wrong with a request to skip, whatever the schedule.
func SkipFaults(count int, reason string) error {
	var faults Faults
	haltReason(reason, &faults)
	if count < 0 || count > MaxSkip {
		faults.add("out_of_range", "/count", "%d: want 0 to %d", count, MaxSkip)
	}
	return faults.err()
}

// nothingToSkip tells why fewer due times are to come than are to be skipped, and what to do.
func (s Schedule) nothingToSkip(count, come int) error {
	e := &Error{Kind: Conflict, Code: ErrNothingDue.Code}
	switch {
	case s.InvalidReason != "":
		e.Message = "the schedule is invalid and has no due times to skip: correct it first"
	case s.State() == Paused:
		e.Message = "the schedule is disabled and has no due times to skip: enable it first"
	case come == 0:
		e.Message = "no due time is to come: the schedule can fire no more, or calendars exclude all"
	default:
		e.Message = fmt.Sprintf("fewer than %d due times are to come: skip %d", count, come)
	}
	return e
}

// MaxSkip is how many due times can be skipped at once.
const MaxSkip = 1000

// redefineHalt makes the halt what a new definition leaves of that of the schedule before: a pause ends when the
// schedule is enabled, and a skip when it has other due times.
func (c *Change) redefineHalt(before Schedule) {
	was, is := before.IsEnabled(), c.After.IsEnabled()
	if is {
		c.After.Halt = before.unpaused()
	}
	c.Pauses = was && !is
	if c.TriggerSet {
		c.After.Halt = c.After.unskipped()
	}
	if c.revives(before) {
		c.After.CompletedAt = time.Time{}
	}
	c.Halts = c.Pauses || c.After.Halt != before.Halt
}

// revives reports whether a new definition lets a schedule that could fire no more fire again.
func (c *Change) revives(before Schedule) bool {
	return c.TriggerSet || c.After.MaxRuns != before.MaxRuns
}

// NewPause reads a pause as a request says it: until is RFC 3339, or a local time of the schedule's zone. The error is
// Faults.
func (s Schedule) NewPause(reason, until string, now time.Time) (p Pause, err error) {
	var faults Faults
	p.Reason = haltReason(reason, &faults)
	if until == "" {
		return p, faults.err()
	}
	location, err := zoneOf(s.Definition)
	if err != nil {
		location = time.UTC
	}
	at, err := parseTime(until, location, cron.GapPolicy(s.DSTGap), cron.OverlapPolicy(s.DSTOverlap))
	switch {
	case err != nil:
		faults.add("time_invalid", "/until", "%v", err)
	case !at.After(now):
		faults.add("until_in_past", "/until", "%s is past: give a time to come", until)
	}
	p.Until = at.UTC().Truncate(time.Microsecond)
	return p, faults.err()
}

// haltReason returns the reason of a pause or a skip, and adds what is wrong with it to the faults.
func haltReason(reason string, faults *Faults) string {
	reason = strings.TrimSpace(reason)
	if count := utf8.RuneCountInString(reason); count > MaxReason {
		faults.add("text_invalid", "/reason", "%d characters: at most %d", count, MaxReason)
	}
	if strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' || unprintable(r) }) {
		faults.add("text_invalid", "/reason", "there is a control character: take it out")
	}
	return reason
}

// How many characters are kept of who made a change, and of the reason.
const (
	MaxActor  = 200
	MaxReason = 1000
)
