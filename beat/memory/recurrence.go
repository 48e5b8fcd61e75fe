package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// trigger is a canonical trigger. It is compiled once for all records that share it, unless it needs a record's anchor.
type trigger struct {
	domain.Trigger
	compiled domain.Recurrence // nil for an interval, and for a trigger that is due once
	err      error             // why the trigger cannot be compiled
}

// policy is a canonical policy, or the reason why it cannot be read.
type policy struct {
	domain.Policy
	calendars *filtering // nil when it names none
	err       error
}

func parseTrigger(text string) (t trigger) {
	t.Trigger, t.err = domain.ParseTrigger(text)
	if t.err == nil && !t.Once && t.Every == 0 {
		t.compiled, t.err = t.Recurrence(time.Time{})
	}
	return t
}

func (m *Memory) parsePolicy(text string) (p policy) {
	var err error
	if p.Policy, err = domain.ParsePolicy(text); err != nil {
		p.err = &domain.Error{Kind: domain.Invalid, Code: "policy_unreadable", Message: err.Error()}
	}
	p.calendars = m.filteringOf(p.Policy.Calendars)
	return p
}

// recurrence returns the rule that yields the due times of a record, or nil when its trigger or policy cannot be read.
func (m *Memory) recurrence(r *Record) domain.Recurrence {
	nominal := m.nominal(r)
	f := m.policies.value(r.policy).calendars
	if f == nil || nominal == nil {
		return nominal
	}
	shared := ""
	if m.triggers.value(r.trigger).compiled != nil {
		shared = m.triggers.text(r.trigger)
	}
	return f.apply(nominal, shared)
}

// nominal returns the rule whatever calendars say.
func (m *Memory) nominal(r *Record) domain.Recurrence {
	t := m.triggers.value(r.trigger)
	switch {
	case t.err != nil || m.policies.value(r.policy).err != nil:
		return nil
	case t.Once:
		return domain.Once(time.UnixMicro(r.anchor))
	case t.Every > 0:
		return domain.Interval{Anchor: time.UnixMicro(r.anchor), Every: time.Duration(t.Every) * time.Second}
	default:
		return t.compiled
	}
}

// Awaits reports whether a record is to be renewed before it is known when it is due.
func (m *Memory) Awaits(id domain.ID) bool {
	slot, _, known := m.lookup(id)
	return known && (m.Outdated(slot) || m.lacks(m.At(slot)))
}

// MayBeDueAgain reports whether the trigger of a record that is due no more by its calendars has a due time after an
// instant all the same: calendars change.
func (m *Memory) MayBeDueAgain(r *Record, after Micros) bool {
	p, nominal := m.policies.value(r.policy), m.nominal(r)
	if p.calendars == nil || nominal == nil {
		return false
	}
	_, due := p.Policy.Next(nominal, time.UnixMicro(after))
	return due
}

// limited reports whether a record may fire only a certain number of times. Its runs are counted in PostgreSQL, so
// they are settled one at a time: each statement compares the count before it.
func (m *Memory) limited(r *Record) bool {
	return m.triggers.value(r.trigger).Once || m.policies.value(r.policy).MaxRuns > 0
}
