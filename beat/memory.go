package beat

import (
	"cmp"
	"math"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// micros is an instant as Postgres keeps it, in microseconds since 1970.
type micros = int64

// always is before every due time.
const always micros = math.MinInt64

// never is when something fires that is due no more. It is the greatest instant, so it stays at the heap's end.
const never micros = math.MaxInt64

// record is what memory keeps of one schedule: no pointers, so that the garbage collector has nothing to follow.
// The payload stays in Postgres.
type record struct {
	id        domain.ID
	effective micros // effective_from
	anchor    micros
	due       micros // the first due time that is not settled
	fire      micros // when that fires: later by its jitter
	version   uint32
	trigger   uint32 // interned
	policy    uint32 // interned
	place     uint32 // in the heap
}

// memory is all enabled schedules, by id and by when they fire next.
type memory struct {
	chunks   []*[chunk]record // by slot; a record that is not used has no id
	slots    uint32           // that there are
	free     []uint32         // those that are not used
	index    index
	heap     []uint32
	triggers interned[trigger]
	policies interned[policy]

	elsewhere micros // until when another beat was in charge
}

// chunk is how many records are allocated together: memory grows without being copied.
const chunk = 4096

func newMemory() *memory {
	return &memory{elsewhere: always, index: newIndex(), triggers: newInterned(parseTrigger), policies: newInterned(parsePolicy)}
}

func (m *memory) len() int { return m.index.used }

func (m *memory) at(slot uint32) *record { return &m.chunks[slot/chunk][slot%chunk] }

func (m *memory) find(id domain.ID) (*record, bool) {
	slot, _, known := m.slot(id)
	if !known {
		return nil, false
	}
	return m.at(slot), true
}

// put makes the record of a schedule what its row says. The due times of one that is known go on where they were, unless
// they count from another instant now. All others are those after effective_from and after the instant given.
func (m *memory) put(r row, after micros) error {
	slot, cell, known := m.slot(r.id)
	if !known {
		slot = m.add(r.id, cell)
	}
	kept := m.at(slot)
	restart := !known || kept.effective != r.effective
	slept := kept.due == never
	kept.version, kept.effective, kept.anchor = uint32(r.version), r.effective, r.anchor
	trigger, policy := m.triggers.use(r.trigger), m.policies.use(r.policy)
	if known {
		m.triggers.drop(kept.trigger)
		m.policies.drop(kept.policy)
	}
	kept.trigger, kept.policy = trigger, policy
	switch {
	case r.exhausted || m.recurrence(kept) == nil:
		kept.due, kept.fire = never, never
	case restart:
		m.place(kept, max(r.effective, m.behind(kept, after)))
	case slept:
		m.place(kept, max(r.effective, r.read))
	default:
		m.aim(kept)
	}
	m.moved(slot)
	return cmp.Or(m.triggers.at(trigger).err, m.policies.at(policy).err)
}

func (m *memory) add(id domain.ID, cell uint32) (slot uint32) {
	if last := len(m.free) - 1; last >= 0 {
		slot, m.free = m.free[last], m.free[:last]
	} else {
		slot = m.slots
		if m.slots++; slot%chunk == 0 {
			m.chunks = append(m.chunks, new([chunk]record))
		}
	}
	*m.at(slot) = record{id: id, due: never, fire: never}
	m.index.enter(cell, id, slot)
	m.push(slot)
	return slot
}

// remove forgets a schedule that is deleted, disabled or done.
func (m *memory) remove(id domain.ID) {
	slot, cell, known := m.slot(id)
	if !known {
		return
	}
	r := m.at(slot)
	m.takeOut(int(r.place))
	m.triggers.drop(r.trigger)
	m.policies.drop(r.policy)
	m.index.leave(cell)
	*r = record{}
	m.free = append(m.free, slot)
}

// place makes the record due at its first due time after the instant. It does not move it in the heap.
func (m *memory) place(r *record, after micros) {
	recurrence, policy := m.recurrence(r), m.policies.at(r.policy)
	r.due, r.fire = never, never
	if recurrence == nil {
		return
	}
	if due, ok := policy.Next(recurrence, time.UnixMicro(after)); ok {
		r.due = due.UnixMicro()
		r.fire = ceil(policy.FireAt(r.id, recurrence, due))
	}
}

// aim has the due time that is next fire when its jitter says so, which an edit may have changed.
func (m *memory) aim(r *record) {
	if recurrence := m.recurrence(r); recurrence != nil {
		r.fire = ceil(m.policies.at(r.policy).FireAt(r.id, recurrence, time.UnixMicro(r.due)))
	}
}

// restart makes the record of a schedule, if there is one, due at its first due time of all.
func (m *memory) restart(id domain.ID) {
	if slot, _, known := m.slot(id); known {
		m.place(m.at(slot), m.at(slot).effective)
		m.moved(slot)
	}
}

// longestJitter is how long before the watermark a due time may be that has not fired yet, for its jitter. Runs are kept for
// longer, which stops those that have fired from firing again.
const longestJitter = 30 * 24 * time.Hour

// reconsider makes the record of a schedule due at the last due time before the watermark. Whatever its jitter was, all that
// is before is settled: a jitter is less than the gap to the next due time. One with max_runs stays as it is: perhaps it had
// used them up, and what was due then is not caught up with.
func (m *memory) reconsider(id domain.ID, watermark micros) {
	slot, _, known := m.slot(id)
	if !known || watermark == always {
		return
	}
	r := m.at(slot)
	recurrence := m.recurrence(r)
	if recurrence == nil || m.policies.at(r.policy).MaxRuns > 0 {
		return
	}
	if due, ok := recurrence.Prev(time.UnixMicro(watermark + 1)); ok && due.UnixMicro() > watermark-longestJitter.Microseconds() {
		m.place(r, max(r.effective, due.UnixMicro()-1))
		m.moved(slot)
	}
}

// pass moves everything on that fires up to the watermark: another beat has settled it.
func (m *memory) pass(watermark micros) {
	for len(m.heap) > 0 && m.fireAt(0) <= watermark {
		slot := m.heap[0]
		r := m.at(slot)
		m.place(r, max(r.due, m.behind(r, watermark)))
		m.moved(slot)
	}
}

// behind is an instant such that all due times that fire after the given one are after it.
func (m *memory) behind(r *record, fire micros) micros {
	if fire == always {
		return always
	}
	return fire - m.policies.at(r.policy).Jitter*int64(time.Second/time.Microsecond)
}

// settled is the instant up to which everything is settled.
func (m *memory) settled(now micros) micros {
	if len(m.heap) == 0 {
		return now
	}
	return min(now, m.fireAt(0)-1)
}

// next is when the first record fires; never when none does.
func (m *memory) next() micros {
	if len(m.heap) == 0 {
		return never
	}
	return m.fireAt(0)
}

// ceil rounds up: nothing fires early.
func ceil(t time.Time) micros { return t.Add(time.Microsecond - 1).UnixMicro() }
