package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Decision is what is to become of a due time, which fires, or of a range of due times, which were missed. It carries
// what it was based on, so that the statement that settles it can refuse it when the schedule is another one by then.
type Decision struct {
	Schedule  domain.ID
	Effective Micros // the effective_from by which the due times were counted
	Policy    string // the policy by which they were judged, with the versions of the calendars that it names
	Version   uint32
	Decided   Micros // the instant by which they were judged
	Calendars []CalendarVersion
	Weight    int  // of its task, in KiB; see Record.Weight
	Counts    bool // its schedule fires only a certain number of times, which PostgreSQL counts

	Due    Micros
	Until  Micros // the last due time of a range
	Fire   Micros // when Due was to fire
	Reason string // why the range was missed; empty when the due time fires
}

// Decide judges the due times of a record up to now, the oldest first, and returns at most room decisions, with the
// last due time that they cover. At least one decision is returned for a record whose Fire has come.
func (m *Memory) Decide(slot uint32, now Micros, room int) (decisions []Decision, last Micros) {
	r := m.At(slot)
	p, recurrence := m.policies.value(r.policy).Policy, m.recurrence(r)
	if r.Due <= m.SwitchedAt {
		return m.missedBeforeSwitch(r, recurrence, now)
	}
	waited := int64((m.waited(r) + time.Second - 1) / time.Second) // it is not late by that
	p.Grace += int64(p.Delay()/time.Second) + waited               // nor before it was to fire
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

// decision returns what all decisions about a record have in common.
func (m *Memory) decision(r *Record, now Micros) Decision {
	return Decision{
		Schedule: r.ID, Effective: r.Effective, Version: r.Version, Decided: now, Policy: m.policies.text(r.policy),
		Counts: m.limited(r), Weight: r.Weight(), Calendars: m.calendarsOf(r),
	}
}

// calendarsOf returns the versions of the calendars by which a record is due.
func (m *Memory) calendarsOf(r *Record) []CalendarVersion {
	if f := m.policies.value(r.policy).calendars; f != nil {
		return f.versions
	}
	return nil
}

// decideSkipping judges the due times of a record of which calendars exclude some. Ranges of those stand between the
// others, so decisions are in the order of due times, and end where one is not to fire yet.
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

// missedBeforeSwitch returns one range of all due times of a record up to SwitchedAt. They were another beat's to
// fire: tactus only watched it then, in shadow mode.
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

// takeover returns how late a due time of a record may be under its policy and still fire whatever the policy says.
func (m *Memory) takeover(r *Record, p domain.Policy) time.Duration {
	return m.longestTakeover + m.waited(r) + p.Delay() // a due time is not late before it was to fire
}

// Misfired reports whether the first of a record's decisions is about a due time that is later than a takeover. Only
// of such due times may a range be recorded, and where a range begins depends on what has been settled already.
func (m *Memory) Misfired(slot uint32, decisions []Decision, now Micros) bool {
	r := m.At(slot)
	p := m.policies.value(r.policy).Policy
	return len(decisions) > 0 && (decisions[0].Reason != "" || decisions[0].Due < now-m.takeover(r, p).Microseconds())
}

// Rule returns by what rule a record is due, and under which policy.
func (m *Memory) Rule(r *Record) (domain.Policy, domain.Recurrence) {
	return m.policies.value(r.policy).Policy, m.recurrence(r)
}
