package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// trigger is a parsed trigger. It is compiled once for all records that share it, unless it depends on a record's
// anchor.
type trigger struct {
	domain.Trigger
	compiled domain.Recurrence // nil for an interval, and for a trigger that is due once
	err      error             // why the trigger cannot be compiled
}

// policy is a parsed policy, or the reason why it cannot be read.
type policy struct {
	domain.Policy
	calendars *filtering // nil when the policy names no calendar
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

// recurrence returns the rule that yields the due times of a record, as its calendars move them. It is nil if the
// trigger or the policy cannot be read, or a calendar is refused or not known yet.
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

// nominal returns the rule of a record's trigger, without calendars; nil if the trigger or the policy cannot be read.
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

// Awaits reports whether the record of a schedule has to be renewed before its due time is known.
func (m *Memory) Awaits(id domain.ID) bool {
	slot, _, known := m.lookup(id)
	return known && (m.Outdated(slot) || m.lacks(m.At(slot)))
}

// MayBeDueAgain reports whether a record with calendars would have a due time after an instant without them. Such a
// record may be due again after a change of its calendars.
func (m *Memory) MayBeDueAgain(r *Record, after Micros) bool {
	p, nominal := m.policies.value(r.policy), m.nominal(r)
	if p.calendars == nil || nominal == nil {
		return false
	}
	_, due := p.Policy.Next(nominal, time.UnixMicro(after))
	return due
}

// limited reports whether the number of a record's runs is limited. PostgreSQL counts these runs, and a statement
// compares the limit with the count before the statement, so it may settle only one of them.
func (m *Memory) limited(r *Record) bool {
	return m.triggers.value(r.trigger).Once || m.policies.value(r.policy).MaxRuns > 0
}
