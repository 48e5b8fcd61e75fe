package beat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// resync compares memory with all schedules, a page at a time, and has what differs synced. It never replaces memory, so
// firing goes on meanwhile, and what is heard meanwhile is simply synced.
type resync struct {
	wanted  bool
	running bool
	at      micros // not before
	after   domain.ID
	seen    []bool // by slot, as memory was when it began
	count   int
	differ  int
}

const pageSize = 20_000

// wantResync asks for a resync. One that is asked for while another runs follows it.
func (b *Beat) wantResync(reason string) {
	if !b.resync.wanted {
		b.log.Info("resync asked for", "reason", reason)
	}
	b.resync.wanted = true
}

func (b *Beat) resyncDue(now micros) bool {
	return b.resync.running || b.resync.wanted && now >= b.resync.at
}

const livingVersions = `select s.id, s.version from ` + living + ` and s.id > @after order by s.id limit @page::bigint`

type idVersion struct {
	ID      domain.ID
	Version int64
}

// resyncPage does a step of a resync: it begins one, or compares a page.
func (b *Beat) resyncPage(ctx context.Context, now micros) error {
	r := &b.resync
	if !r.running {
		*r = resync{running: true, at: now + b.cfg.MinResync.Microseconds(), seen: make([]bool, b.memory.slots)}
	}
	rows, err := b.pool.Query(ctx, livingVersions, planned, named{"after": r.after, "page": pageSize})
	if err != nil {
		return fmt.Errorf("resync: %w", err)
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[idVersion])
	if err != nil {
		return fmt.Errorf("resync: %w", err)
	}
	for _, s := range page {
		b.compare(s)
		r.after = s.ID
	}
	if len(page) < pageSize {
		b.resyncEnds()
	}
	return nil
}

func (b *Beat) compare(s idVersion) {
	r := &b.resync
	r.count++
	slot, _, known := b.memory.slot(s.ID)
	if known && int(slot) < len(r.seen) {
		r.seen[slot] = true
	}
	if !known || b.memory.at(slot).version != uint32(s.Version) {
		b.pending[s.ID] = anyVersion
		r.differ++
	}
}

// resyncEnds has what is in memory and was not seen read: it is gone, or has come meanwhile.
func (b *Beat) resyncEnds() {
	r := &b.resync
	for slot, seen := range r.seen {
		if kept := b.memory.at(uint32(slot)); !seen && !kept.id.IsZero() {
			b.pending[kept.id] = anyVersion
			r.differ++
		}
	}
	b.resyncs++
	b.log.Info("resynced", "schedules", r.count, "different", r.differ)
	r.running, r.seen = false, nil
}
