package memory

import (
	"cmp"
	"math"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// micros is an instant as Postgres keeps it, in microseconds since 1970.
type Micros = int64

// always is before every due time.
const Always Micros = math.MinInt64

// never is when something fires that is due no more. It is the greatest instant, so it stays at the heap's end.
const Never Micros = math.MaxInt64

// record is what memory keeps of one schedule: no pointers, so that the garbage collector has nothing to follow.
// The payload stays in Postgres.
type Record struct {
	ID        domain.ID
	Effective Micros // effective_from
	anchor    Micros
	Due       Micros // the first due time that is not settled
	Fire      Micros // when that fires: later by its jitter
	Version   uint32
	trigger   uint32 // interned
	policy    uint32 // interned
	heapIndex uint32 // in the heap
}

// memory is all enabled schedules, by id and by when they fire next.
type Memory struct {
	chunks    []*[chunkSize]Record // by slot; a record that is not used has no id
	allocated uint32               // that there are
	free      []uint32             // those that are not used
	index     index
	heap      []uint32
	triggers  interned[trigger]
	policies  interned[policy]

	SwitchedAt Micros // until when another beat was in charge
}

// chunk is how many records are allocated together: memory grows without being copied.
const chunkSize = 4096

func New() *Memory {
	return &Memory{SwitchedAt: Always, index: newIndex(), triggers: newInterned(parseTrigger), policies: newInterned(parsePolicy)}
}

func (m *Memory) Len() int { return m.index.used }

// Slots is how many slots there are, those that are not used included.
func (m *Memory) Slots() uint32 { return m.allocated }

// Slot returns the slot of a schedule's record.
func (m *Memory) Slot(id domain.ID) (slot uint32, known bool) {
	slot, _, known = m.lookup(id)
	return slot, known
}

func (m *Memory) At(slot uint32) *Record { return &m.chunks[slot/chunkSize][slot%chunkSize] }

func (m *Memory) Find(id domain.ID) (*Record, bool) {
	slot, _, known := m.lookup(id)
	if !known {
		return nil, false
	}
	return m.At(slot), true
}

// put makes the record of a schedule what its row says. The due times of one that is known go on where they were, unless
// they count from another instant now. All others are those after effective_from and after the instant given.
func (m *Memory) Put(r Row, after Micros) error {
	slot, cell, known := m.lookup(r.ID)
	if !known {
		slot = m.insert(r.ID, cell)
	}
	kept := m.At(slot)
	restart := !known || kept.Effective != r.Effective
	slept := kept.Due == Never
	kept.Version, kept.Effective, kept.anchor = uint32(r.Version), r.Effective, r.Anchor
	trigger, policy := m.triggers.acquire(r.Trigger), m.policies.acquire(r.Policy)
	if known {
		m.triggers.release(kept.trigger)
		m.policies.release(kept.policy)
	}
	kept.trigger, kept.policy = trigger, policy
	switch {
	case r.Exhausted || m.recurrence(kept) == nil:
		kept.Due, kept.Fire = Never, Never
	case restart:
		m.SetDueAfter(kept, max(r.Effective, m.lessJitter(kept, after)))
	case slept:
		m.SetDueAfter(kept, max(r.Effective, r.Read))
	default:
		m.retime(kept)
	}
	m.fix(slot)
	return cmp.Or(m.triggers.value(trigger).err, m.policies.value(policy).err)
}

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

// remove forgets a schedule that is deleted, disabled or done.
func (m *Memory) Remove(id domain.ID) {
	slot, cell, known := m.lookup(id)
	if !known {
		return
	}
	r := m.At(slot)
	m.removeAt(int(r.heapIndex))
	m.triggers.release(r.trigger)
	m.policies.release(r.policy)
	m.index.remove(cell)
	*r = Record{}
	m.free = append(m.free, slot)
}

// place makes the record due at its first due time after the instant. It does not move it in the heap.
func (m *Memory) SetDueAfter(r *Record, after Micros) {
	recurrence, policy := m.recurrence(r), m.policies.value(r.policy)
	r.Due, r.Fire = Never, Never
	if recurrence == nil {
		return
	}
	if due, ok := policy.Next(recurrence, time.UnixMicro(after)); ok {
		r.Due = due.UnixMicro()
		r.Fire = ceil(policy.FireAt(r.ID, recurrence, due))
	}
}

// aim has the due time that is next fire when its jitter says so, which an edit may have changed.
func (m *Memory) retime(r *Record) {
	if recurrence := m.recurrence(r); recurrence != nil {
		r.Fire = ceil(m.policies.value(r.policy).FireAt(r.ID, recurrence, time.UnixMicro(r.Due)))
	}
}

// restart makes the record of a schedule, if there is one, due at its first due time of all.
func (m *Memory) Restart(id domain.ID) {
	if slot, _, known := m.lookup(id); known {
		m.SetDueAfter(m.At(slot), m.At(slot).Effective)
		m.fix(slot)
	}
}

// longestJitter is how long before the watermark a due time may be that has not fired yet, for its jitter. Runs are kept for
// longer, which stops those that have fired from firing again.
const longestJitter = 30 * 24 * time.Hour

// reconsider makes the record of a schedule due at the last due time before the watermark. Whatever its jitter was, all that
// is before is settled: a jitter is less than the gap to the next due time. One with max_runs stays as it is: perhaps it had
// used them up, and what was due then is not caught up with.
func (m *Memory) Reconsider(id domain.ID, watermark Micros) {
	slot, _, known := m.lookup(id)
	if !known || watermark == Always {
		return
	}
	r := m.At(slot)
	recurrence := m.recurrence(r)
	if recurrence == nil || m.policies.value(r.policy).MaxRuns > 0 {
		return
	}
	if due, ok := recurrence.Prev(time.UnixMicro(watermark + 1)); ok && due.UnixMicro() > watermark-longestJitter.Microseconds() {
		m.SetDueAfter(r, max(r.Effective, due.UnixMicro()-1))
		m.fix(slot)
	}
}

// pass moves everything on that fires up to the watermark: another beat has settled it.
func (m *Memory) AdvanceTo(watermark Micros) {
	for len(m.heap) > 0 && m.fireAt(0) <= watermark {
		slot := m.heap[0]
		r := m.At(slot)
		m.SetDueAfter(r, max(r.Due, m.lessJitter(r, watermark)))
		m.fix(slot)
	}
}

// behind is an instant such that all due times that fire after the given one are after it.
func (m *Memory) lessJitter(r *Record, fire Micros) Micros {
	if fire == Always {
		return Always
	}
	return fire - m.policies.value(r.policy).Jitter*int64(time.Second/time.Microsecond)
}

// settled is the instant up to which everything is settled.
func (m *Memory) Watermark(now Micros) Micros {
	if len(m.heap) == 0 {
		return now
	}
	return min(now, m.fireAt(0)-1)
}

// next is when the first record fires; never when none does.
func (m *Memory) NextFire() Micros {
	if len(m.heap) == 0 {
		return Never
	}
	return m.fireAt(0)
}

// ceil rounds up: nothing fires early.
func ceil(t time.Time) Micros { return t.Add(time.Microsecond - 1).UnixMicro() }
