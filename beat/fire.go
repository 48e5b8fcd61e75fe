package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// firing is what one statement is to settle. Its records are out of the heap meanwhile.
type firing struct {
	decisions []memory.Decision
	records   []progress
}

// progress is a record, and the last of its due times that the statement settles.
type progress struct {
	slot uint32
	last memory.Micros
}

func (d *firing) add(slot uint32, decisions []memory.Decision, last memory.Micros) {
	d.decisions = append(d.decisions, decisions...)
	d.records = append(d.records, progress{slot, last})
}

// weight is what decisions weigh together, in KiB. What was missed has no task.
func weight(decisions []memory.Decision) (sum int) {
	for i := range decisions {
		if decisions[i].Reason == "" {
			sum += decisions[i].Weight
		} else {
			sum++
		}
	}
	return sum
}

// fire settles what is due now of the tier whose turn it is, at most as much of it as pacing and the backlog allow:
//
//	collect ──▶ settleApart ──▶ moveOn ──▶ putBack
//	(pop, decide)  (one transaction)  (memory)    (push)
//
// Memory moves on only after the commit; else the records go back as they were, and are decided again. If memory
// moved on before, a commit that failed would lose the due times. When the answer is lost nobody knows whether the
// statement has committed, or will yet. Then nothing is decided until the lease has another term, in which the
// statement does nothing any more: a range of missed due times that is decided again would begin at the same due time
// and end at another, and the unique key would take it for the one that is there.
func (b *Beat) fire(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || b.lease.unanswered {
		return nil
	}
	tier, anyDue := b.nextTier(now)
	if !anyDue && !b.backlog.waits && !b.backlog.full() {
		return nil
	}
	leave, err := b.mayFire(ctx, tier)
	if err != nil || !anyDue {
		return err
	}
	b.turns.had(tier)
	if leave == 0 {
		return nil
	}
	due, err := b.collectUpTo(ctx, now, tier, leave)
	defer b.putBack(&due)
	if err != nil || len(due.decisions) == 0 {
		return err
	}
	if err := b.sayWhoSkips(ctx, due.decisions); err != nil {
		return err
	}
	began := time.Now()
	b.locks.begin()
	b.refusals.begin()
	out, err := b.settleApart(ctx, due.decisions)
	switch {
	case err != nil:
		if !b.beside.Asks(ctx, b.mode.fireDueSQL, err) { // else nothing is slow
			b.paces[tier].failed(weight(due.decisions), err)
			b.leaveSlow(due, now, err)
		}
		b.lease.unanswered, b.lease.askAt = true, now
		return err
	case !out.Held:
		b.lose("another")
		return nil
	case out.Early:
		if out.Recorded > 0 { // by statements that came before PostgreSQL's clock went back
			b.lease.maybeSettled = max(b.lease.maybeSettled, now)
		}
		b.polls.at = now // which asks for the time
		return nil
	}
	took := time.Since(began)
	b.paces[tier].took(weight(due.decisions), took)
	b.backlog.took(out.Fired, localNow())
	if tier != memory.Light {
		b.backlog.handingOver(weight(due.decisions), out.Newest, localNow())
	}
	b.countFired(due.decisions, out, took)
	b.moveOn(due, out, now)
	return nil
}

// nextFire returns when there is something to settle, and the lease is not known to be locked. What is heavy waits
// while too much of it is being handed over.
func (b *Beat) nextFire() memory.Micros {
	light, heavier := b.memory.NextFireOf(memory.Light), memory.Never
	for t := memory.Light + 1; t < memory.Tiers; t++ {
		heavier = min(heavier, b.memory.NextFireOf(t))
	}
	return max(min(light, max(heavier, b.backlog.heavierAt)), b.lease.locked.fireAt)
}

// nextTier returns the tier that fires now, and whether anything does.
func (b *Beat) nextTier(now memory.Micros) (memory.Tier, bool) {
	if now < b.lease.locked.fireAt {
		return memory.Light, false
	}
	return b.turns.next(func(t memory.Tier) bool {
		return b.memory.NextFireOf(t) <= now && (t == memory.Light || b.backlog.heavierAt <= now)
	})
}

// collect takes what is due out of the heap of the tier whose turn it is, and decides what becomes of it. Due times
// that may have been settled without memory knowing it, and were missed, are looked up before they are decided.
func (b *Beat) collect(ctx context.Context, now memory.Micros) (firing, error) {
	tier, _ := b.nextTier(now)
	return b.collectUpTo(ctx, now, tier, maxFiringSize)
}

// collectUpTo collects so many due times of a tier, or fewer: as much as pacing allows.
func (b *Beat) collectUpTo(ctx context.Context, now memory.Micros, tier memory.Tier, most int) (due firing, err error) {
	var toLookUp []uint32
	size, weighs := b.paces[tier].size(), 0
	room := func(slot uint32) int {
		return max(1, min(most-len(due.decisions), (size-weighs)/b.memory.At(slot).Weight()))
	}
	for len(due.decisions) < most && weighs < size && len(toLookUp) < min(most, size) && b.memory.NextFireOf(tier) <= now {
		if weighs > 0 && weighs+b.memory.FirstWeight(tier) > size {
			break
		}
		slot := b.memory.Pop(tier)
		if b.memory.Outdated(slot) {
			if b.memory.Renew(slot); b.memory.At(slot).Fire > now {
				b.memory.Push(slot)
				continue
			}
		}
		decisions, last := b.memory.Decide(slot, now, room(slot))
		if decisions[0].Due <= b.lease.maybeSettled && b.memory.Misfired(slot, decisions, now) {
			toLookUp = append(toLookUp, slot)
			continue
		}
		due.add(slot, decisions, last)
		weighs += weight(decisions)
	}
	gaps, err := b.skipSettled(ctx, toLookUp)
	if postgres.LockTimedOut(err) { // of a partition: what is not to be looked up fires
		b.leaveUnread(toLookUp, now, err)
		return due, nil
	}
	for _, slot := range toLookUp {
		r := b.memory.At(slot)
		g, ends := gaps[r.ID]
		if err == nil && !g.more && r.Fire <= now && len(due.decisions) < most && weighs < size {
			until := now
			if ends {
				until = max(r.Fire, min(now, g.until))
			}
			decisions, last := b.memory.Decide(slot, until, room(slot))
			due.add(slot, decisions, last)
			weighs += weight(decisions)
		} else {
			due.add(slot, nil, r.Due-1)
		}
	}
	return due, err
}

// leaveUnread leaves records for later whose runs cannot be read, because of a lock that somebody holds.
func (b *Beat) leaveUnread(slots []uint32, now memory.Micros, err error) {
	for i, slot := range slots {
		r := b.memory.At(slot)
		if i == 0 {
			b.locks.failures.report(fmt.Errorf("schedule %s: what has run before: %w", r.ID, err))
		}
		b.locks.pauses[r.ID] = min(max(2*b.locks.pauses[r.ID], firstLeave), lastLeave)
		b.locks.deferFiring(r, now)
		b.memory.Push(slot)
	}
}

// putBack puts the records back into the heap.
func (b *Beat) putBack(due *firing) {
	for _, p := range due.records {
		b.memory.Push(p.slot)
	}
}

// moveOn moves records past what was settled. A schedule that did not join, because it is not as memory has it, is
// read again instead; one that is locked fires later.
func (b *Beat) moveOn(due firing, out outcome, now memory.Micros) {
	left := b.locks.unsettled(out)
	if len(left) > 0 {
		b.lease.maybeSettled = max(b.lease.maybeSettled, now) // some of their due times may be settled
	}
	stale := make(map[domain.ID]struct{}, len(out.Stale))
	b.calendars.wanted = b.calendars.wanted || len(out.Stale) > 0 // by which they may have been decided
	for _, id := range out.Stale {
		stale[id] = struct{}{}
		b.syncs.pending[id] = anyVersion
	}
	for _, p := range due.records {
		r := b.memory.At(p.slot)
		if _, ok := left[r.ID]; ok {
			b.locks.deferFiring(r, now)
			if since, ok := out.Unjudged[r.ID]; ok {
				b.memory.Wait(r, since.UnixMicro())
			}
			continue
		}
		b.locks.free(r.ID)
		if len(b.locks.pauses) == 0 {
			b.slow.failures.recovered()
		}
		if _, ok := stale[r.ID]; !ok {
			b.memory.SetDueAfter(r, p.last)
			b.noteSpent(b.memory, r.ID)
		}
	}
	for i := range due.decisions {
		if d := &due.decisions[i]; d.Counts && d.Reason == "" {
			b.noteCounted(d.Schedule)
		}
	}
}
