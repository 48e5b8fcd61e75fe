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
// Leading edge: the first name is read at once, so a single change is not delayed. Trailing edge: a name that is heard
// within 10 ms of a read, or during one, stays pending, and the beat wakes to read it. Invariant: a name leaves pending
// only after a query that began after the name was heard. The usual debounce, which drops events that come soon after
// the last read, breaks this invariant: it loses a change that was committed just after that read had taken its
// snapshot of the table.

const (
	syncEvery  = 10 * time.Millisecond // between two reads
	syncAtMost = 10_000                // schedules in one query

	syncAtLeast = 500    // in the first query, when the cost of schedules is not known yet
	syncSteps   = 50_000 // of calendars that one query's schedules should take, at most
	syncWeight  = 64_000 // KiB of tasks that PostgreSQL should have to unpack for one query, at most
)

// syncs are the schedules that are to be read.
type syncs struct {
	pending   map[domain.ID]int64 // by id, the newest version heard of
	notBefore memory.Micros       // when the next read may begin
	every     time.Duration       // between two reads
	queries   int64               // how many reads there were
	atOnce    int                 // how many schedules the next query reads
}

// anyVersion, as a pending version, makes the beat read a schedule whatever version memory has.
const anyVersion = math.MaxInt64

// wantSync marks a schedule to be read because it has a version, unless memory has this version already.
func (b *Beat) wantSync(id domain.ID, version int64) {
	if kept, ok := b.memory.Find(id); ok && int64(kept.Version) >= version {
		return
	}
	b.syncs.pending[id] = max(b.syncs.pending[id], version)
}

const ofIDsSQL = ` and s.id = any (@ids::uuid[])`

var changedRows = living{livingRowsSQL + ofIDsSQL, uncountedRowsSQL + ofIDsSQL}

// sync reads the schedules that are pending, unless the last read was less than syncEvery ago. If there are very many,
// the next steps read the rest.
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
		if b.memory.LacksCalendars() { // a schedule that was just read uses one
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

// syncNext returns how many schedules the next query may read, after a query that read some of a total weight, whose
// due times took so many steps of calendars to find.
func syncNext(read, weighs int, steps int64) int {
	switch {
	case steps > syncSteps || weighs > syncWeight:
		return max(read/4, 1)
	case weighs > syncWeight/4:
		return read
	}
	return min(max(2*read, syncAtLeast), syncAtMost)
}

// pendingIDs returns the schedules that the next query reads.
func (b *Beat) pendingIDs() []domain.ID {
	ids := make([]domain.ID, 0, min(len(b.syncs.pending), cmp.Or(b.syncs.atOnce, syncAtLeast)))
	for id := range b.syncs.pending {
		if ids = append(ids, id); len(ids) == cap(ids) {
			break
		}
	}
	return ids
}

// syncSchedules reads some schedules into memory, and removes those from it that are gone or may not fire. Before that
// it records the due times that these changes have overtaken. It returns the total weight of the schedules in KiB.
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
		b.putRow(r)
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
		b.putRow(r)
	}
	for _, id := range ids {
		if _, ok := living[id]; !ok {
			b.memory.Remove(id)
			b.pauses.at = memory.Always // its pause may end before the next poll
		}
		delete(b.syncs.pending, id)
	}
	return weighs, nil
}

// putRow puts a row into memory.
func (b *Beat) putRow(r memory.Row) {
	b.countRecognition(r)
	if err := b.memory.Put(r, memory.Always); err != nil {
		b.invalid.found[r.ID] = unreadable{r.Version, err}
	} else {
		b.noteSpent(b.memory, r.ID)
	}
}
