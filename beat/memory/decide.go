package memory

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// item is a due time that fires, or a range of due times that were missed.
type Decision struct {
	Schedule  domain.ID
	Effective Micros
	Due       Micros
	Until     Micros // of a range
	Reason    string // why it was missed; empty when it fires
	Fire      Micros
	Version   uint32
	Decided   Micros // when
	Policy    string // by which
}

// settle decides about the due times of a record up to now, the oldest of them first, at most room.
func (m *Memory) Decide(slot uint32, now Micros, room int) (items []Decision, last Micros) {
	r := m.At(slot)
	p, recurrence := m.policies.value(r.policy).Policy, m.recurrence(r)
	if r.Due <= m.SwitchedAt {
		return m.missedBeforeSwitch(r, recurrence, now)
	}
	p.Grace += p.Jitter // it is not late before it was to fire
	if m.limited(r) {
		room = 1
	}
	decided := p.Settle(recurrence, time.UnixMicro(r.Due-1), time.UnixMicro(now), room)
	last = r.Due - 1
	base := m.decision(r, now)
	for _, missed := range decided.Missed {
		it := base
		it.Due, it.Until, it.Reason = missed.From.UnixMicro(), missed.To.UnixMicro(), missed.Reason
		it.Fire = it.Due
		items, last = append(items, it), it.Until
	}
	for _, due := range decided.Fire[:min(room, len(decided.Fire))] {
		it := base
		it.Due, it.Fire = due.UnixMicro(), ceil(p.FireAt(r.ID, recurrence, due))
		if it.Fire > now {
			break
		}
		items, last = append(items, it), it.Due
	}
	return items, last
}

// item is what all items of a record have in common.
func (m *Memory) decision(r *Record, now Micros) Decision {
	return Decision{Schedule: r.ID, Effective: r.Effective, Version: r.Version, Decided: now, Policy: m.policies.text(r.policy)}
}

// passedOver has the due times of the time in which another beat was in charge recorded, and none of them fire.
func (m *Memory) missedBeforeSwitch(r *Record, recurrence domain.Recurrence, now Micros) (items []Decision, last Micros) {
	end := time.UnixMicro(m.SwitchedAt + 1)
	if ends := m.policies.value(r.policy).EndsAt; !ends.IsZero() && ends.Before(end) {
		end = ends.Add(1)
	}
	last = r.Due
	if due, ok := recurrence.Prev(end); ok {
		last = max(last, due.UnixMicro())
	}
	it := m.decision(r, now)
	it.Due, it.Until, it.Reason, it.Fire = r.Due, last, domain.ReasonShadow, r.Fire
	return []Decision{it}, last
}

// misfired tells whether something of the items is later than its time and the grace.
func (m *Memory) Misfired(slot uint32, items []Decision, now Micros) bool {
	p := m.policies.value(m.At(slot).policy)
	grace := (p.Grace + p.Jitter) * int64(time.Second/time.Microsecond)
	return len(items) > 0 && (items[0].Reason != "" || items[0].Due < now-grace)
}
