package beat

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

const (
	leaseTime    = 10 * time.Second
	renewEvery   = leaseTime / 3
	standbyEvery = 500 * time.Millisecond
)

// leaseRow is the lease as it is after a look at it.
type leaseRow struct {
	Mine        bool
	Holder      string
	Term        int64
	Watermark   *time.Time // of whoever held it, until we write ours
	Snapshot    *string    // of the log, up to which the holder had read
	Server      string     // of the database: server and timeline
	Now         time.Time  // Postgres' clock
	Expires     *time.Time // nil when it was given up, or nobody had it ever
	SwitchedAt  *time.Time // when a beat that fires last took over from a shadow
	FiringUntil *time.Time // until when a beat that fires has its lease, while it has
	Written     string     // the transaction that wrote the row
	WentBack    bool       // the row was older than it has been seen before
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
	// maybeSettled: due times up to this instant may have been settled by a statement whose effect memory does not have,
	// a predecessor's or an unanswered one. Those that were missed are looked up before they are decided again.
	maybeSettled memory.Micros

	newest       *leaseVersion // the newest state of the row that we know to be committed
	otherExpires *time.Time    // when another beat's lease expires, as it was last read
	otherSince   time.Time     // since when that has not changed, by the local monotonic clock
}

// lookAtLease renews the lease, or takes it when it has run out (or would have, see silent), or else reads it. Its holder
// gets a new epoch when it is unsure of what it did last. The watermark and snapshot are written
// with a renewal only: what a predecessor has left stays until its successor has read it. And only in the life of the
// database that memory is of: in another one, and in one that has gone back, they mean nothing, and the epoch is a new one. An UPDATE that finds nothing to do locks nothing, so a
// standby is in nobody's way.
//
// A shadow never has its lease beside one that fires, and begins at that moment when one has fired since. One that fires
// notes when it took over from a shadow: what was due until then was another beat's.
const renewLeaseSQL = `
with held as (
    update tactus.leases l set
        holder = @holder,
        epoch = case when l.holder = @holder and l.epoch = @epoch and not @unsure and not ` + wentBackSQL + ` then l.epoch
            else greatest(l.epoch, @seen_epoch::bigint) + 1 end,
        expires_at = clock_timestamp() + @lease::interval,
        watermark = case when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourWatermarkSQL + `, l.watermark)
            when ` + shadowBeginsSQL + ` then clock_timestamp() else l.watermark end,
        snapshot = case when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourSnapshotSQL + `, l.snapshot)
            when ` + shadowBeginsSQL + ` then null else l.snapshot end
    where l.name = @name and (l.expires_at <= clock_timestamp() or l.expires_at = @silent::timestamptz
            or l.holder = @holder and (l.epoch = @epoch or @unsure::boolean))
        and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)
    returning true as mine, l.name, l.holder, l.epoch, l.watermark, l.snapshot, l.expires_at, l.xmin as written
),
switched as (
    insert into tactus.leases as w (name, holder, epoch, expires_at, watermark)
    select 'switch', h.holder, h.epoch, clock_timestamp(), clock_timestamp()
    from held h join tactus.leases s on s.name = 'shadow'
    where h.name = 'beat' and h.epoch <> @epoch and s.watermark > greatest(h.watermark, ` + lastSwitchSQL + `, '-infinity')
    on conflict (name) do update set holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at, watermark = excluded.watermark
    returning watermark
)
select mine, holder, epoch, watermark, snapshot::text, ` + serverAndClockSQL + `, ` + expiresSQL + `, coalesce((select watermark from switched), ` + lastSwitchSQL + `), ` + firingUntilSQL + `,
    written::text, (select ` + wentBackSQL + ` from tactus.leases l where l.name = @name) from held
union all
` + readLeaseSQL + ` and not exists (select from held)`

const readLeaseSQL = `select false, l.holder, l.epoch, l.watermark, l.snapshot::text, ` + serverAndClockSQL + `, ` + expiresSQL + `, ` + lastSwitchSQL + `, ` + firingUntilSQL + `,
    l.xmin::text, ` + wentBackSQL + ` from tactus.leases l where l.name = @name`

const (
	expiresSQL = `case when isfinite(expires_at) then expires_at end`

	serverAndClockSQL = thisServerSQL + `, clock_timestamp()`
	thisServerSQL     = `(select system_identifier::text from pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)`
	ourWatermarkSQL   = `case when @life::text = ` + thisServerSQL + ` and not ` + wentBackSQL + ` then @watermark::timestamptz end`
	ourSnapshotSQL    = `case when @life::text = ` + thisServerSQL + ` and not ` + wentBackSQL + ` then @snapshot::text::pg_snapshot end`

	// wentBack reports whether the lease is older than this beat has seen it before, as after an older copy of the data
	// directory has been put back. Its holder alone writes in an epoch, one transaction after another, so that the row's
	// transaction never gets older in one. A later holder goes on from the snapshot that is there. An answer that was lost
	// can only have made the row newer than it was seen.
	wentBackSQL = `coalesce(case when l.epoch = @seen_epoch::bigint then age(l.xmin) > age(@seen_written::text::xid)
        else l.epoch < @seen_epoch::bigint or pg_snapshot_xmax(l.snapshot) < pg_snapshot_xmax(@seen_snapshot::text::pg_snapshot) end, false)`

	lastSwitchSQL  = `(select watermark from tactus.leases where name = 'switch')`
	firingUntilSQL = `(select expires_at from tactus.leases where name = 'beat' and expires_at > clock_timestamp())`

	// begins tells of a shadow whether it has seen nothing yet, or a beat that fires has been in charge since.
	shadowBeginsSQL = `l.name = 'shadow' and coalesce(l.watermark < (select f.watermark from tactus.leases f where f.name = 'beat'), l.watermark is null)`
)

// giveUpLease lets it run out at once.
const giveUpLeaseSQL = `
update tactus.leases l set expires_at = clock_timestamp(), watermark = coalesce(` + ourWatermarkSQL + `, l.watermark),
    snapshot = coalesce(` + ourSnapshotSQL + `, l.snapshot)
where l.name = @name and l.holder = @holder and l.epoch = @epoch and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)`

const makeLeaseSQL = `
insert into tactus.leases (name, holder, epoch, expires_at) values (@name, '', 0, '-infinity') on conflict do nothing`

// look asks for the lease, and takes Postgres' time from the answer.
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

func (b *Beat) leaseArgs(now memory.Micros) named {
	args := named{
		"name": b.mode.leaseName, "holder": b.holder, "epoch": b.lease.term, "lease": leaseTime, "life": b.polls.server, "watermark": nil, "snapshot": nil,
		"silent": b.silentLease(), "unsure": b.lease.unanswered,
	}
	maps.Copy(args, b.lease.newest.args())
	if b.lease.leading && !b.resync.foreign() {
		args["watermark"] = time.UnixMicro(b.watermark(now))
		args["snapshot"] = b.polls.inMemory
	}
	return args
}

// renew looks at the lease and becomes what it says.
func (b *Beat) renew(ctx context.Context, now memory.Micros) error {
	sql, args := renewLeaseSQL, b.leaseArgs(now)
	if b.shadow.retired {
		sql, args = readLeaseSQL, b.readArgs()
	}
	row, err := b.queryLease(ctx, sql, args)
	if err != nil {
		return err
	}
	b.compareLease(row)
	b.lease.asked = localNow()
	b.noteServer(row.Server)
	b.lease.askAt = now + renewEvery.Microseconds()
	if !row.Mine {
		b.watchExpiry(row.Expires)
		b.lose(row.Holder)
		b.retireBeside(row.FiringUntil)
		b.lease.askAt = now + standbyEvery.Microseconds()
		b.memory.AdvanceTo(watermarkMicros(row.Watermark))
		return nil
	}
	b.lease.renewed = b.clock.now()
	switch {
	case (b.lease.unanswered || b.lease.leading && row.WentBack) && row.Term == b.lease.term+1: // nobody had it in between
		b.continueInNewTerm(row, now)
	case row.Term != b.lease.term:
		b.lease.leading, b.lease.unanswered, b.lease.term, b.lease.taken = false, false, row.Term, row
	}
	if !b.lease.leading {
		return b.takeOver(ctx, now)
	}
	return nil
}

func (b *Beat) lose(to string) {
	if b.lease.leading {
		b.log.Warn("lost the lease", "holder", to, "epoch", b.lease.term)
	}
	b.lease.leading, b.lease.term, b.lease.unanswered = false, 0, false
}

// watch notes since when a lease is as it is, by the monotonic clock.
func (b *Beat) watchExpiry(expires *time.Time) {
	if expires == nil || b.lease.otherExpires == nil || !expires.Equal(*b.lease.otherExpires) {
		b.lease.otherExpires, b.lease.otherSince = expires, localNow()
	}
}

// silent is when the lease expires of a holder that has not renewed it for longer than it lasts: it would have run out, if
// Postgres' clock had not gone back. Nil when there is none.
func (b *Beat) silentLease() *time.Time {
	if b.lease.otherExpires != nil && localNow().Sub(b.lease.otherSince) > leaseTime+renewEvery {
		return b.lease.otherExpires
	}
	return nil
}

// goOn goes on with a new epoch, in a database that has gone back, or after a commit that was not answered: that statement has committed by now, or never will.
// What it has settled is looked for before anything that was missed is decided anew, as after a takeover: a range that is
// decided later goes farther, and the unique key would take it for the one that is there.
func (b *Beat) continueInNewTerm(row leaseRow, now memory.Micros) {
	b.log.Info("goes on in a new epoch", "epoch", row.Term, "unanswered", b.lease.unanswered, "back", row.WentBack)
	b.lease.term, b.lease.maybeSettled, b.lease.unanswered = row.Term, max(b.lease.maybeSettled, now, row.Now.UnixMicro()), false
}

// takeOver goes on where the predecessor was: at its watermark, but for schedules of which it had not read when it last
// renewed. Those that count from another instant since count from that, whatever the watermark is. Of the others it went by
// another jitter, perhaps, so that the last due time before the watermark may not have fired.
func (b *Beat) takeOver(ctx context.Context, now memory.Micros) error {
	b.lease.maybeSettled = max(now, b.lease.taken.Now.UnixMicro())
	b.memory.AdvanceTo(watermarkMicros(b.lease.taken.Watermark))
	b.switchFromShadow(b.lease.taken.SwitchedAt)
	if b.lease.taken.Snapshot != nil {
		fresh, err := b.changedAfter(ctx, *b.lease.taken.Snapshot)
		if err != nil {
			return err
		}
		for _, s := range fresh {
			if s.Restarted {
				b.memory.Restart(s.ID)
			} else {
				b.memory.Reconsider(s.ID, watermarkMicros(b.lease.taken.Watermark))
			}
			b.syncs.pending[s.ID] = anyVersion
		}
	}
	b.lease.leading = true
	b.wantResync("took the lease")
	b.log.Info("took the lease", "epoch", b.lease.term, "holder", b.holder, "watermark", b.lease.taken.Watermark)
	return nil
}

// freshSchedules are those that were changed by a transaction that a snapshot does not show, and whether they were created,
// enabled or given a trigger by it. The event that did so has the time that it set effective_from to.
const changedAfterSQL = `
select s.id, bool_or(o.occurred_at = s.effective_from)
from tactus.outbox o join tactus.schedules s on s.id = o.aggregate_id
where o.topic = 'schedule' and ` + notInSnapshotSQL + `
group by s.id`

// freshRow is a schedule of which the predecessor may not have known.
type changedAfterRow struct {
	ID        domain.ID
	Restarted bool
}

func (b *Beat) changedAfter(ctx context.Context, snapshot string) ([]changedAfterRow, error) {
	rows, err := b.pool.Query(ctx, changedAfterSQL, planned, named{"from": snapshot})
	if err != nil {
		return nil, fmt.Errorf("read what is fresh: %w", err)
	}
	fresh, err := pgx.CollectRows(rows, pgx.RowToStructByPos[changedAfterRow])
	if err != nil {
		return nil, fmt.Errorf("read what is fresh: %w", err)
	}
	return fresh, nil
}

// release gives the lease up, so that a standby takes it at once.
func (b *Beat) release(ctx context.Context, now memory.Micros) error {
	if b.lease.term == 0 {
		return nil
	}
	args := b.leaseArgs(now)
	for _, name := range []string{"lease", "silent", "unsure"} {
		delete(args, name)
	}
	if _, err := b.pool.Exec(ctx, giveUpLeaseSQL, planned, args); err != nil {
		return fmt.Errorf("give up the lease: %w", err)
	}
	b.lease.leading, b.lease.term = false, 0
	b.log.Info("gave up the lease")
	return nil
}

// since is a watermark in memory's terms: without one, nothing has been settled.
func watermarkMicros(watermark *time.Time) memory.Micros {
	if watermark == nil {
		return memory.Always
	}
	return watermark.UnixMicro()
}
