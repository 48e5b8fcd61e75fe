package domain

import (
	"encoding/json"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
)

// Schedule is a definition with an identity, a version and its times (UTC).
type Schedule struct {
	ID      ID    `json:"id"`
	Version int64 `json:"version"`
	Definition
	InvalidReason string    `json:"invalid_reason,omitempty" doc:"Why it cannot be scheduled as it is; it is kept, and fires nothing."`
	ManagedBy     string    `json:"managed_by,omitempty" doc:"The table that it was adopted from, where alone it can be changed."`
	CreatedAt     time.Time `json:"created_at,omitzero"`
	UpdatedAt     time.Time `json:"updated_at,omitzero"`
	EffectiveFrom time.Time `json:"effective_from,omitzero"`
	TriggerSetAt  time.Time `json:"trigger_set_at,omitzero"`
	DeletedAt     time.Time `json:"deleted_at,omitzero"`
	Halt

	Sets CalendarSets `json:"-"` // of the calendars that it names, if whoever read it knows them
}

// Change is a decided change of one schedule that has no time yet: the writer's clock is the database's, which is not
// known before the change is written.
type Change struct {
	Type       EventType
	After      Schedule // as it will be; the times that move are still as they were
	Effective  bool     // EffectiveFrom moves to the time of the change
	TriggerSet bool     // TriggerSetAt moves to the time of the change
	Halts      bool     // something of Halt is another
	Pauses     bool     // PausedAt moves to the time of the change

	// EffectiveAt is where EffectiveFrom moves to, if that is not the time of the change.
	EffectiveAt time.Time
}

// Create decides the first change of a schedule. The definition is normalized.
func Create(id ID, d Definition) Change {
	enabled := d.IsEnabled()
	d.Enabled = &enabled
	return Change{
		Type: ScheduleCreated, After: Schedule{ID: id, Version: 1, Definition: d}, Effective: true, TriggerSet: true,
		Halts: !enabled, Pauses: !enabled,
	}
}

// Runnable reports whether s is enabled, valid and not completed: whether its due times fire.
func (s Schedule) Runnable() bool { return s.State() == Active }

// Redefine decides the change from s to a normalized definition; none (false) when they say the same.
func (s Schedule) Redefine(d Definition) (Change, bool) {
	enabled := d.IsEnabled()
	d.Enabled = &enabled
	if same(s.Definition, d) && s.InvalidReason == "" {
		return Change{}, false
	}
	trigger := timing(s.Definition) != timing(d)
	c := s.change(ScheduleUpdated)
	c.After.Definition, c.After.InvalidReason = d, ""
	c.TriggerSet = trigger
	c.redefineHalt(s)
	c.Effective = trigger || (enabled && !s.Runnable() && c.After.CompletedAt.IsZero())
	return c, true
}

// Invalidate decides that s cannot be scheduled as it is, for a reason; none (false) when that is known. Whoever wrote
// it had no way to check all of it. It is kept, and fires nothing until it is changed.
func (s Schedule) Invalidate(reason string) (Change, bool) {
	if s.InvalidReason == reason {
		return Change{}, false
	}
	c := s.change(ScheduleInvalidated)
	c.After.InvalidReason = reason
	return c, true
}

// Delete decides to delete s. The schedule stays as a tombstone.
func (s Schedule) Delete() Change { return s.change(ScheduleDeleted) }

func (s Schedule) change(t EventType) Change {
	c := Change{Type: t, After: s}
	c.After.Version++
	return c
}

// Dated is the schedule after the change, made at an instant.
func (c Change) Dated(now time.Time) Schedule {
	after := c.After
	after.UpdatedAt = now
	if c.Type == ScheduleCreated {
		after.CreatedAt = now
	}
	if c.Type == ScheduleDeleted {
		after.DeletedAt = now
	}
	if c.Effective {
		after.EffectiveFrom = c.Begins(now)
	}
	if c.Pauses {
		after.PausedAt = now
	}
	if c.TriggerSet {
		after.TriggerSetAt = now
	}
	return after
}

// Begins is the instant from which due times count after a change that moves it, made at an instant.
func (c Change) Begins(now time.Time) time.Time {
	if c.EffectiveAt.IsZero() {
		return now
	}
	return c.EffectiveAt
}

// Recurrence compiles the schedule's trigger, with its due times where calendars have moved them. What calendars skip
// is among them, because it is recorded.
func (s Schedule) Recurrence() (Recurrence, error) {
	trigger, anchor := s.Trigger()
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil || s.Sets == nil {
		return recurrence, err
	}
	return s.calendarRule().Moved(recurrence, s.Sets)
}

// firing compiles the trigger, with the due times alone that calendars leave.
func (s Schedule) firing() (Recurrence, error) {
	trigger, anchor := s.Trigger()
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil || s.Sets == nil {
		return recurrence, err
	}
	return s.calendarRule().Left(recurrence, s.Sets)
}

// Next is the first due time after the instant, and after EffectiveFrom; false when the schedule is disabled or
// deleted, or when nothing is due any more.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	if !s.Runnable() || !s.DeletedAt.IsZero() {
		return time.Time{}, false
	}
	recurrence, err := s.firing()
	if err != nil {
		return time.Time{}, false // it was checked when it was written; a beat reports what has become unreadable
	}
	return s.Policy().Next(recurrence, latest(latest(after, s.EffectiveFrom), s.SkipUntil))
}

// NeverAllowed warns where something would be due after an instant, and calendars leave out all of it. Such a schedule
// stays active, since its calendars may change.
func (s Schedule) NeverAllowed(after time.Time) []Warning {
	if s.Sets == nil || s.calendarRule() == nil || s.dueAfter(after) {
		return nil
	}
	s.Sets = nil
	if !s.dueAfter(after) {
		return nil
	}
	return []Warning{{
		"calendars_never_allow",
		"its calendars leave out every due time that is to come, so nothing will run: change the calendars, or name others",
	}}
}

// dueAfter reports whether the schedule is due after an instant, enabled or not.
func (s Schedule) dueAfter(after time.Time) bool {
	recurrence, err := s.firing()
	if err != nil {
		return false
	}
	_, due := s.Policy().Next(recurrence, latest(latest(after, s.EffectiveFrom), s.SkipUntil))
	return due
}

// Last is the last instant at which s is due, by its trigger and its ends_at; false when there is always another.
func (s Schedule) Last() (time.Time, bool) {
	if s.RunAt != "" {
		return instant(s.RunAt), true
	}
	end := instant(s.EndsAt).Add(1)
	if s.EndsAt == "" {
		if !s.years() && s.RRule == "" {
			return time.Time{}, false
		}
		end = time.Date(maxYear+1, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	recurrence, err := s.Recurrence()
	if err != nil {
		return time.Time{}, false
	}
	if _, more := recurrence.Next(end); more && s.EndsAt == "" {
		return time.Time{}, false // a recurrence without an end
	}
	return recurrence.Prev(end)
}

// years reports whether the trigger ends by itself, because its expression names years. Only two dialects have those,
// so that no other expression is read for this.
func (s Schedule) years() bool {
	if s.CronExpression == "" || s.CronDialect != string(cron.Quartz) && s.CronDialect != string(cron.AWS) {
		return false
	}
	spec, err := cron.Parse(s.CronExpression,
		cron.Options{Dialect: cron.Dialect(s.CronDialect), Seconds: s.CronSeconds})
	return err == nil && spec.HasYears()
}

// Past is the fault of a schedule that has nothing to come: the last instant at which it was due is past.
func (s Schedule) Past() *Error {
	if s.RunAt != "" {
		return &Error{Kind: Invalid, Code: "at_in_past", Field: "/run_at", Message: s.RunAt + " is past: give a time to come"}
	}
	if s.RRule != "" && s.EndsAt == "" {
		return &Error{Kind: Invalid, Code: rrule.CodeNeverFires, Field: "/rrule", Message: "the recurrence has no due times to come: its last one is past"}
	}
	if s.EndsAt == "" {
		return &Error{Kind: Invalid, Code: cron.CodeNeverFires, Field: "/cron_expression", Message: s.CronExpression + " has no due times to come: its years are past"}
	}
	return &Error{Kind: Invalid, Code: "no_fire_in_window", Field: "/ends_at", Message: nothingDue}
}

const nothingDue = "nothing is due between starts_at and ends_at (from now on): move one of them"

func same(a, b Definition) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}
