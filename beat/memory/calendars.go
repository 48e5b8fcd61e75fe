package memory

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// # Calendars
//
// A policy may name calendars, which exclude or move due times. Each calendar is kept once, compiled. A record does not
// refer to calendars itself, only to its policy, which it shares with other records.
//
// A change of a calendar may move the due times of all records whose policies name it, which may be most records. Sweep
// renews these records in slices, so that the beat can fire between the slices. A record that comes due before the
// sweep has reached it is renewed first (Outdated), so nothing fires by an old version of a calendar.
//
//	change ──SetCalendar──▶ policies are outdated ──Sweep ... Sweep──▶ every record is renewed: they are not outdated
//
// A renewed record is due at the first of its new due times that is later than the change of the calendar, or, if it
// was due before the change, at the first one that is not settled.
//
// A record whose policy names a calendar that has not been read yet waits: its Due is the earliest instant at which it
// may be due, and its Fire is Never. After a load all records with calendars wait, because a load reads no calendars,
// so that schedules without any can fire at once. The calendars are then read one by one, and the records that waited
// for one are renewed in slices as well. The watermark stays where it was until the last of them has been renewed
// (held).
//
// A calendar is refused if it does not exist, cannot be read, or exceeds what all calendars together may cost. Records
// that go by a refused calendar are never due; TakeRefused returns them.

// calendars are the calendars that policies name, and the state of the sweep.
type calendars struct {
	known  map[string]keptCalendar
	uses   map[string]int          // how many policies name a calendar; the others are forgotten
	filter map[*filtering]struct{} // one for each policy that names a calendar

	running bool   // a sweep is under way
	cursor  uint32 // the next slot of the sweep
	since   Micros // the oldest change that the sweep applies, or Never

	held       Micros               // where waiting records keep the watermark; Never while none waits
	settled    Micros               // due times that fire by then were settled by another beat while records waited
	reconsider map[domain.ID]Micros // records that wait and are then to be reconsidered, by this watermark

	refused  []Refused // the refused records that the sweep has found
	reckoned int64     // steps that finding due times has taken
}

// keptCalendar is a calendar that was read.
type keptCalendar struct {
	version int64
	set     *calendar.Set
	err     error // why it is refused
}

// Refused is a record that is never due because a calendar of its policy is refused.
type Refused struct {
	ID      domain.ID
	Version int64
	Err     error
}

// CalendarVersion is a calendar, and the version of it by which something was decided.
type CalendarVersion struct {
	Name    string
	Version int64
}

// filtering applies the calendars of a policy to the due times of its records.
type filtering struct {
	rule     *domain.CalendarRule
	filter   *calendar.Filter // nil while a calendar is not known, or is refused: nothing is due
	err      error            // why a calendar is refused
	versions []CalendarVersion
	compiled map[string]domain.Recurrence // moved due times, by the text of a trigger
	outdated bool                         // a calendar has changed: all records are to be renewed
	awaited  bool                         // a calendar became known: records that wait are to be renewed
	reckoned *int64                       // see calendars
}

// filteringOf makes the filtering of a policy; nil when the policy names no calendar.
func (m *Memory) filteringOf(rule *domain.CalendarRule) *filtering {
	if rule == nil {
		return nil
	}
	c := &m.calendars
	f := &filtering{rule: rule, reckoned: &c.reckoned}
	c.filter[f] = struct{}{}
	for _, name := range rule.Names() {
		c.uses[name]++
	}
	c.bind(f)
	return f
}

// release forgets the filtering of a policy that no record uses any more, and the calendars that no other policy names.
func (c *calendars) release(f *filtering) {
	if f == nil {
		return
	}
	delete(c.filter, f)
	for _, name := range f.rule.Names() {
		if c.uses[name]--; c.uses[name] == 0 {
			delete(c.uses, name)
			delete(c.known, name)
		}
	}
}

// complete reports whether all calendars of the policy are known, or one is refused.
func (f *filtering) complete() bool { return f.filter != nil || f.err != nil }

// refusal returns why a calendar of the policy is refused, or nil.
func (f *filtering) refusal() error {
	if f == nil {
		return nil
	}
	return f.err
}

// bind makes the filter of a policy from the calendars that are known.
func (c *calendars) bind(f *filtering) {
	f.filter, f.versions, f.compiled, f.err = nil, nil, nil, nil
	sets := domain.CalendarSets{}
	for _, name := range f.rule.Names() {
		kept, known := c.known[name]
		if !known {
			return
		}
		if kept.err != nil {
			f.err = kept.err
			return
		}
		sets[name] = kept.set
		f.versions = append(f.versions, CalendarVersion{name, kept.version})
	}
	f.filter, f.err = f.rule.Filter(sets) // fails only for a policy that was written by hand
}

// maxCompiled is how many moved triggers a policy caches.
const maxCompiled = 1024

// apply returns the due times of a trigger as the calendars move them. If the policy skips excluded due times, they are
// still among those returned. trigger is the text of a trigger that records share; it is empty for a trigger that needs
// a record's anchor, whose result cannot be cached.
func (f *filtering) apply(r domain.Recurrence, trigger string) domain.Recurrence {
	switch {
	case f.filter == nil:
		return nil
	case f.rule.Skips():
		return r
	case trigger == "":
		return counting{f.filter.Apply(r), f.reckoned}
	}
	moved, known := f.compiled[trigger]
	if !known {
		if f.compiled == nil || len(f.compiled) >= maxCompiled {
			f.compiled = map[string]domain.Recurrence{}
		}
		moved = &remembered{Recurrence: counting{f.filter.Apply(r), f.reckoned}}
		f.compiled[trigger] = moved
	}
	return moved
}

// counting counts the steps that a recurrence takes.
type counting struct {
	domain.Recurrence
	steps *int64
}

// Next implements domain.Recurrence.
func (c counting) Next(after time.Time) (time.Time, bool) {
	at, ok, steps := calendar.NextCounted(c.Recurrence, after)
	*c.steps += int64(steps)
	return at, ok
}

// Reckoned returns how many steps it has taken so far to find due times by calendars.
func (m *Memory) Reckoned() int64 { return m.calendars.reckoned }

// remembered is a recurrence that caches its last answer: after a change of a calendar many records ask for the due
// time that follows it.
type remembered struct {
	domain.Recurrence
	after, due time.Time
	found, any bool
}

// Next implements domain.Recurrence. If a due time is the next one after an instant, it is also the next one after
// every instant between the two. That there is none is remembered for an hour.
func (r *remembered) Next(after time.Time) (time.Time, bool) {
	if r.any && !after.Before(r.after) && (r.found && after.Before(r.due) || !r.found && after.Sub(r.after) < time.Hour) {
		return r.due, r.found
	}
	r.due, r.found = r.Recurrence.Next(after)
	r.after, r.any = after, true
	return r.due, r.found
}

// CalendarsInUse returns the calendars that policies name, each with its version, or 0 if it is not known.
func (m *Memory) CalendarsInUse() (used []CalendarVersion) {
	for name := range m.calendars.uses {
		used = append(used, CalendarVersion{name, m.calendars.known[name].version})
	}
	return used
}

// LacksCalendars reports whether a policy names a calendar that is not known.
func (m *Memory) LacksCalendars() bool {
	for f := range m.calendars.filter {
		if !f.complete() {
			return true
		}
	}
	return false
}

// CalendarCost returns the total cost of the known calendars, except for one.
func (m *Memory) CalendarCost(but string) (cost int) {
	for name, kept := range m.calendars.known {
		if name != but && kept.err == nil {
			cost += kept.set.Cost()
		}
	}
	return cost
}

// DoubtCalendars sets the versions of all known calendars to 0, so that each calendar is read again. The firing
// statement refuses what is decided until then.
func (m *Memory) DoubtCalendars() {
	for name, kept := range m.calendars.known {
		kept.version = 0
		m.calendars.known[name] = kept
	}
	for f := range m.calendars.filter {
		m.calendars.bind(f)
	}
}

// SetCalendar replaces a calendar by a version that has been in force since an instant. Sweep then renews the records
// that go by the calendar.
func (m *Memory) SetCalendar(name string, version int64, since Micros, set *calendar.Set) {
	m.keep(name, since, keptCalendar{version: version, set: set})
}

// RefuseCalendar makes all records that go by a calendar never due, for a reason. Sweep collects them (see
// TakeRefused).
func (m *Memory) RefuseCalendar(name string, version int64, since Micros, reason error) {
	m.keep(name, since, keptCalendar{version: version, err: reason})
}

// TakeRefused returns the refused records that were found since it was last called.
func (m *Memory) TakeRefused() []Refused {
	refused := m.calendars.refused
	m.calendars.refused = nil
	return refused
}

func (m *Memory) keep(name string, since Micros, kept keptCalendar) {
	c := &m.calendars
	c.known[name] = kept
	for f := range c.filter {
		if !slices.Contains(f.rule.Names(), name) {
			continue
		}
		knew := f.complete()
		if c.bind(f); !f.complete() {
			continue
		}
		if !c.running {
			c.since = Never
		}
		if c.running, c.cursor = true, 0; knew {
			f.outdated, c.since = true, min(c.since, since)
		} else {
			f.awaited = true
		}
	}
}

// Sweeping reports whether a sweep is under way.
func (m *Memory) Sweeping() bool { return m.calendars.running }

// renewalCost is the cost of renewing a record, where looking at one costs 1.
const renewalCost = 100

// Sweep renews records whose calendars have changed or become known, until it has spent about budget. It returns how
// many records it has renewed. Waiting records whose policy only skips due times are renewed in the first slice,
// whatever the budget, because they cost little.
func (m *Memory) Sweep(budget int) (renewed int) {
	c := &m.calendars
	if c.running && c.cursor == 0 {
		m.renewSkipping()
	}
	for ; c.running && c.cursor < m.allocated && budget > 0; c.cursor++ {
		budget--
		if r := m.At(c.cursor); !r.ID.IsZero() && m.Outdated(c.cursor) {
			before := c.reckoned
			m.Renew(c.cursor)
			m.fix(c.cursor)
			budget -= renewalCost + int(c.reckoned-before)
			renewed++
		}
	}
	if c.running && c.cursor >= m.allocated {
		c.running = false
		for f := range c.filter {
			f.outdated, f.awaited = false, false
		}
	}
	return renewed
}

// renewSkipping renews the waiting records whose policy only skips due times and moves none.
func (m *Memory) renewSkipping() {
	for slot := range m.allocated {
		r := m.At(slot)
		if f := m.policies.value(r.policy).calendars; m.lacks(r) && f.awaited && f.rule.Skips() {
			m.Renew(slot)
			m.fix(slot)
		}
	}
}

// Outdated reports whether the record of a slot has still to be renewed by the sweep.
func (m *Memory) Outdated(slot uint32) bool {
	if !m.calendars.running || slot < m.calendars.cursor {
		return false
	}
	r := m.At(slot)
	f := m.policies.value(r.policy).calendars
	return f != nil && (f.outdated || f.awaited && m.lacks(r))
}

// Renew makes the record of a slot due by the current calendars. It does not update the heap.
func (m *Memory) Renew(slot uint32) {
	r, c := m.At(slot), &m.calendars
	if f := m.policies.value(r.policy).calendars; f.err != nil {
		c.refused = append(c.refused, Refused{r.ID, int64(r.Version), f.err})
	}
	if !m.lacks(r) {
		m.SetDueAfter(r, max(r.Effective, min(r.Due-1, c.since)))
		return
	}
	m.SetDueAfter(r, max(r.Due-1, m.lessJitter(r, c.settled)))
	if watermark, ok := c.reconsider[r.ID]; ok && !m.lacks(r) {
		m.reconsider(r, watermark)
		delete(c.reconsider, r.ID)
	}
}

// lacks reports whether a record waits because its policy names a calendar that is not known.
func (m *Memory) lacks(r *Record) bool { return r.Fire == Never && r.Due != Never }

// hold keeps the watermark at an instant, if a record waits. Due times of the record that fire by then are settled.
func (m *Memory) hold(r *Record, settled Micros) {
	if m.lacks(r) {
		m.calendars.held = min(m.calendars.held, settled)
	}
}

// Await notes, after a load, that the waiting records' due times that fire up to the watermark are settled.
func (m *Memory) Await(watermark Micros) {
	if c := &m.calendars; c.held != Never {
		c.held, c.settled = watermark, watermark
	}
}

// heldUntil returns the instant at which waiting records keep the watermark, or Never. It ends the wait if no record
// waits any more.
func (m *Memory) heldUntil() Micros {
	if c := &m.calendars; c.held != Never && !c.running && !m.LacksCalendars() {
		c.held, c.settled, c.reconsider = Never, Always, nil
	}
	return m.calendars.held
}
