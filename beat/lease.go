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
// The clock only decides when a standby tries. If clocks are wrong, a lease passes too early or too late; nothing
// fires twice for it. What goes wrong without terms: a leader that was stopped (SIGSTOP, a suspended virtual machine)
// between deciding and sending, fires ten minutes later what its successor has decided otherwise meanwhile. See
// Kleppmann, "How to do distributed locking" (2016), on fencing tokens.
//
// # The watermark
//
// With each renewal the leader writes the instant up to which it has settled everything that fires, and the snapshot
// of the log up to which memory knows schedules. A successor begins there: what fired before is settled, what fires
// after it may or may not be, and the unique key of tactus.runs tells. Without a watermark a successor would have to
// decide every due time since effective_from again. A watermark that is too old is harmless; one that is too new
// loses due times, so it is not written while memory may be wrong (see resync.foreign) or a locked row keeps a due
// time back (see Beat.watermark).

const (
	leaseTime    = 10 * time.Second       // without a renewal for this long, a lease runs out
	renewEvery   = leaseTime / 3          // how often its holder renews it
	standbyEvery = 500 * time.Millisecond // how often a standby reads it
)

// leaseRow is the lease as a renewal, or a standby's look at it, has left it.
type leaseRow struct {
	Mine        bool // this beat holds it
	Holder      string
	Term        int64
	Watermark   *time.Time // nil when nothing has been settled yet
	Snapshot    *string    // of the log: what the holder's memory knew
	Server      string     // which PostgreSQL this is: system identifier and timeline
	Now         time.Time  // by PostgreSQL's clock
	Expires     *time.Time // nil when it was given up, or was never held
	SwitchedAt  *time.Time // when a beat that fires last took over from a shadow
	FiringUntil *time.Time // when the lease of a beat that fires expires, if one is held
	Written     string     // the transaction that wrote the row
	WentBack    bool       // the row is older than this beat has seen it before
}

// tenure is what a beat knows of the lease, whether it holds it or another does.
type tenure struct {
	term    int64 // of our holding; 0 while another beat holds the lease
	leading bool  // the lease is ours, and memory has taken over where the predecessor was
	askAt   memory.Micros
	asked   time.Time // when the lease was last read or renewed, by the local monotonic clock
	renewed time.Time // when it was last renewed, by PostgreSQL's clock
	taken   leaseRow  // as it was when we took it: it has what the predecessor left

	// unanswered: the answer to a firing statement was lost, so it may have committed, or may commit yet. Nothing is
	// decided until the lease has a new term, under which that statement does nothing any more.
	unanswered bool
	// maybeSettled: due times up to this instant may have been settled by a statement whose effect memory does not
	// have, a predecessor's or an unanswered one. Those that were missed are looked up before they are decided again.
	maybeSettled memory.Micros

	locked lockedLease // somebody else has locked the row

	newest       *leaseVersion // the newest state of the row that we know to be committed
	otherExpires *time.Time    // when another beat's lease expires, as it was last read
	otherSince   time.Time     // since when that has not changed, by the local monotonic clock
}

// renewLeaseSQL renews the lease of this beat, or takes a lease that has run out, or else only reads it.
//
//   - A lease has run out when it expires by PostgreSQL's clock, or when it has not changed for longer than it lasts
//     by this beat's monotonic clock (@silent, see silentLease): PostgreSQL's clock may have gone back.
//   - The term stays the same only if this beat holds it, has an answer to all that it sent in it, and the row has
//     not gone back. Else it is one more than the row's, and than the newest that this beat has seen.
//   - Watermark and snapshot are written with a renewal alone. Taking leaves what the predecessor wrote, until its
//     successor has read it. They are not written on another server or timeline than the one that memory was read
//     from.
//   - An UPDATE that finds nothing to do locks nothing, so standbys are in nobody's way. One that would have to wait
//     for somebody's lock on the row gives up soon (see lockedLease).
//   - A shadow does not hold its lease beside a beat that fires, and begins anew where one has fired since. A beat
//     that fires notes under the name switch when it took over from a shadow: what was due until then was another
//     beat's.
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

	// wentBackSQL is whether the row is older than this beat has seen it before, as after an older copy of the data
	// directory was put back. In one term only the holder writes the row, one transaction after another, so the row's
	// transaction cannot get older. Across terms, the term rises, and the snapshot that the next holder writes is
	// later. A renewal whose answer was lost can only have made the row newer than it was seen. Numbers of
	// transactions alone do not tell: others may have used up those that were lost.
	wentBackSQL = `coalesce(case when l.epoch = @seen_epoch::bigint then age(l.xmin) > age(@seen_written::text::xid)
        else l.epoch < @seen_epoch::bigint
            or pg_snapshot_xmax(l.snapshot) < pg_snapshot_xmax(@seen_snapshot::text::pg_snapshot) end, false)`

	lastSwitchSQL = `(select least(watermark, clock_timestamp()) from tactus.leases
        where name = 'switch' and watermark > '-infinity')`
	firingUntilSQL = `(select expires_at from tactus.leases where name = 'beat' and expires_at > clock_timestamp())`

	// shadowBeginsSQL is whether a shadow has nothing to go on from: it never ran, or a beat that fires has run since.
	shadowBeginsSQL = `l.name = 'shadow' and coalesce(
        l.watermark < (select f.watermark from tactus.leases f where f.name = 'beat'), l.watermark is null)`
)

// giveUpLeaseSQL has the lease expire at once, also for whoever looks when a clock that is ahead has come back.
const giveUpLeaseSQL = `
update tactus.leases l set expires_at = '-infinity', watermark = coalesce(` + ourWatermarkSQL + `, l.watermark),
    snapshot = coalesce(` + ourSnapshotSQL + `, l.snapshot)
where l.name = @name and l.holder = @holder and l.epoch = @epoch
    and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)` + lockTimeoutSQL

const makeLeaseSQL = `
insert into tactus.leases (name, holder, epoch, expires_at) values (@name, '', 0, '-infinity') on conflict do nothing`

// queryLease runs a statement that returns the lease, and takes PostgreSQL's time from the answer.
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

// leaseArgs are the arguments of a renewal. A leader whose memory is trusted brings its watermark and snapshot.
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

// renew renews, takes or reads the lease, and makes this beat what the answer says: leader or standby.
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
	case inDoubt && row.Term == b.lease.term+1: // nobody held it in between
		b.continueInNewTerm(row, now)
	case row.Term != b.lease.term:
		b.lease.leading, b.lease.unanswered, b.lease.term, b.lease.taken = false, false, row.Term, row
	}
	if !b.lease.leading {
		return b.takeOver(ctx, now)
	}
	return nil
}

// standBy makes this beat a standby, as it is when another holds the lease.
func (b *Beat) standBy(row leaseRow, now memory.Micros) {
	b.watchExpiry(row.Expires)
	b.lose(row.Holder)
	b.retireBeside(row.FiringUntil)
	b.lease.askAt = now + standbyEvery.Microseconds()
	b.rewind(row.Watermark, row.Now)
	b.memory.AdvanceTo(row.settled())
}

// lose makes this beat a standby.
func (b *Beat) lose(to string) {
	if b.lease.leading {
		b.log.Warn("lost the lease", "holder", to, "epoch", b.lease.term)
	}
	b.lease.leading, b.lease.term, b.lease.unanswered = false, 0, false
}

// watchExpiry notes since when the lease of another expires at the same instant, by the monotonic clock.
func (b *Beat) watchExpiry(expires *time.Time) {
	if expires == nil || b.lease.otherExpires == nil || !expires.Equal(*b.lease.otherExpires) {
		b.lease.otherExpires, b.lease.otherSince = expires, localNow()
	}
}

// silentLease returns when the lease of another expires, if its holder has not renewed it for longer than it lasts,
// by this beat's monotonic clock; else nil. Such a lease has run out, whatever PostgreSQL's clock says.
func (b *Beat) silentLease() *time.Time {
	if b.lease.otherExpires != nil && localNow().Sub(b.lease.otherSince) > leaseTime+renewEvery {
		return b.lease.otherExpires
	}
	return nil
}

// continueInNewTerm makes a holder go on after a commit that was not answered, or in a database that has gone back.
// Under the new term the unanswered statement has committed by now, or never will. What it has settled is looked up
// before ranges that were missed are decided again, as after a takeover: a range that is decided later reaches
// farther, and the unique key would take it for the one that is there.
func (b *Beat) continueInNewTerm(row leaseRow, now memory.Micros) {
	b.log.Info("goes on in a new epoch", "epoch", row.Term, "unanswered", b.lease.unanswered, "back", row.WentBack)
	b.lease.term, b.lease.unanswered = row.Term, false
	b.lease.maybeSettled = max(b.lease.maybeSettled, now, row.Now.UnixMicro())
}

// release gives the lease up, so that a standby need not wait until it runs out.
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

// settled returns the instant up to which everything is settled, as memory has instants. A watermark that is ahead of
// PostgreSQL's clock is not believed further than that: nothing can be settled that is not due. Somebody may have
// written such a one by hand, and schedules that are due up to it would be taken for ended.
func (r leaseRow) settled() memory.Micros {
	return min(watermarkMicros(r.Watermark), r.Now.UnixMicro())
}

// watermarkMicros returns a watermark as memory has instants. Without a watermark nothing has been settled.
func watermarkMicros(watermark *time.Time) memory.Micros {
	if watermark == nil {
		return memory.Always
	}
	return watermark.UnixMicro()
}
