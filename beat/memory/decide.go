package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Decision says what is to become of a due time, which fires, or of a range of due times, which were missed. It holds
// what it was based on, so that the firing statement can refuse it if the schedule has changed by then.
type Decision struct {
	Schedule  domain.ID
	Effective Micros // the effective_from by which the due times were counted
	Policy    string // the policy by which they were judged
	Version   uint32
	Decided   Micros // the instant at which they were judged
	Calendars []CalendarVersion
	Weight    int  // of the task, in KiB; see Record.Weight
	Counts    bool // the number of the schedule's runs is limited, and PostgreSQL counts them

	Due    Micros
	Until  Micros // the last due time of the range
	Fire   Micros // when Due was to fire
	Reason string // why the range was missed; empty when the due time fires
}

// Decide judges the due times of a record up to now, the oldest first. It returns decisions of which at most room fire,
// and the last due time that they cover. For a record whose Fire has come it returns at least one decision.
func (m *Memory) Decide(slot uint32, now Micros, room int) (decisions []Decision, last Micros) {
	r := m.At(slot)
	p, recurrence := m.policies.value(r.policy).Policy, m.recurrence(r)
	if r.Due <= m.SwitchedAt {
		return m.missedBeforeSwitch(r, recurrence, now)
	}
	waited := int64((m.waited(r) + time.Second - 1) / time.Second) // a wait makes it not late
	p.Grace += int64(p.Delay()/time.Second) + waited               // nor do jitter and spread
	p.Window += waited
	if m.limited(r) {
		room = 1
	}
	if p.Calendars.Skips() {
		return m.decideSkipping(r, p, recurrence, now, room)
	}
	decided := p.Settle(recurrence, time.UnixMicro(r.Due-1), time.UnixMicro(now), m.takeover(r, p), room)
	last = r.Due - 1
	base := m.decision(r, now)
	for _, missed := range decided.Missed {
		d := base
		d.Due, d.Until, d.Reason = missed.From.UnixMicro(), missed.To.UnixMicro(), missed.Reason
		d.Fire = d.Due
		decisions, last = append(decisions, d), d.Until
	}
	for _, due := range decided.Fire[:min(room, len(decided.Fire))] {
		d := base
		d.Due, d.Fire = due.UnixMicro(), ceil(p.FireAt(r.ID, recurrence, due))
		if d.Fire > now {
			break
		}
		decisions, last = append(decisions, d), d.Due
	}
	return decisions, last
}

// decision returns a Decision with the fields that all decisions about a record have in common.
func (m *Memory) decision(r *Record, now Micros) Decision {
	return Decision{
		Schedule: r.ID, Effective: r.Effective, Version: r.Version, Decided: now, Policy: m.policies.text(r.policy),
		Counts: m.limited(r), Weight: r.Weight(), Calendars: m.calendarsOf(r),
	}
}

// calendarsOf returns the calendars of a record's policy, with their versions.
func (m *Memory) calendarsOf(r *Record) []CalendarVersion {
	if f := m.policies.value(r.policy).calendars; f != nil {
		return f.versions
	}
	return nil
}

// decideSkipping is Decide for a record whose calendars exclude some due times. Ranges of excluded due times lie
// between those that fire. The decisions are in the order of due times, and end before the first one that is not to
// fire yet.
func (m *Memory) decideSkipping(
	r *Record, p domain.Policy, recurrence domain.Recurrence, now Micros, room int,
) (decisions []Decision, last Micros) {
	filter := m.policies.value(r.policy).calendars.filter
	decided := p.SettleSkipping(recurrence, filter, time.UnixMicro(r.Due-1), time.UnixMicro(now), m.takeover(r, p), room)
	last = r.Due - 1
	base := m.decision(r, now)
	missed, fires := decided.Missed, 0
	for _, due := range append(decided.Fire, time.Time{}) {
		for len(missed) > 0 && (due.IsZero() || missed[0].From.Before(due)) {
			d := base
			d.Due, d.Until, d.Reason = missed[0].From.UnixMicro(), missed[0].To.UnixMicro(), missed[0].Reason
			d.Fire = d.Due
			decisions, last, missed = append(decisions, d), d.Until, missed[1:]
		}
		if fires++; due.IsZero() || fires > room {
			break
		}
		d := base
		d.Due, d.Fire = due.UnixMicro(), ceil(p.FireAt(r.ID, recurrence, due))
		if d.Fire > now {
			break
		}
		decisions, last = append(decisions, d), d.Due
	}
	return decisions, last
}

// missedBeforeSwitch returns one missed range of all due times of a record up to SwitchedAt. Another beat was to fire
// them: tactus ran only in shadow mode then.
func (m *Memory) missedBeforeSwitch(
	r *Record, recurrence domain.Recurrence, now Micros,
) (decisions []Decision, last Micros) {
	end := time.UnixMicro(m.SwitchedAt + 1)
	if ends := m.policies.value(r.policy).EndsAt; !ends.IsZero() && ends.Before(end) {
		end = ends.Add(1)
	}
	last = r.Due
	if due, ok := recurrence.Prev(end); ok {
		last = max(last, due.UnixMicro())
	}
	d := m.decision(r, now)
	d.Due, d.Until, d.Reason, d.Fire = r.Due, last, domain.ReasonShadow, r.Fire
	return []Decision{d}, last
}

// takeover returns how late a due time of a record may be and still fire, whatever its policy says about late ones.
func (m *Memory) takeover(r *Record, p domain.Policy) time.Duration {
	return m.longestTakeover + m.waited(r) + p.Delay() // jitter, spread and a wait do not make it late
}

// Misfired reports whether the first decision about a record is a missed range, or about a due time that is later than
// a takeover may make it. Only such due times may become part of a missed range, and the bounds of a range depend on
// what is settled already.
func (m *Memory) Misfired(slot uint32, decisions []Decision, now Micros) bool {
	r := m.At(slot)
	p := m.policies.value(r.policy).Policy
	return len(decisions) > 0 && (decisions[0].Reason != "" || decisions[0].Due < now-m.takeover(r, p).Microseconds())
}

// Rule returns the policy of a record, and the rule that yields its due times.
func (m *Memory) Rule(r *Record) (domain.Policy, domain.Recurrence) {
	return m.policies.value(r.policy).Policy, m.recurrence(r)
}
