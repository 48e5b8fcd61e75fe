package memory

import (
	"cmp"
	"math"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Micros is an instant with the resolution that PostgreSQL has: microseconds since 1970.
type Micros = int64

// Always is before every due time.
const Always Micros = math.MinInt64

// Never is the Due and the Fire of a record that has no due time left. As the greatest instant it keeps the record at
// the end of the heap.
const Never Micros = math.MaxInt64

// Record is what memory keeps of one schedule. It has no pointers, so the garbage collector does not scan it.
type Record struct {
	ID        domain.ID
	Effective Micros // effective_from: the instant after which due times count
	anchor    Micros // the instant from which an interval counts
	Due       Micros // the first due time that is not settled, or Never
	Fire      Micros // when Due fires: later than Due by spread and jitter
	Version   uint32 // the version of the row that the record was made from
	trigger   uint32 // its number among the interned triggers
	policy    uint32 // its number among the interned policies

	placeAndClass uint32 // the index of the slot in the heap, and the class of the task's weight: see Tier
}

// Memory holds all enabled schedules, indexed by id and ordered by when they fire next.
type Memory struct {
	chunks    []*[chunkSize]Record // the records, by slot; a free slot's record has no id
	allocated uint32               // the number of slots, used or free
	free      []uint32             // the free slots
	index     index                // slots by id
	heaps     [Tiers]heap          // slots by Fire
	triggers  interned[trigger]
	policies  interned[policy]
	calendars calendars
	waits     map[domain.ID]wait // of schedules that could not fire because they were not judged

	// SwitchedAt is when a beat that fires took over from a shadow. Due times up to then were another beat's to fire.
	SwitchedAt Micros

	// longestTakeover is how late a due time may be because of a crash and a takeover, and still fire.
	longestTakeover time.Duration
}

// chunkSize is how many records are allocated at once. Memory grows by chunks, so records are never copied.
const chunkSize = 4096

// New returns an empty memory. takeover is how long a takeover may last.
func New(takeover time.Duration) *Memory {
	m := &Memory{SwitchedAt: Always, index: newIndex(), triggers: newInterned(parseTrigger), longestTakeover: takeover}
	for t := range m.heaps {
		m.heaps[t].of = m
	}
	m.calendars = calendars{
		known: map[string]keptCalendar{}, uses: map[string]int{}, filter: map[*filtering]struct{}{}, held: Never, settled: Always,
	}
	m.waits = map[domain.ID]wait{}
	m.policies = newInterned(m.parsePolicy)
	m.policies.forget = func(p policy) { m.calendars.release(p.calendars) }
	return m
}

// Len returns how many schedules there are.
func (m *Memory) Len() int { return m.index.used }

// Slots returns the number of slots, including free ones.
func (m *Memory) Slots() uint32 { return m.allocated }

// Slot returns the slot of a schedule's record.
func (m *Memory) Slot(id domain.ID) (slot uint32, known bool) {
	slot, _, known = m.lookup(id)
	return slot, known
}

// At returns the record of a slot.
func (m *Memory) At(slot uint32) *Record { return &m.chunks[slot/chunkSize][slot%chunkSize] }

// Find returns the record of a schedule.
func (m *Memory) Find(id domain.ID) (*Record, bool) {
	slot, _, known := m.lookup(id)
	if !known {
		return nil, false
	}
	return m.At(slot), true
}

// Put makes or updates the record of a schedule from its row. It returns an error if the trigger, the policy or a
// calendar cannot be used, or ErrBeyond; memory keeps the record then, but it is never due.
//
// The next due time depends on the record so far:
//
//   - The schedule is new, or has another effective_from: the first due time after effective_from that fires later than
//     after. At a load, after is the watermark; when a schedule has changed, it is Always.
//   - The record was never due, because its trigger was unreadable or its runs were used up: the first due time after
//     the moment at which the row was read. Earlier ones are not caught up with.
//   - Otherwise the due time stays. Only the instant at which it fires may change, because jitter or spread has
//     changed.
func (m *Memory) Put(r Row, after Micros) error {
	slot, cell, known := m.lookup(r.ID)
	if !known {
		slot = m.insert(r.ID, cell)
	}
	kept := m.At(slot)
	restart := !known || kept.Effective != r.Effective
	wasNever, waited := kept.Due == Never, m.lacks(kept)
	kept.Version, kept.Effective, kept.anchor = uint32(r.Version), r.Effective, r.Anchor
	if r.Beyond {
		r.Trigger = nil // an unreadable trigger, so the record is never due
	}
	trigger, policy := m.triggers.acquire(r.Trigger), m.policies.acquire(r.Policy)
	if known {
		m.triggers.release(kept.trigger)
		m.policies.release(kept.policy)
	}
	kept.trigger, kept.policy = trigger, policy
	m.weigh(slot, r.Weight)
	switch {
	case r.Exhausted:
		kept.Due, kept.Fire = Never, Never
	case restart:
		m.SetDueAfter(kept, max(r.Effective, m.lessJitter(kept, after)))
		m.hold(kept, max(r.Effective, after))
	case wasNever:
		m.SetDueAfter(kept, max(r.Effective, r.Read))
		m.hold(kept, max(r.Effective, r.Read))
	case waited:
		m.SetDueAfter(kept, kept.Due-1)
	case m.recurrence(kept) == nil:
		m.SetDueAfter(kept, kept.Due-1)
		m.hold(kept, kept.Due-1)
	default:
		m.retime(kept)
	}
	m.fix(slot)
	if r.Beyond {
		return ErrBeyond
	}
	return cmp.Or(m.triggers.value(trigger).err, m.policies.value(policy).err, m.policies.value(policy).calendars.refusal())
}

// insert makes a record for a new id. cell is the free cell of the index where the id belongs.
func (m *Memory) insert(id domain.ID, cell uint32) (slot uint32) {
	if last := len(m.free) - 1; last >= 0 {
		slot, m.free = m.free[last], m.free[:last]
	} else {
		slot = m.allocated
		if m.allocated++; slot%chunkSize == 0 {
			m.chunks = append(m.chunks, new([chunkSize]Record))
		}
	}
	*m.At(slot) = Record{ID: id, Due: Never, Fire: Never}
	m.index.insert(cell, id, slot)
	m.Push(slot)
	return slot
}

// Remove removes a schedule that was deleted, disabled or completed.
func (m *Memory) Remove(id domain.ID) {
	slot, cell, known := m.lookup(id)
	if !known {
		return
	}
	r := m.At(slot)
	m.heapOf(slot).removeAt(r.place())
	m.triggers.release(r.trigger)
	m.policies.release(r.policy)
	m.index.remove(cell)
	delete(m.waits, id)
	*r = Record{}
	m.free = append(m.free, slot)
}

// SetDueAfter makes a record due at its first due time after an instant, or makes it wait for its calendars. It does
// not update the heap, so the record has to be popped, or fix has to be called.
func (m *Memory) SetDueAfter(r *Record, after Micros) {
	recurrence, policy := m.recurrence(r), m.policies.value(r.policy)
	r.Due, r.Fire = Never, Never
	if recurrence == nil {
		if policy.calendars != nil && !policy.calendars.complete() && m.nominal(r) != nil {
			r.Due = after + 1
		}
		return
	}
	if due, ok := policy.Next(recurrence, time.UnixMicro(after)); ok {
		r.Due = due.UnixMicro()
		r.Fire = ceil(policy.FireAt(r.ID, recurrence, due))
	}
}

// retime computes again when the record's due time fires, by the current jitter and spread.
func (m *Memory) retime(r *Record) {
	if recurrence := m.recurrence(r); recurrence != nil {
		r.Fire = ceil(m.policies.value(r.policy).FireAt(r.ID, recurrence, time.UnixMicro(r.Due)))
	}
}

// Retime undoes a change of the Fire of a schedule: the schedule fires again when its due time says. It does nothing if
// the schedule is not known, or waits for calendars.
func (m *Memory) Retime(id domain.ID) {
	if slot, _, known := m.lookup(id); known && m.At(slot).Due != Never && !m.lacks(m.At(slot)) {
		m.retime(m.At(slot))
		m.fix(slot)
	}
}

// Restart makes a schedule, if it is known, due at its first due time after effective_from.
func (m *Memory) Restart(id domain.ID) {
	if slot, _, known := m.lookup(id); known {
		m.SetDueAfter(m.At(slot), m.At(slot).Effective)
		m.hold(m.At(slot), m.At(slot).Effective)
		m.fix(slot)
	}
}

// GoBack makes a schedule, if it is known, due at its first due time at or after an instant, unless it is due earlier
// already.
func (m *Memory) GoBack(id domain.ID, since Micros) {
	if slot, _, known := m.lookup(id); known && m.At(slot).Due > since {
		m.goBack(slot, since-1)
	}
}

// Rewind makes all schedules due at their first due times that fire after the watermark. It is for a watermark that
// went back.
func (m *Memory) Rewind(watermark Micros) {
	if c := &m.calendars; c.held != Never {
		c.held, c.settled = min(c.held, watermark), min(c.settled, watermark)
	}
	for slot := range m.allocated {
		if r := m.At(slot); !r.ID.IsZero() && r.Due > watermark {
			m.goBack(slot, m.lessJitter(r, watermark))
		}
	}
}

func (m *Memory) goBack(slot uint32, after Micros) {
	r := m.At(slot)
	m.SetDueAfter(r, max(r.Effective, after))
	m.hold(r, max(r.Effective, after))
	m.fix(slot)
}

// longestJitter is the greatest time by which a due time may precede the watermark without having fired because of its
// jitter. Runs are kept for longer than that, so the unique key still keeps a due time that has fired from firing
// again.
const longestJitter = 30 * 24 * time.Hour

// Reconsider makes a schedule due again at its last due time before the watermark. It is for a schedule that was edited
// after the watermark was written. Whoever wrote the watermark went by the jitter before the edit, so by the new jitter
// this due time may seem to have fired although it has not. All earlier due times have fired, whatever the jitter was,
// because a jitter is less than the gap to the next due time. A schedule with max_runs stays as it is: it may have used
// up its runs, and is then not to catch up with earlier due times.
func (m *Memory) Reconsider(id domain.ID, watermark Micros) {
	slot, _, known := m.lookup(id)
	if !known || watermark == Always {
		return
	}
	if r, c := m.At(slot), &m.calendars; m.lacks(r) {
		if c.reconsider == nil {
			c.reconsider = map[domain.ID]Micros{}
		}
		c.reconsider[id] = watermark
		return
	}
	m.reconsider(m.At(slot), watermark)
	m.fix(slot)
}

func (m *Memory) reconsider(r *Record, watermark Micros) {
	recurrence := m.recurrence(r)
	if recurrence == nil || m.policies.value(r.policy).MaxRuns > 0 {
		return
	}
	due, ok := recurrence.Prev(time.UnixMicro(watermark + 1))
	if ok && due.UnixMicro() > watermark-longestJitter.Microseconds() {
		m.SetDueAfter(r, max(r.Effective, due.UnixMicro()-1))
	}
}

// AdvanceTo moves all records past the due times that fire up to the watermark, because another beat has settled them.
func (m *Memory) AdvanceTo(watermark Micros) {
	if c := &m.calendars; c.held != Never {
		c.held, c.settled = max(c.held, watermark), max(c.settled, watermark)
	}
	for t := range m.heaps {
		for h := &m.heaps[t]; h.first() <= watermark; {
			slot := h.slots[0]
			r := m.At(slot)
			m.SetDueAfter(r, max(r.Due, m.lessJitter(r, watermark)))
			m.fix(slot)
		}
	}
}

// lessJitter returns an instant such that every due time of the record that fires after the argument lies after this
// instant.
func (m *Memory) lessJitter(r *Record, fire Micros) Micros {
	if fire == Always {
		return Always
	}
	return fire - m.policies.value(r.policy).Delay().Microseconds()
}

// Watermark returns the instant up to which all due times that fire by then are settled. It is the earliest of now, the
// instant just before the first record fires, and, while records wait for calendars, the instant up to which their due
// times are settled (after a load, the watermark of the load, or Always if there was none).
func (m *Memory) Watermark(now Micros) Micros {
	return min(now, m.heldUntil(), m.NextFire()-1)
}

// NextFire returns when the first record fires, or Never.
func (m *Memory) NextFire() Micros {
	first := Never
	for t := range m.heaps {
		first = min(first, m.heaps[t].first())
	}
	return first
}

// ceil rounds an instant up to microseconds, so that nothing fires early.
func ceil(t time.Time) Micros { return t.Add(time.Microsecond - 1).UnixMicro() }
