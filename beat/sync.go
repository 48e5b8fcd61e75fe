package beat

import (
	"cmp"
	"context"
	"math"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// # The debounce
//
// Events name schedules; their rows are read from PostgreSQL. Under load many events come within milliseconds, often
// about the same schedule, so names are collected and read together:
//
//	heard:  a        b c d          e                f
//	        │        └─┬─┘          │                │
//	reads:  a at once  bcd and e, 10 ms after a      f at once
//
// Leading edge: the first name is read at once, so a single change takes no longer. Trailing edge: a name that is
// heard within 10 ms of a read, or during one, stays pending, and the beat wakes to read it. Invariant: a name leaves
// pending only after a query that began after it was heard. The usual debounce, which drops events that come soon
// after the last read, loses the change that was committed just after that read saw the table.

const (
	syncEvery  = 10 * time.Millisecond // between two reads
	syncAtMost = 10_000                // schedules in one query

	syncAtLeast = 500    // the first time: what they take is not known yet
	syncSteps   = 50_000 // that one should take to make its schedules due
	syncWeight  = 64_000 // of tasks that PostgreSQL unpacks for one, in KiB
)

// syncs are the schedules that are to be read.
type syncs struct {
	pending   map[domain.ID]int64 // by id, the newest version heard of
	notBefore memory.Micros       // when they may be read
	every     time.Duration       // between two reads
	queries   int64               // made so far
	atOnce    int                 // schedules in the next query
}

// anyVersion, as the version heard of, has a schedule read whatever version memory has.
const anyVersion = math.MaxInt64

// wantSync notes that a schedule has a version, unless memory has it already.
func (b *Beat) wantSync(id domain.ID, version int64) {
	if kept, ok := b.memory.Find(id); ok && int64(kept.Version) >= version {
		return
	}
	b.syncs.pending[id] = max(b.syncs.pending[id], version)
}

const ofIDsSQL = ` and s.id = any (@ids::uuid[])`

var changedRows = living{livingRowsSQL + ofIDsSQL, uncountedRowsSQL + ofIDsSQL}

// sync reads the schedules that are pending, unless the last read was less than syncEvery ago. Of very many it reads
// some, and the next step reads more.
func (b *Beat) sync(ctx context.Context, now memory.Micros) error {
	if err := b.syncCalendars(ctx); err != nil {
		return err
	}
	if len(b.syncs.pending) > 0 && now >= b.syncs.notBefore {
		began := time.Now()
		ids, reckoned := b.pendingIDs(), b.memory.Reckoned()
		weighs, err := b.syncSchedules(ctx, ids)
		if err != nil {
			return err
		}
		b.syncs.queries++
		b.syncs.atOnce = syncNext(len(ids), weighs, b.memory.Reckoned()-reckoned)
		if b.memory.LacksCalendars() { // a new schedule uses them
			if err := b.syncCalendars(ctx); err != nil {
				return err
			}
		}
		if len(b.syncs.pending) == 0 {
			b.syncs.notBefore = now + b.syncs.every.Microseconds()
		}
		b.sums.add(sumSynced, int64(len(ids)))
		b.log.Debug("synced", "schedules", len(ids), "took", time.Since(began))
	}
	if len(b.syncs.pending) == 0 {
		b.caughtUp()
	}
	return nil
}

// syncNext returns how many schedules the next query may have, after one whose schedules weigh so much and took so many
// steps to make due.
func syncNext(read, weighs int, steps int64) int {
	switch {
	case steps > syncSteps || weighs > syncWeight:
		return max(read/4, 1)
	case weighs > syncWeight/4:
		return read
	}
	return min(max(2*read, syncAtLeast), syncAtMost)
}

// pendingIDs returns the schedules of the next query.
func (b *Beat) pendingIDs() []domain.ID {
	ids := make([]domain.ID, 0, min(len(b.syncs.pending), cmp.Or(b.syncs.atOnce, syncAtLeast)))
	for id := range b.syncs.pending {
		if ids = append(ids, id); len(ids) == cap(ids) {
			break
		}
	}
	return ids
}

// syncSchedules reads some schedules into memory. One that is not there any more, or may not fire, is removed. What
// changes have overtaken is recorded first. It returns what they weigh together.
func (b *Beat) syncSchedules(ctx context.Context, ids []domain.ID) (weighs int, err error) {
	living := make(map[domain.ID]struct{}, len(ids))
	var changed []domain.ID
	var later []memory.Row
	rows, err := b.readLiving(ctx, changedRows, named{"ids": ids})
	if err != nil {
		return 0, err
	}
	for _, r := range rows {
		weighs += int(r.Weight >> 10)
		living[r.ID] = struct{}{}
		if b.mayOvertake(r.ID, &r.Effective) {
			changed, later = append(changed, r.ID), append(later, r)
			continue
		}
		b.take(r)
	}
	for _, id := range ids {
		if _, ok := living[id]; !ok && b.mayOvertake(id, nil) {
			changed = append(changed, id)
		}
	}
	if err := b.settleOvertaken(ctx, changed); err != nil {
		return 0, err
	}
	for _, r := range later {
		b.take(r)
	}
	for _, id := range ids {
		if _, ok := living[id]; !ok {
			b.memory.Remove(id)
			b.pauses.at = memory.Always // it may be paused for less than until the next poll
		}
		delete(b.syncs.pending, id)
	}
	return weighs, nil
}

// take makes memory have a row.
func (b *Beat) take(r memory.Row) {
	b.countRecognition(r)
	if err := b.memory.Put(r, memory.Always); err != nil {
		b.invalid.found[r.ID] = unreadable{r.Version, err}
	} else {
		b.noteSpent(b.memory, r.ID)
	}
}
