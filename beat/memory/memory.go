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

// Never is when a record fires that has no due time any more. As the greatest instant it stays at the heap's end.
const Never Micros = math.MaxInt64

// Record is what memory keeps of one schedule. It has no pointers, so the garbage collector does not look at it.
type Record struct {
	ID        domain.ID
	Effective Micros // effective_from: the instant after which due times count
	anchor    Micros // from which an interval counts
	Due       Micros // the first due time that is not settled, or Never
	Fire      Micros // when Due fires: later by its spread and its jitter
	Version   uint32 // of the row that the record was made of
	trigger   uint32 // its number among the interned triggers
	policy    uint32 // its number among the interned policies

	placeAndClass uint32 // where the heap has its slot, and how heavy its task is: see Tier
}

// Memory is all enabled schedules, by id and by when they fire next.
type Memory struct {
	chunks    []*[chunkSize]Record // the records, by slot; one that is not used has no id
	allocated uint32               // slots, used or free
	free      []uint32             // slots that are not used
	index     index                // slots by id
	heaps     [Tiers]heap          // slots by Fire
	triggers  interned[trigger]
	policies  interned[policy]
	calendars calendars
	waits     map[domain.ID]wait // of schedules that nobody had judged

	// SwitchedAt is when a beat that fires took over from one in shadow mode. What was due until then was another
	// beat's.
	SwitchedAt Micros

	// longestTakeover is how late a due time may be by a crash and the takeover by another beat: it fires all the same.
	longestTakeover time.Duration
}

// chunkSize is how many records are allocated together, so that memory grows without being copied.
const chunkSize = 4096

// New returns an empty memory for takeovers that last at most so long.
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

// Slots returns how many slots there are, free ones included.
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

// Put makes the record of a schedule what its row says, and returns the error of a trigger or policy that cannot be
// read, or ErrBeyond. Such a record is kept, and is never due.
//
// Which due time is next depends on what was known:
//
//   - The schedule is new, or its due times count from another instant: those after effective_from that fire after the
//     instant given. That is the watermark at a load, and Always when the schedule is known to have changed.
//   - It was never due, for want of a readable trigger or of runs, and now is: those from the moment on at which the
//     row was read. What passed meanwhile is not caught up with.
//   - Otherwise the due time stays, and only when it fires may be another instant (its jitter or spread has changed).
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
		r.Trigger = nil // which cannot be read, so that it is never due
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

// insert makes a record for a new id, in the free cell of the index where the id belongs.
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

// Remove forgets a schedule that is deleted, disabled or done.
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

// SetDueAfter makes a record due at its first due time after an instant, or has it wait for its calendars. It is for
// records that are popped: the heap is left as it is.
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

// retime sets when the record's due time fires, by its jitter and spread, which an edit may have changed.
func (m *Memory) retime(r *Record) {
	if recurrence := m.recurrence(r); recurrence != nil {
		r.Fire = ceil(m.policies.value(r.policy).FireAt(r.ID, recurrence, time.UnixMicro(r.Due)))
	}
}

// Retime has a schedule, if it is known and does not wait, fire when its due time does.
func (m *Memory) Retime(id domain.ID) {
	if slot, _, known := m.lookup(id); known && m.At(slot).Due != Never && !m.lacks(m.At(slot)) {
		m.retime(m.At(slot))
		m.fix(slot)
	}
}

// Restart makes a schedule, if it is known, due at its very first due time after effective_from.
func (m *Memory) Restart(id domain.ID) {
	if slot, _, known := m.lookup(id); known {
		m.SetDueAfter(m.At(slot), m.At(slot).Effective)
		m.hold(m.At(slot), m.At(slot).Effective)
		m.fix(slot)
	}
}

// GoBack makes a schedule, if it is known, due at its first due time from an instant on, unless it is due before that.
func (m *Memory) GoBack(id domain.ID, since Micros) {
	if slot, _, known := m.lookup(id); known && m.At(slot).Due > since {
		m.goBack(slot, since-1)
	}
}

// Rewind makes all schedules due again that fire after an instant.
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

// longestJitter is how long before the watermark a due time may lie that has not fired yet because of its jitter.
// Runs are kept for longer than that, so the unique key still stops a due time that has fired from firing again.
const longestJitter = 30 * 24 * time.Hour

// Reconsider makes a schedule due again at its last due time before the watermark. It is for a schedule that was
// edited after the watermark was written: that was written by the jitter of then, and by the jitter of now the due
// time may not have fired. The due times before it have, whatever the jitter was, because a jitter is less than the
// gap to the next due time. A schedule with max_runs stays as it is: it may have used them up, and what was due then
// is not caught up with.
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

// AdvanceTo moves all records past what fires up to the watermark, because another beat has settled it.
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

// lessJitter returns an instant that is early enough: every due time of the record that fires after the instant
// given, is due after the one returned.
func (m *Memory) lessJitter(r *Record, fire Micros) Micros {
	if fire == Always {
		return Always
	}
	return fire - m.policies.value(r.policy).Delay().Microseconds()
}

// Watermark returns the instant up to which everything that fires is settled: now, or just before the first record
// fires, or what is settled of records that wait for a calendar: at a load the watermark of then, Always when there was
// none.
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

// ceil rounds up to microseconds, so that nothing fires early.
func ceil(t time.Time) Micros { return t.Add(time.Microsecond - 1).UnixMicro() }
