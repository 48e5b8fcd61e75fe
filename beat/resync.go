package beat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// resync compares memory with all schedules, a page at a time, and has what differs synced. Firing goes on meanwhile, and
// what is heard meanwhile is simply synced.
//
// Versions order the events of one epoch. When Postgres may have gone back they mean nothing: the same version may say
// another thing. Then memory is made anew: every row is taken as it is.
type resync struct {
	wanted     bool
	wantedAnew bool
	running    bool
	anew       bool
	notBefore  memory.Micros // not before
	after      domain.ID
	seen       []bool // by slot, as memory was when it began
	compared   int
	different  int
	done       int64
}

// foreign tells whether memory may be of another life of the log. Then neither the watermark nor the snapshot that it stands
// for are written.
func (r *resync) foreign() bool { return r.wantedAnew || r.anew }

const pageSize = 20_000

// wantResync asks for a resync. One that is asked for while another runs follows it.
func (b *Beat) wantResync(reason string) {
	if !b.resync.wanted {
		b.log.Info("resync asked for", "reason", reason)
	}
	b.resync.wanted = true
}

// wantAnew asks for a resync that trusts no version.
func (b *Beat) wantAnew(reason string) {
	b.wantResync(reason)
	b.resync.wantedAnew = true
}

func (b *Beat) resyncDue(now memory.Micros) bool {
	return b.resync.running || b.resync.wanted && now >= b.resync.notBefore
}

// resyncPage does a step of a resync: it begins one, or goes through a page.
func (b *Beat) resyncPage(ctx context.Context, now memory.Micros) error {
	if !b.resync.running {
		if err := b.resyncBegins(ctx, now); err != nil {
			return fmt.Errorf("resync: %w", err)
		}
	}
	page := b.comparePage
	if b.resync.anew {
		page = b.replacePage
	}
	n, err := page(ctx, named{"after": b.resync.after, "page": pageSize})
	if err != nil {
		return fmt.Errorf("resync: %w", err)
	}
	if n < pageSize {
		b.resyncEnds()
	}
	return nil
}

// resyncBegins also begins to count from a snapshot of this life of the log, when memory is made anew. What was settled in
// the life before is looked for in the rows of this one.
func (b *Beat) resyncBegins(ctx context.Context, now memory.Micros) error {
	if b.resync.wantedAnew {
		snapshot, err := outbox.Current(ctx, b.pool)
		if err != nil {
			return err
		}
		b.polls.from, b.polls.inMemory, b.polls.last = string(snapshot), string(snapshot), pollRow{}
		b.lease.maybeSettled = max(b.lease.maybeSettled, now)
	}
	b.resync = resync{
		done: b.resync.done, running: true, anew: b.resync.wantedAnew, notBefore: now + b.cfg.MinResync.Microseconds(), seen: make([]bool, b.memory.Slots()),
	}
	return nil
}

const livingVersionsSQL = `select s.id, s.version from ` + fromLivingSQL + nextPageSQL

const nextPageSQL = ` and s.id > @after order by s.id limit @page::bigint`

type idVersion struct {
	ID      domain.ID
	Version int64
}

// comparePage has what memory has in another version read.
func (b *Beat) comparePage(ctx context.Context, args named) (n int, err error) {
	rows, err := b.pool.Query(ctx, livingVersionsSQL, planned, args)
	if err != nil {
		return 0, err
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[idVersion])
	for _, s := range page {
		if kept := b.markSeen(s.ID); kept == nil || kept.Version != uint32(s.Version) {
			b.syncs.pending[s.ID] = anyVersion
			b.resync.different++
		}
	}
	return len(page), err
}

const livingPageSQL = livingRowsSQL + nextPageSQL

// takePage takes every row as it is. Where due times count from the same instant as in memory they go on where they were,
// so what has fired does not fire again. Those of a trigger that memory has a later one of go on where that began: what
// came before was settled.
func (b *Beat) replacePage(ctx context.Context, args named) (n int, err error) {
	for r, err := range readRows(ctx, b.pool, livingPageSQL, args) {
		if err != nil {
			return n, err
		}
		n++
		after, kept := memory.Always, b.markSeen(r.ID)
		if kept == nil || kept.Version != uint32(r.Version) || kept.Effective != r.Effective {
			b.resync.different++
		}
		if kept != nil && kept.Effective > r.Effective {
			after = kept.Effective
		}
		if err := b.memory.Put(r, after); err != nil {
			b.invalid.found[r.ID] = unreadable{r.Version, err}
		}
	}
	return n, nil
}

// see notes that a schedule is there, and gives what memory has of it, if anything.
func (b *Beat) markSeen(id domain.ID) *memory.Record {
	r := &b.resync
	r.compared, r.after = r.compared+1, id
	slot, known := b.memory.Slot(id)
	if !known {
		return nil
	}
	if int(slot) < len(r.seen) {
		r.seen[slot] = true
	}
	return b.memory.At(slot)
}

// resyncEnds has what is in memory and was not seen read: it is gone, or has come meanwhile.
func (b *Beat) resyncEnds() {
	r := &b.resync
	for slot, seen := range r.seen {
		if kept := b.memory.At(uint32(slot)); !seen && !kept.ID.IsZero() {
			b.syncs.pending[kept.ID] = anyVersion
			r.different++
		}
	}
	b.resync.done++
	b.log.Info("resynced", "schedules", r.compared, "different", r.different, "anew", r.anew)
	r.running, r.anew, r.seen = false, false, nil
}
