package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// firing is what one call of fire settles: decisions, and the records that they are about, which were popped from the
// heap.
type firing struct {
	decisions []memory.Decision
	records   []progress
}

// progress is a popped record, and the last of its due times that the decisions cover.
type progress struct {
	slot uint32
	last memory.Micros
}

func (d *firing) add(slot uint32, decisions []memory.Decision, last memory.Micros) {
	d.decisions = append(d.decisions, decisions...)
	d.records = append(d.records, progress{slot, last})
}

// weight returns the total weight of decisions in KiB. A decision that something was missed copies no task, and counts
// as 1.
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

// fire settles due times of the tier whose turn it is, as many as pacing and the backlog allow:
//
//	collect ──▶ settleApart ──▶ moveOn ──▶ putBack
//	(pop, decide)  (one transaction)  (memory)    (push)
//
// Memory moves on only after the commit. If the statement fails, the records go back into the heap unchanged, and are
// decided again. If memory moved on before the commit, a failed commit would lose the due times. If the answer is lost,
// the beat cannot know whether the statement has committed, or still will. Then nothing is decided until the lease has
// a new term, under which the statement can no longer commit. Without this rule, the beat might decide a range of
// missed due times again while the first decision is already recorded: the second range would begin at the same due
// time but end at a later one, the unique key would reject it as a duplicate, and memory would move on past due times
// that have no row.
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
	b.turns.hadTurn(tier)
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
		if !b.beside.Asks(ctx, b.mode.fireDueSQL, err) { // no locked table is to blame
			b.paces[tier].failed(weight(due.decisions), err)
			b.leaveSlow(due, now, err)
		}
		b.lease.unanswered, b.lease.askAt = true, now
		return err
	case !out.Held:
		b.lose("another")
		return nil
	case out.Early:
		if out.Recorded > 0 { // by statements that ran before PostgreSQL's clock went back
			b.lease.maybeSettled = max(b.lease.maybeSettled, now)
		}
		b.polls.at = now // a poll asks PostgreSQL for its time
		return nil
	}
	took := time.Since(began)
	b.paces[tier].took(weight(due.decisions), took)
	b.backlog.took(out.Fired, localNow())
	if tier != memory.Light {
		b.backlog.noteHeavy(weight(due.decisions), out.Newest, localNow())
	}
	b.countFired(due.decisions, out, took)
	b.moveOn(due, out, now)
	return nil
}

// nextFire returns the instant at which the next due time is to be settled. It is put off while the row of the lease is
// locked; and that of heavy tasks is put off while too many of them wait to be handed over.
func (b *Beat) nextFire() memory.Micros {
	light, heavier := b.memory.NextFireOf(memory.Light), memory.Never
	for t := memory.Light + 1; t < memory.Tiers; t++ {
		heavier = min(heavier, b.memory.NextFireOf(t))
	}
	return max(min(light, max(heavier, b.backlog.heavierAt)), b.lease.locked.fireAt)
}

// nextTier returns the tier whose turn it is, and whether any tier has something to fire.
func (b *Beat) nextTier(now memory.Micros) (memory.Tier, bool) {
	if now < b.lease.locked.fireAt {
		return memory.Light, false
	}
	return b.turns.next(func(t memory.Tier) bool {
		return b.memory.NextFireOf(t) <= now && (t == memory.Light || b.backlog.heavierAt <= now)
	})
}

// collect pops the due records of the tier whose turn it is, and decides their due times. Records with missed due times
// that may have been settled without memory knowing it are first looked up in tactus.runs (see skipSettled).
func (b *Beat) collect(ctx context.Context, now memory.Micros) (firing, error) {
	tier, _ := b.nextTier(now)
	return b.collectUpTo(ctx, now, tier, maxFiringSize)
}

// collectUpTo collects up to most due times of a tier, fewer if pacing does not allow as many.
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
	if postgres.LockTimedOut(err) { // on a partition of the runs: what need not be looked up fires
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

// leaveUnread puts off records whose runs cannot be read because another session holds a lock.
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

// putBack pushes the records of a firing back into the heap.
func (b *Beat) putBack(due *firing) {
	for _, p := range due.records {
		b.memory.Push(p.slot)
	}
}

// moveOn moves records past the due times that were settled. A schedule that differs from its record did not join: it
// is read again instead. A schedule that is locked is put off.
func (b *Beat) moveOn(due firing, out outcome, now memory.Micros) {
	left := b.locks.unsettled(out)
	if len(left) > 0 {
		b.lease.maybeSettled = max(b.lease.maybeSettled, now) // some of their due times may be settled
	}
	stale := make(map[domain.ID]struct{}, len(out.Stale))
	b.calendars.wanted = b.calendars.wanted || len(out.Stale) > 0 // another version of a calendar may be the reason
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
