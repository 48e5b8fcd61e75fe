package beat

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// item is a due time that fires, or a range of due times that were missed.
type item struct {
	schedule  domain.ID
	effective micros
	due       micros
	until     micros // of a range
	reason    string // why it was missed; empty when it fires
	fire      micros
	version   uint32
	decided   micros // when
	policy    string // by which
}

// batch is what one statement settles. Its records are out of the heap meanwhile.
type batch struct {
	items   []item
	records []progress
}

// progress is a record and the last of its due times that the batch settles.
type progress struct {
	slot uint32
	last micros
}

func (d *batch) add(slot uint32, items []item, last micros) {
	d.items = append(d.items, items...)
	d.records = append(d.records, progress{slot, last})
}

// settle decides about the due times of a record up to now, the oldest of them first, at most room.
func (m *memory) settle(slot uint32, now micros, room int) (items []item, last micros) {
	r := m.at(slot)
	p, recurrence := m.policies.at(r.policy).Policy, m.recurrence(r)
	if r.due <= m.elsewhere {
		return m.passedOver(r, recurrence, now)
	}
	p.Grace += p.Jitter // it is not late before it was to fire
	if m.limited(r) {
		room = 1
	}
	decided := p.Settle(recurrence, time.UnixMicro(r.due-1), time.UnixMicro(now), room)
	last = r.due - 1
	base := m.item(r, now)
	for _, missed := range decided.Missed {
		it := base
		it.due, it.until, it.reason = missed.From.UnixMicro(), missed.To.UnixMicro(), missed.Reason
		it.fire = it.due
		items, last = append(items, it), it.until
	}
	for _, due := range decided.Fire[:min(room, len(decided.Fire))] {
		it := base
		it.due, it.fire = due.UnixMicro(), ceil(p.FireAt(r.id, recurrence, due))
		if it.fire > now {
			break
		}
		items, last = append(items, it), it.due
	}
	return items, last
}

// item is what all items of a record have in common.
func (m *memory) item(r *record, now micros) item {
	return item{schedule: r.id, effective: r.effective, version: r.version, decided: now, policy: m.policies.text(r.policy)}
}

// passedOver has the due times of the time in which another beat was in charge recorded, and none of them fire.
func (m *memory) passedOver(r *record, recurrence domain.Recurrence, now micros) (items []item, last micros) {
	end := time.UnixMicro(m.elsewhere + 1)
	if ends := m.policies.at(r.policy).EndsAt; !ends.IsZero() && ends.Before(end) {
		end = ends.Add(1)
	}
	last = r.due
	if due, ok := recurrence.Prev(end); ok {
		last = max(last, due.UnixMicro())
	}
	it := m.item(r, now)
	it.due, it.until, it.reason, it.fire = r.due, last, domain.ReasonShadow, r.fire
	return []item{it}, last
}

// misfired tells whether something of the items is later than its time and the grace.
func (m *memory) misfired(slot uint32, items []item, now micros) bool {
	p := m.policies.at(m.at(slot).policy)
	grace := (p.Grace + p.Jitter) * int64(time.Second/time.Microsecond)
	return len(items) > 0 && (items[0].reason != "" || items[0].due < now-grace)
}
