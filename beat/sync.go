package beat

import (
	"context"
	"math"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

const (
	syncEvery  = 10 * time.Millisecond
	syncAtMost = 10_000 // schedules in one query
)

// syncs are the schedules that are to be read.
type syncs struct {
	pending   map[domain.ID]int64 // by id, the newest version heard of
	notBefore memory.Micros
	queries   int64 // made so far
}

// anyVersion has a schedule read whatever memory has of it.
const anyVersion = math.MaxInt64

// changed notes that a schedule has a version. What memory has already is not read again.
func (b *Beat) wantSync(id domain.ID, version int64) {
	if kept, ok := b.memory.Find(id); ok && int64(kept.Version) >= version {
		return
	}
	b.syncs.pending[id] = max(b.syncs.pending[id], version)
}

const changedRowsSQL = livingRowsSQL + ` and s.id = any (@ids::uuid[])`

// sync reads schedules that are pending, unless it did so just now: the first change is read at once, those that follow it
// soon are read together. Of very many it reads some, and comes again in the next step.
func (b *Beat) sync(ctx context.Context, now memory.Micros) error {
	if len(b.syncs.pending) > 0 && now >= b.syncs.notBefore {
		began := time.Now()
		ids := b.pendingIDs()
		if err := b.syncSchedules(ctx, ids); err != nil {
			return err
		}
		b.syncs.queries++
		if len(b.syncs.pending) == 0 {
			b.syncs.notBefore = now + syncEvery.Microseconds()
		}
		b.log.Info("synced", "schedules", len(ids), "took", time.Since(began))
	}
	if len(b.syncs.pending) == 0 {
		b.caughtUp()
	}
	return nil
}

func (b *Beat) pendingIDs() []domain.ID {
	ids := make([]domain.ID, 0, min(len(b.syncs.pending), syncAtMost))
	for id := range b.syncs.pending {
		if ids = append(ids, id); len(ids) == cap(ids) {
			break
		}
	}
	return ids
}

// syncThese forgets what is not there any more, or may not fire.
func (b *Beat) syncSchedules(ctx context.Context, ids []domain.ID) error {
	living := make(map[domain.ID]struct{}, len(ids))
	for r, err := range readRows(ctx, b.pool, changedRowsSQL, named{"ids": ids}) {
		if err != nil {
			return err
		}
		living[r.ID] = struct{}{}
		b.countRecognition(r)
		if err := b.memory.Put(r, memory.Always); err != nil {
			b.invalid.found[r.ID] = unreadable{r.Version, err}
		}
	}
	for _, id := range ids {
		if _, ok := living[id]; !ok {
			b.memory.Remove(id)
		}
		delete(b.syncs.pending, id)
	}
	return nil
}
