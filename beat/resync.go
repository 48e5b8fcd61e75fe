package beat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/outbox"
)

// resync is the state of a resync: the beat compares its memory with all schedules, a page in each step, and has what
// differs read by a sync. Firing goes on between the pages, and so do syncs.
//
//	         wanted                       not before 5 s after the last began
//	idle ──────────────▶ wanted ────────────────────────────▶ running ──last page──▶ idle
//	                       ▲                                     │
//	                       └──── asked for again meanwhile ──────┘
//
// A resync that is asked for while one runs follows it, since the running one may have passed the row in question.
//
// A resync trusts versions: the same version is the same content. Within an epoch of the log that holds. When
// PostgreSQL may have gone back it does not, since another change may have got the same version. Then memory is made
// anew: each row is taken as it is, whatever its version.
type resync struct {
	wanted     bool
	wantedAnew bool // the next one trusts no version
	running    bool
	anew       bool          // the running one trusts no version
	notBefore  memory.Micros // when the next one may begin
	after      domain.ID     // the last schedule of the page before
	page       int           // schedules on the next page
	seen       []bool        // by slot, as memory was when it began: the schedule is in the table
	compared   int           // schedules so far
	different  int           // of them, those that differ
	done       int64         // resyncs so far

	pausedUntil memory.Micros // the running one goes on then: somebody has locked the counts
}

// foreign reports whether memory may be of another life of the database: it went back, or was replaced, and memory
// has not been made anew yet. Meanwhile neither the watermark nor the snapshot that memory stands for are written.
func (r *resync) foreign() bool { return r.wantedAnew || r.anew }

// pageSize is how many schedules a step of a resync compares: few enough to keep what is due waiting only briefly. When
// it takes them as they are, it begins with few, as a sync does: what they weigh is not known yet.
const pageSize = 20_000

// wantResync asks for a resync.
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

// resyncDue reports whether a resync may go on or begin.
func (b *Beat) resyncDue(now memory.Micros) bool {
	return (b.resync.running || b.resync.wanted) && now >= b.resync.at()
}

// at returns when a page may be gone through.
func (r *resync) at() memory.Micros {
	if r.running {
		return r.pausedUntil
	}
	return r.notBefore
}

// resyncPage goes through a page, the first one of a resync that is to begin, or the next.
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
	size := b.resync.page
	n, err := page(ctx, named{"after": b.resync.after, "page": size})
	if postgres.LockTimedOut(err) {
		b.counts.locked()
		b.resync.pausedUntil = now + b.counts.pause.Microseconds()
		return nil
	}
	if err != nil {
		return fmt.Errorf("resync: %w", err)
	}
	if n < size {
		b.resyncEnds()
	}
	return nil
}

// resyncBegins begins a resync. When memory is made anew, polls count from a snapshot of the database as it is now,
// and what was settled in its life before is looked up in the rows of this one before ranges are decided again.
func (b *Beat) resyncBegins(ctx context.Context, now memory.Micros) error {
	if b.resync.wantedAnew {
		snapshot, err := outbox.Current(ctx, b.pool)
		if err != nil {
			return err
		}
		b.polls.from, b.polls.inMemory, b.polls.last = string(snapshot), string(snapshot), pollRow{}
		b.lease.maybeSettled = max(b.lease.maybeSettled, now)
		b.memory.DoubtCalendars()
		b.calendars = calendars{wanted: true, more: true}
	}
	b.resync = resync{
		done: b.resync.done, running: true, anew: b.resync.wantedAnew,
		notBefore: now + b.cfg.MinResync.Microseconds(), seen: make([]bool, b.memory.Slots()), page: pageSize,
	}
	if b.resync.anew {
		b.resync.page = syncAtLeast
	}
	return nil
}

const livingVersionsSQL = `select s.id, s.version from ` + fromLivingSQL + nextPageSQL

const nextPageSQL = ` and s.id > @after order by s.id limit @page::bigint`

// idVersion is a row of livingVersionsSQL.
type idVersion struct {
	ID      domain.ID
	Version int64
}

// comparePage has each schedule of a page read that memory has in another version, or not at all.
func (b *Beat) comparePage(ctx context.Context, args named) (n int, err error) {
	page, err := b.livingVersions(ctx, args)
	for _, s := range page {
		if kept := b.markSeen(s.ID); kept == nil || kept.Version != uint32(s.Version) {
			b.syncs.pending[s.ID] = anyVersion
			b.resync.different++
		}
	}
	return len(page), err
}

func (b *Beat) livingVersions(ctx context.Context, args named) (page []idVersion, err error) {
	err = b.bounded(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, livingVersionsSQL, planned, args)
		if err != nil {
			return err
		}
		page, err = pgx.CollectRows(rows, pgx.RowToStructByPos[idVersion])
		return err
	})
	return page, err
}

var livingPage = living{livingRowsSQL + nextPageSQL, uncountedRowsSQL + nextPageSQL}

// replacePage takes each row of a page as it is. If its due times count from the same instant as in memory, they go
// on where they were, so what has fired does not fire again. If memory has a later trigger of the schedule, which
// PostgreSQL has lost, they go on where that one began: what was due before is settled.
func (b *Beat) replacePage(ctx context.Context, args named) (n int, err error) {
	rows, err := b.readLiving(ctx, livingPage, args)
	if err != nil {
		return 0, err
	}
	weighs := 0
	for _, r := range rows {
		n, weighs = n+1, weighs+int(r.Weight>>10)
		after, kept := memory.Always, b.markSeen(r.ID)
		if kept == nil || kept.Version != uint32(r.Version) || kept.Effective != r.Effective {
			b.resync.different++
		}
		if kept != nil && kept.Effective > r.Effective {
			after = kept.Effective
		}
		if err := b.memory.Put(r, after); err != nil {
			b.invalid.found[r.ID] = unreadable{r.Version, err}
		} else {
			b.noteSpent(b.memory, r.ID)
		}
	}
	b.resync.page = min(syncNext(n, weighs, 0), pageSize)
	return n, nil
}

// markSeen notes that a schedule is in the table, and returns its record, or nil.
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

// resyncEnds ends a resync. A schedule that is in memory and was not in the table is read once more: it is gone, or
// it was created after its page was read.
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
