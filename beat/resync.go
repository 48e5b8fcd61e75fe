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

// resync is the state of a resync. In a resync the beat compares its memory with all schedules, one page per step, and
// marks those that differ for the next sync. Between the pages the beat fires and syncs.
//
//	         wanted                       not before 5 s after the last began
//	idle ──────────────▶ wanted ────────────────────────────▶ running ──last page──▶ idle
//	                       ▲                                     │
//	                       └──── asked for again meanwhile ──────┘
//
// If a resync is asked for while another one runs, it begins after that one, since the running one may already have
// passed the row in question.
//
// A resync relies on versions: a row with the same version has the same content. This holds within an epoch of the log.
// If PostgreSQL may have gone back to an earlier state, it does not hold, because a different change may have been
// given the same version since. Then memory is rebuilt: every row is read and applied, whatever its version.
type resync struct {
	wanted     bool
	wantedAnew bool // the next resync is to rebuild memory
	running    bool
	anew       bool          // the running resync rebuilds memory
	notBefore  memory.Micros // when the next one may begin
	after      domain.ID     // the last schedule of the page before
	page       int           // schedules on the next page
	seen       []bool        // by slot, as of the beginning: the table has the record's schedule, too
	compared   int           // schedules compared so far
	different  int           // of them, those that differ from memory
	done       int64         // resyncs completed so far

	pausedUntil memory.Micros // the running resync pauses until then, because another session has locked the counts
}

// foreign reports whether memory may belong to another state of the database: the database went back, or was replaced,
// and memory has not been rebuilt yet. Meanwhile the beat writes neither its watermark nor its snapshot, since they
// would be wrong for this database.
func (r *resync) foreign() bool { return r.wantedAnew || r.anew }

// pageSize is how many schedules a step of a resync compares: few enough to delay due times only briefly. A resync that
// rebuilds memory begins with smaller pages, as a sync does, because it reads whole rows whose weight is not known yet.
const pageSize = 20_000

// wantResync asks for a resync.
func (b *Beat) wantResync(reason string) {
	if !b.resync.wanted {
		b.log.Info("resync asked for", "reason", reason)
	}
	b.resync.wanted = true
}

// wantAnew asks for a resync that rebuilds memory.
func (b *Beat) wantAnew(reason string) {
	b.wantResync(reason)
	b.resync.wantedAnew = true
}

// resyncDue reports whether the next page of a resync may be processed.
func (b *Beat) resyncDue(now memory.Micros) bool {
	return (b.resync.running || b.resync.wanted) && now >= b.resync.at()
}

// at returns when the next page may be processed.
func (r *resync) at() memory.Micros {
	if r.running {
		return r.pausedUntil
	}
	return r.notBefore
}

// resyncPage processes the next page of the running resync, or begins one and processes its first page.
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

// resyncBegins begins a resync. If it rebuilds memory, polls continue from the database's current snapshot, and before
// missed ranges are decided, the beat looks up in tactus.runs, as the database now is, which of their due times are
// settled.
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

// comparePage compares a page of versions, and marks the schedules for a sync that memory lacks or has in another
// version.
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

// replacePage puts each row of a page into memory, whatever its version. If the row has the same effective_from as the
// record, the due time of the record stays, so nothing that has fired fires again. If the record has a later
// effective_from, PostgreSQL has lost a change of the trigger; the due times then continue after that later
// effective_from, because everything before is settled.
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

// markSeen notes that the table has a schedule, and returns the schedule's record, or nil.
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

// resyncEnds ends a resync. Schedules that memory has and no page contained are marked for a sync, which tells whether
// they are gone, or were created after their page was read.
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
