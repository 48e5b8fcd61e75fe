package beat

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// # The lease
//
// One row of tactus.leases says which beat fires. It has a holder, and a term (the column epoch), which rises with
// each new holder and whenever a holder must be told apart from what it was before.
//
//	              renewed: every 3.3 s
//	               ┌───────┐
//	               │       ▼
//	 free ──taken──▶  held in term n  ──given up, by a clean stop──────────────────────────▶ free
//	   ▲                   │  │  └──taken over when it ran out──▶ held by another in term n+1
//	   │                   │  └─────a commit was not answered───▶ held in term n+1, by the same beat
//	   └──ran out: 10 s────┘
//
// Invariant: each term has one holder. Taking and renewing are one UPDATE of the row, so of two beats that try at
// once one waits for the other, and then finds the row changed. A firing statement reads the row with its own term
// `for share`: it does nothing when another term has begun, and none can begin until it has committed. So whatever a
// beat believes, and however long it was stopped, what it sends under an old term has no effect.
//
// Clocks only decide when a standby tries to take the lease. If a clock is wrong, the lease passes too early or too
// late, but no due time fires twice because of that. Without terms, a leader that was stopped between deciding and
// sending (by SIGSTOP, or in a suspended virtual machine) would fire, when it is resumed ten minutes later, due times
// about which its successor has decided otherwise. See Kleppmann, "How to do distributed locking" (2016), on fencing
// tokens.
//
// # The watermark
//
// With each renewal the leader writes the watermark, and the snapshot of the log up to which its memory has all
// changes. Invariant: every due time that fires at or before the watermark is settled. A due time that fires later may
// or may not be settled; a successor decides it again, and if it is settled, the unique key of tactus.runs turns the
// second insert into no operation. Without a watermark a successor would have to decide again every due time since
// effective_from. A watermark that is too old only costs such needless decisions. A watermark that is too new loses the
// due times that it wrongly covers, so none is written while memory may belong to another state of the database (see
// resync.foreign), and while a locked row delays a due time the watermark stays before it (see Beat.watermark).

const (
	leaseTime    = 10 * time.Second       // without a renewal for this long, a lease runs out
	renewEvery   = leaseTime / 3          // how often its holder renews it
	standbyEvery = 500 * time.Millisecond // how often a standby reads it
)

// leaseRow is the row of the lease, as returned by a renewal or by a read.
type leaseRow struct {
	Mine        bool // this beat holds it
	Holder      string
	Term        int64
	Watermark   *time.Time // nil when nothing has been settled yet
	Snapshot    *string    // of the log: the holder's memory had all changes up to it
	Server      string     // which PostgreSQL this is: system identifier and timeline
	Now         time.Time  // by PostgreSQL's clock
	Expires     *time.Time // nil when the lease was given up, or was never held
	SwitchedAt  *time.Time // when a beat that fires last took over from a shadow
	FiringUntil *time.Time // when the lease of a beat that fires expires, if one is held
	Written     string     // the transaction that wrote the row
	WentBack    bool       // the row is older than this beat has seen it before
}

// tenure is what a beat knows of the lease, whether this beat holds it or another one does.
type tenure struct {
	term    int64 // the term in which this beat holds the lease; 0 while it does not
	leading bool  // this beat holds the lease, and memory has been brought to where the predecessor was
	askAt   memory.Micros
	asked   time.Time // when the lease was last read or renewed, by the local monotonic clock
	renewed time.Time // when it was last renewed, by PostgreSQL's clock
	taken   leaseRow  // the row when this beat took the lease, with the predecessor's watermark and snapshot

	// unanswered says that the answer to a firing statement was lost, so the statement may have committed, or may
	// commit yet. Nothing is decided until the lease has a new term, under which that statement can no longer commit.
	unanswered bool
	// maybeSettled is the instant up to which due times may have been settled without memory knowing it: by a
	// predecessor, or by a statement whose answer was lost. If such due times were missed, they are looked up before
	// they are decided again.
	maybeSettled memory.Micros

	locked lockedLease // what to do while another session has locked the row

	newest       *leaseVersion // the newest state of the row that is known to be committed
	otherExpires *time.Time    // when another beat's lease expires, as it was last read
	otherSince   time.Time     // since when otherExpires has been the same, by the local monotonic clock
}

// renewLeaseSQL renews the lease if this beat holds it, takes it if it has run out, and otherwise only reads it.
//
//   - A lease has run out when it has expired by PostgreSQL's clock, or when by this beat's monotonic clock it was not
//     renewed for longer than it lasts (@silent, see silentLease). The second condition is for a PostgreSQL whose clock
//     has gone back.
//   - The term stays the same only if this beat holds the lease in this term, has received the answer to every
//     statement that it sent in it, and the row has not gone back. Otherwise the new term is one more than the greater
//     of the row's term and the newest term that this beat has seen.
//   - Only a renewal writes watermark and snapshot. Taking the lease leaves those of the predecessor in place, because
//     the new leader has still to act on them. Nor are they written on another server or timeline than the one that
//     memory was read from.
//   - An UPDATE that finds no row locks nothing, so standbys block nobody. An UPDATE that would have to wait for a lock
//     on the row gives up soon (see lockedLease).
//   - A shadow neither takes nor renews its lease while a beat that fires holds one. If such a beat has fired since the
//     shadow last ran, the shadow starts afresh at the present. A beat that fires records in the lease named switch
//     when it took over from a shadow: due times up to then belonged to another beat.
const renewLeaseSQL = `
with held as (
    update tactus.leases l set
        holder = @holder,
        epoch = case
            when l.holder = @holder and l.epoch = @epoch and not @unanswered and not ` + wentBackSQL + ` then l.epoch
            else greatest(l.epoch, @seen_epoch::bigint) + 1 end,
        expires_at = clock_timestamp() + @lease::interval,
        watermark = case
            when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourWatermarkSQL + `, l.watermark)
            when ` + shadowBeginsSQL + ` then clock_timestamp() else l.watermark end,
        snapshot = case
            when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourSnapshotSQL + `, l.snapshot)
            when ` + shadowBeginsSQL + ` then null else l.snapshot end
    where l.name = @name and (l.expires_at <= clock_timestamp() or l.expires_at = @silent::timestamptz
            or l.holder = @holder and (l.epoch = @epoch or @unanswered::boolean))
        and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)` + lockTimeoutSQL + `
    returning true as mine, l.name, l.holder, l.epoch, l.watermark, l.snapshot, l.expires_at, l.xmin as written
),
switched as (
    insert into tactus.leases as w (name, holder, epoch, expires_at, watermark)
    select 'switch', h.holder, h.epoch, clock_timestamp(), clock_timestamp()
    from held h join tactus.leases s on s.name = 'shadow'
    where h.name = 'beat' and h.epoch <> @epoch
        and s.watermark > greatest(h.watermark, ` + lastSwitchSQL + `, '-infinity')
    on conflict (name) do update set holder = excluded.holder, epoch = excluded.epoch,
        expires_at = excluded.expires_at, watermark = excluded.watermark
    returning watermark
)
select mine, holder, epoch, ` + watermarkSQL + `, snapshot::text, ` + serverAndClockSQL + `, ` + expiresSQL + `,
    coalesce((select watermark from switched), ` + lastSwitchSQL + `), ` + firingUntilSQL + `,
    written::text, (select ` + wentBackSQL + ` from tactus.leases l where l.name = @name) from held
union all
` + readLeaseSQL + ` and not exists (select from held)`

const readLeaseSQL = `
select false, l.holder, l.epoch, ` + watermarkSQL + `, l.snapshot::text, ` + serverAndClockSQL + `, ` + expiresSQL + `,
    ` + lastSwitchSQL + `, ` + firingUntilSQL + `,
    l.xmin::text, ` + wentBackSQL + ` from tactus.leases l where l.name = @name`

const (
	expiresSQL   = `case when isfinite(expires_at) then expires_at end`
	watermarkSQL = `case when watermark > '-infinity' then least(watermark, '9999-12-31 00:00:00+00') end`

	serverAndClockSQL = thisServerSQL + `, clock_timestamp()`
	thisServerSQL     = `(select system_identifier::text from pg_control_system()) || '.'
        || left(pg_walfile_name(pg_current_wal_lsn()), 8)`
	ourWatermarkSQL = `case when ` + sameServerSQL + ` then @watermark::timestamptz end`
	ourSnapshotSQL  = `case when ` + sameServerSQL + ` then @snapshot::text::pg_snapshot end`
	sameServerSQL   = `@server::text = ` + thisServerSQL + ` and not ` + wentBackSQL

	// wentBackSQL is true if the row is older than a state of it that this beat has seen, which happens if an older
	// copy of the data directory was put back. Within one term only the holder writes the row, one transaction after
	// another, so the xmin of the row cannot get older. From term to term the term rises, and the next holder writes a
	// later snapshot. A renewal whose answer was lost can only have made the row newer than the beat knows. Comparing
	// the database's current transaction number with one seen before would not suffice: other transactions may have
	// used up the numbers that were lost.
	wentBackSQL = `coalesce(case when l.epoch = @seen_epoch::bigint then age(l.xmin) > age(@seen_written::text::xid)
        else l.epoch < @seen_epoch::bigint
            or pg_snapshot_xmax(l.snapshot) < pg_snapshot_xmax(@seen_snapshot::text::pg_snapshot) end, false)`

	lastSwitchSQL = `(select least(watermark, clock_timestamp()) from tactus.leases
        where name = 'switch' and watermark > '-infinity')`
	firingUntilSQL = `(select expires_at from tactus.leases where name = 'beat' and expires_at > clock_timestamp())`

	// shadowBeginsSQL is true if a shadow has no watermark to continue from: it never ran, or a beat that fires has run
	// since.
	shadowBeginsSQL = `l.name = 'shadow' and coalesce(
        l.watermark < (select f.watermark from tactus.leases f where f.name = 'beat'), l.watermark is null)`
)

// giveUpLeaseSQL makes the lease expire at once: at -infinity, so that it has expired even if PostgreSQL's clock goes
// back.
const giveUpLeaseSQL = `
update tactus.leases l set expires_at = '-infinity', watermark = coalesce(` + ourWatermarkSQL + `, l.watermark),
    snapshot = coalesce(` + ourSnapshotSQL + `, l.snapshot)
where l.name = @name and l.holder = @holder and l.epoch = @epoch
    and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)` + lockTimeoutSQL

const makeLeaseSQL = `
insert into tactus.leases (name, holder, epoch, expires_at) values (@name, '', 0, '-infinity') on conflict do nothing`

// queryLease runs a statement that returns the row of the lease, and sets the beat's clock to PostgreSQL's time in the
// answer.
func (b *Beat) queryLease(ctx context.Context, sql string, args ...any) (leaseRow, error) {
	asked := localNow()
	rows, err := b.pool.Query(ctx, sql, append([]any{planned}, args...)...)
	if err != nil {
		return leaseRow{}, fmt.Errorf("look at the lease: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[leaseRow])
	if err != nil {
		return leaseRow{}, fmt.Errorf("look at the lease: %w", err)
	}
	b.anchorClock(asked, row.Now)
	return row, nil
}

// leaseArgs returns the arguments of a renewal. Watermark and snapshot are among them only for a leader whose memory is
// known to belong to this state of the database.
func (b *Beat) leaseArgs(now memory.Micros) named {
	args := named{
		"name": b.mode.leaseName, "holder": b.holder, "epoch": b.lease.term, "lease": leaseTime, "server": b.polls.server,
		"watermark": nil, "snapshot": nil,
		"silent": b.silentLease(), "unanswered": b.lease.unanswered,
	}
	maps.Copy(args, b.lease.newest.args())
	if b.lease.leading && !b.resync.foreign() {
		if at := b.watermark(now); at != memory.Always {
			args["watermark"] = time.UnixMicro(at)
		}
		if b.unread.owed == nil {
			args["snapshot"] = b.polls.inMemory
		}
	}
	return args
}

// renew renews, takes or reads the lease, and makes this beat the leader or a standby according to the answer.
func (b *Beat) renew(ctx context.Context, now memory.Micros) error {
	sql, args := renewLeaseSQL, b.leaseArgs(now)
	if b.shadow.retired {
		sql, args = readLeaseSQL, b.readArgs()
	}
	row, err := b.queryLease(ctx, sql, args)
	if postgres.LockTimedOut(err) {
		return b.renewLater(ctx, now)
	}
	if err != nil {
		return err
	}
	b.lease.locked.free()
	b.compareLease(row)
	b.lease.asked = localNow()
	b.noteServer(row.Server)
	b.lease.askAt = now + renewEvery.Microseconds()
	if !row.Mine {
		b.standBy(row, now)
		return nil
	}
	b.lease.renewed = b.clock.now()
	inDoubt := b.lease.unanswered || b.lease.leading && row.WentBack
	switch {
	case inDoubt && row.Term == b.lease.term+1: // no other beat held the lease in between
		b.continueInNewTerm(row, now)
	case row.Term != b.lease.term:
		b.lease.leading, b.lease.unanswered, b.lease.term, b.lease.taken = false, false, row.Term, row
	}
	if !b.lease.leading {
		return b.takeOver(ctx, now)
	}
	return nil
}

// standBy makes this beat a standby of the beat that holds the lease, and advances memory to that beat's watermark.
func (b *Beat) standBy(row leaseRow, now memory.Micros) {
	b.watchExpiry(row.Expires)
	b.lose(row.Holder)
	b.retireBeside(row.FiringUntil)
	b.lease.askAt = now + standbyEvery.Microseconds()
	b.rewind(row.Watermark, row.Now)
	b.memory.AdvanceTo(row.settled())
}

// lose makes this beat a standby because it does not hold the lease any more.
func (b *Beat) lose(to string) {
	if b.lease.leading {
		b.log.Warn("lost the lease", "holder", to, "epoch", b.lease.term)
	}
	b.lease.leading, b.lease.term, b.lease.unanswered = false, 0, false
}

// watchExpiry notes by the monotonic clock since when another beat's lease has had the same expires_at. A lease that is
// renewed gets a later one.
func (b *Beat) watchExpiry(expires *time.Time) {
	if expires == nil || b.lease.otherExpires == nil || !expires.Equal(*b.lease.otherExpires) {
		b.lease.otherExpires, b.lease.otherSince = expires, localNow()
	}
}

// silentLease returns the expires_at of another beat's lease if, by this beat's monotonic clock, it was not renewed for
// longer than a lease lasts; otherwise nil. Such a lease has run out, whatever PostgreSQL's clock says.
func (b *Beat) silentLease() *time.Time {
	if b.lease.otherExpires != nil && localNow().Sub(b.lease.otherSince) > leaseTime+renewEvery {
		return b.lease.otherExpires
	}
	return nil
}

// continueInNewTerm lets a leader continue in a new term, after the answer to a firing statement was lost, or after the
// database has gone back. Under the new term that statement has either committed by now, or never will. Before missed
// ranges are decided again, the beat looks up what the statement has settled, as after a takeover. Otherwise a range
// that is decided later, and so reaches farther, would be rejected by the unique key as a duplicate of the recorded
// one, and memory would move past due times that have no row.
func (b *Beat) continueInNewTerm(row leaseRow, now memory.Micros) {
	b.log.Info("goes on in a new epoch", "epoch", row.Term, "unanswered", b.lease.unanswered, "back", row.WentBack)
	b.lease.term, b.lease.unanswered = row.Term, false
	b.lease.maybeSettled = max(b.lease.maybeSettled, now, row.Now.UnixMicro())
}

// release gives the lease up, so that a standby can take it at once.
func (b *Beat) release(ctx context.Context, now memory.Micros) error {
	if b.lease.term == 0 {
		return nil
	}
	args := b.leaseArgs(now)
	for _, name := range []string{"lease", "silent", "unanswered"} {
		delete(args, name)
	}
	_, err := b.pool.Exec(ctx, giveUpLeaseSQL, planned, args)
	if postgres.LockTimedOut(err) {
		b.log.Warn("the lease cannot be given up: it runs out by itself", "err", errLeaseLocked, "after", leaseTime)
		return nil
	}
	if err != nil {
		return fmt.Errorf("give up the lease: %w", err)
	}
	b.lease.leading, b.lease.term = false, 0
	b.log.Info("gave up the lease")
	return nil
}

// settled returns the watermark of the row, but at most PostgreSQL's time: nothing can be settled before it is due.
// Somebody may have written a watermark in the future by hand; if it were believed, schedules whose last due time lies
// before it would be taken for completed.
func (r leaseRow) settled() memory.Micros {
	return min(watermarkMicros(r.Watermark), r.Now.UnixMicro())
}

// watermarkMicros converts a watermark. If there is none (nil), nothing has been settled: Always.
func watermarkMicros(watermark *time.Time) memory.Micros {
	if watermark == nil {
		return memory.Always
	}
	return watermark.UnixMicro()
}
