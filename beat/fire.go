package beat

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// batchSize is how many due times one statement settles.
const firingSize = 5000

// batch is what one statement settles. Its records are out of the heap meanwhile.
type firing struct {
	decisions []memory.Decision
	records   []progress
}

// progress is a record and the last of its due times that the batch settles.
type progress struct {
	slot uint32
	last memory.Micros
}

func (d *firing) add(slot uint32, items []memory.Decision, last memory.Micros) {
	d.decisions = append(d.decisions, items...)
	d.records = append(d.records, progress{slot, last})
}

// fire settles what is due now, one batch of it. Memory moves on only when the statement has committed: until then the
// records go back as they were. When that is not answered, nothing is decided until the lease has another epoch.
func (b *Beat) fire(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || b.lease.unanswered || b.memory.NextFire() > now {
		return nil
	}
	due, err := b.collect(ctx, now)
	defer b.putBack(&due)
	if err != nil || len(due.decisions) == 0 {
		return err
	}
	began := time.Now()
	b.locks.waits = 0
	out, err := b.settleOrBisect(ctx, due.decisions)
	switch {
	case err != nil:
		b.lease.unanswered, b.lease.askAt = true, now
		return err
	case !out.Held:
		b.lose("another")
		return nil
	case out.Early:
		b.polls.at = now // to ask for the time
		return nil
	}
	b.countFired(due.decisions, out, time.Since(began))
	b.moveOn(due, out, now)
	return nil
}

// collect takes what is due out of the heap, and decides what becomes of it.
func (b *Beat) collect(ctx context.Context, now memory.Micros) (due firing, err error) {
	var unsure []uint32
	for len(due.decisions) < firingSize && len(unsure) < firingSize && b.memory.NextFire() <= now {
		slot := b.memory.Pop()
		items, last := b.memory.Decide(slot, now, firingSize-len(due.decisions))
		if items[0].Due <= b.lease.maybeSettled && b.memory.Misfired(slot, items, now) {
			unsure = append(unsure, slot)
			continue
		}
		due.add(slot, items, last)
	}
	err = b.skipSettled(ctx, unsure)
	for _, slot := range unsure {
		r := b.memory.At(slot)
		if err == nil && r.Fire <= now && len(due.decisions) < firingSize {
			items, last := b.memory.Decide(slot, now, firingSize-len(due.decisions))
			due.add(slot, items, last)
		} else {
			due.add(slot, nil, r.Due-1)
		}
	}
	return due, err
}

// putBack returns the records to the heap.
func (b *Beat) putBack(due *firing) {
	for _, p := range due.records {
		b.memory.Push(p.slot)
	}
}

// advance moves records past what was settled. Those that did not join are read again instead.
func (b *Beat) moveOn(due firing, out outcome, now memory.Micros) {
	left := b.locks.unsettled(out)
	if len(left) > 0 {
		b.lease.maybeSettled = max(b.lease.maybeSettled, now) // others of their due times may be settled
	}
	stale := make(map[domain.ID]struct{}, len(out.Stale))
	for _, id := range out.Stale {
		stale[id] = struct{}{}
		b.syncs.pending[id] = anyVersion
	}
	for _, p := range due.records {
		r := b.memory.At(p.slot)
		if _, ok := left[r.ID]; ok {
			b.locks.deferFiring(r, now)
			continue
		}
		b.locks.free(r.ID)
		if _, ok := stale[r.ID]; !ok {
			b.memory.SetDueAfter(r, p.last)
		}
	}
}
