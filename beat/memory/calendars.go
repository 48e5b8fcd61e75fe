package memory

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// # Calendars
//
// A policy may name calendars, which decide on due times. Each is kept once, compiled. A record says nothing of them:
// its policy does, which records share.
//
// A change of a calendar moves the due times of all records whose policies name it, which may be most. They are gone
// through in slices (Sweep), between which other things are done. What comes due before its turn is renewed first
// (Outdated), so nothing fires by a calendar of old.
//
//	change ──SetCalendar──▶ policies are outdated ──Sweep ... Sweep──▶ every record is renewed: they are not outdated
//
// A renewed record is due at the first of its due times, as they are now, that is later than the change; or that is not
// settled, if it was due before the change.
//
// A record whose policy names a calendar that is not known yet waits: its Due is the earliest instant at which it may
// be due, and it fires Never. That is so for all of them at a load, which reads no calendars, so that what has none
// fires at once. Calendars are then read one by one, and what waited for one is renewed in slices as well; the
// watermark stays where it was until the last record is (held).
//
// A calendar that there is none of, that cannot be read, or is one too many, is refused: the records that go by it are
// never due, and are returned as refused.

// calendars are those that policies name.
type calendars struct {
	known  map[string]keptCalendar
	uses   map[string]int          // how many policies name a calendar; no other is known
	filter map[*filtering]struct{} // of every policy that names one

	running bool   // a sweep
	cursor  uint32 // the slot that it has come to
	since   Micros // the oldest change that it is for, or Never

	held       Micros               // up to there what fires of the records that wait is settled; Never while none waits
	settled    Micros               // what fires up to there was settled by another beat while records waited
	reconsider map[domain.ID]Micros // records that wait, and the watermark by which to reconsider them

	refused  []Refused // records that the sweep has come upon
	reckoned int64     // steps that it took to find what is due
}

// keptCalendar is a calendar, and its version.
type keptCalendar struct {
	version int64
	set     *calendar.Set
	err     error // why it is refused
}

// Refused is a record that goes by a calendar which is refused.
type Refused struct {
	ID      domain.ID
	Version int64
	Err     error
}

// CalendarVersion is the version of a calendar by which something was decided.
type CalendarVersion struct {
	Name    string
	Version int64
}

// filtering is what calendars do to the records of a policy.
type filtering struct {
	rule     *domain.CalendarRule
	filter   *calendar.Filter // nil while a calendar is not known, or refused: nothing is due
	err      error            // why a calendar is refused
	versions []CalendarVersion
	compiled map[string]domain.Recurrence // moved due times, by the text of a trigger
	outdated bool                         // records are to be renewed
	awaited  bool                         // records that wait are to be renewed
	reckoned *int64                       // see calendars
}

// filteringOf returns what calendars do to the records of a policy; nil when it names none.
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

// release forgets a policy, and the calendars that no other names: what becomes of those is not followed.
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

// complete reports whether all calendars of a policy are known, be it as refused.
func (f *filtering) complete() bool { return f.filter != nil || f.err != nil }

// refusal returns why a calendar of a policy is refused, or nil.
func (f *filtering) refusal() error {
	if f == nil {
		return nil
	}
	return f.err
}

// bind makes a filter of what is known of the calendars that a policy names.
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
	f.filter, f.err = f.rule.Filter(sets) // only a hand can have written one that fails
}

// maxCompiled is how many triggers of a policy are kept compiled.
const maxCompiled = 1024

// apply returns the due times of a trigger as calendars leave them; those that are skipped are among them. The text is
// that of a trigger which records share, and empty for one that needs a record's anchor.
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

// counting counts the steps of a recurrence.
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

// Reckoned returns how many steps it took so far to find what is due by calendars.
func (m *Memory) Reckoned() int64 { return m.calendars.reckoned }

// remembered is a recurrence that remembers its last answer: many records ask for what is due after the same change.
type remembered struct {
	domain.Recurrence
	after, due time.Time
	found, any bool
}

// Next implements domain.Recurrence. What is due next after an instant is so after any later one before it.
func (r *remembered) Next(after time.Time) (time.Time, bool) {
	if r.any && !after.Before(r.after) && (r.found && after.Before(r.due) || !r.found && after.Sub(r.after) < time.Hour) {
		return r.due, r.found
	}
	r.due, r.found = r.Recurrence.Next(after)
	r.after, r.any = after, true
	return r.due, r.found
}

// CalendarsInUse returns the calendars that policies name, with the versions that are known (0: none).
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

// CalendarCost returns what the calendars that are known cost together, but for one.
func (m *Memory) CalendarCost(but string) (cost int) {
	for name, kept := range m.calendars.known {
		if name != but && kept.err == nil {
			cost += kept.set.Cost()
		}
	}
	return cost
}

// DoubtCalendars has no calendar count as known by its version, so that each is read anew. What is decided meanwhile is
// refused by the statement that fires.
func (m *Memory) DoubtCalendars() {
	for name, kept := range m.calendars.known {
		kept.version = 0
		m.calendars.known[name] = kept
	}
	for f := range m.calendars.filter {
		m.calendars.bind(f)
	}
}

// SetCalendar makes a calendar what it has been since an instant. The records that go by it are renewed by Sweep.
func (m *Memory) SetCalendar(name string, version int64, since Micros, set *calendar.Set) {
	m.keep(name, since, keptCalendar{version: version, set: set})
}

// RefuseCalendar has no record due that goes by a calendar, for a reason. Sweep notes them (see TakeRefused).
func (m *Memory) RefuseCalendar(name string, version int64, since Micros, reason error) {
	m.keep(name, since, keptCalendar{version: version, err: reason})
}

// TakeRefused returns the records that are refused, each once.
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

// Sweeping reports whether records are to be renewed.
func (m *Memory) Sweeping() bool { return m.calendars.running }

// renewalCost is what it costs to renew a record, if to look at one costs 1.
const renewalCost = 100

// Sweep renews records that a change of a calendar moves, and spends about so much. Records that have waited and whose
// due times no calendar moves are due at once, because that costs little.
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

// renewSkipping renews the records that have waited and whose due times no calendar moves.
func (m *Memory) renewSkipping() {
	for slot := range m.allocated {
		r := m.At(slot)
		if f := m.policies.value(r.policy).calendars; m.lacks(r) && f.awaited && f.rule.Skips() {
			m.Renew(slot)
			m.fix(slot)
		}
	}
}

// Outdated reports whether a calendar has changed by which the record of a slot is due, or has become known, and the
// sweep has not come to it.
func (m *Memory) Outdated(slot uint32) bool {
	if !m.calendars.running || slot < m.calendars.cursor {
		return false
	}
	r := m.At(slot)
	f := m.policies.value(r.policy).calendars
	return f != nil && (f.outdated || f.awaited && m.lacks(r))
}

// Renew makes the record of a slot due by the calendars as they are now. It leaves the heap as it is.
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

// hold notes that a record waits of which everything that fires up to an instant is settled.
func (m *Memory) hold(r *Record, settled Micros) {
	if m.lacks(r) {
		m.calendars.held = min(m.calendars.held, settled)
	}
}

// Await notes that what fires up to an instant is settled of all records that wait: the watermark, at a load.
func (m *Memory) Await(watermark Micros) {
	if c := &m.calendars; c.held != Never {
		c.held, c.settled = watermark, watermark
	}
}

// heldUntil returns the instant up to which everything that fires of records that wait is settled.
func (m *Memory) heldUntil() Micros {
	if c := &m.calendars; c.held != Never && !c.running && !m.LacksCalendars() {
		c.held, c.settled, c.reconsider = Never, Always, nil
	}
	return m.calendars.held
}
