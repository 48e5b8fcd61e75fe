package beat

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// batchSize is how many due times one statement settles.
const batchSize = 5000

// fire settles what is due now, one batch of it. Memory moves on only when the statement has committed: until then the
// records go back as they were. When that is not answered, nothing is decided until the lease has another epoch.
func (b *Beat) fire(ctx context.Context, now micros) error {
	if !b.leading || b.unsure || b.memory.next() > now {
		return nil
	}
	due, err := b.collect(ctx, now)
	defer b.putBack(&due)
	if err != nil || len(due.items) == 0 {
		return err
	}
	began := time.Now()
	b.locks.waits = 0
	out, err := b.commit(ctx, due.items)
	switch {
	case err != nil:
		b.unsure, b.lookAt = true, now
		return err
	case !out.Held:
		b.lose("another")
		return nil
	case out.Early:
		b.pollAt = now // to ask for the time
		return nil
	}
	b.fired(due.items, out, time.Since(began))
	b.advance(due, out, now)
	return nil
}

// collect takes what is due out of the heap, and decides what becomes of it.
func (b *Beat) collect(ctx context.Context, now micros) (due batch, err error) {
	var unsure []uint32
	for len(due.items) < batchSize && len(unsure) < batchSize && b.memory.next() <= now {
		slot := b.memory.pop()
		items, last := b.memory.settle(slot, now, batchSize-len(due.items))
		if items[0].due <= b.takenAt && b.memory.misfired(slot, items, now) {
			unsure = append(unsure, slot)
			continue
		}
		due.add(slot, items, last)
	}
	err = b.locate(ctx, unsure)
	for _, slot := range unsure {
		r := b.memory.at(slot)
		if err == nil && r.fire <= now && len(due.items) < batchSize {
			items, last := b.memory.settle(slot, now, batchSize-len(due.items))
			due.add(slot, items, last)
		} else {
			due.add(slot, nil, r.due-1)
		}
	}
	return due, err
}

// putBack returns the records to the heap.
func (b *Beat) putBack(due *batch) {
	for _, p := range due.records {
		b.memory.push(p.slot)
	}
}

// advance moves records past what was settled. Those that did not join are read again instead.
func (b *Beat) advance(due batch, out outcome, now micros) {
	left := b.locks.left(out)
	if len(left) > 0 {
		b.takenAt = max(b.takenAt, now) // others of their due times may be settled
	}
	stale := make(map[domain.ID]struct{}, len(out.Stale))
	for _, id := range out.Stale {
		stale[id] = struct{}{}
		b.pending[id] = anyVersion
	}
	for _, p := range due.records {
		r := b.memory.at(p.slot)
		if _, ok := left[r.id]; ok {
			b.locks.defers(r, now)
			continue
		}
		b.locks.open(r.id)
		if _, ok := stale[r.id]; !ok {
			b.memory.place(r, p.last)
		}
	}
}
