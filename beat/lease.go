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
	leaseFor    = 10 * time.Second
	renewEvery  = leaseFor / 3
	standbyLook = 500 * time.Millisecond
)

// leaseRow is the lease as it is after a look at it.
type leaseRow struct {
	Mine      bool
	Holder    string
	Epoch     int64
	Watermark *time.Time // of whoever held it, until we write ours
	Snapshot  *string    // of the log, up to which the holder had read
	Life      string     // of the database: server and timeline
	Now       time.Time  // Postgres' clock
	Expires   *time.Time // nil when it was given up, or nobody had it ever
	Switched  *time.Time // when a beat that fires last took over from a shadow
	Firing    *time.Time // until when a beat that fires has its lease, while it has
	Written   string     // the transaction that wrote the row
	Back      bool       // the row was older than it has been seen before
}

// lookAtLease renews the lease, or takes it when it has run out (or would have, see silent), or else reads it. Its holder
// gets a new epoch when it is unsure of what it did last. The watermark and snapshot are written
// with a renewal only: what a predecessor has left stays until its successor has read it. And only in the life of the
// database that memory is of: in another one, and in one that has gone back, they mean nothing, and the epoch is a new one. An UPDATE that finds nothing to do locks nothing, so a
// standby is in nobody's way.
//
// A shadow never has its lease beside one that fires, and begins at that moment when one has fired since. One that fires
// notes when it took over from a shadow: what was due until then was another beat's.
const lookAtLease = `
with held as (
    update tactus.leases l set
        holder = @holder,
        epoch = case when l.holder = @holder and l.epoch = @epoch and not @unsure and not ` + wentBack + ` then l.epoch
            else greatest(l.epoch, @seen_epoch::bigint) + 1 end,
        expires_at = clock_timestamp() + @lease::interval,
        watermark = case when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourWatermark + `, l.watermark)
            when ` + begins + ` then clock_timestamp() else l.watermark end,
        snapshot = case when l.holder = @holder and l.epoch = @epoch then coalesce(` + ourSnapshot + `, l.snapshot)
            when ` + begins + ` then null else l.snapshot end
    where l.name = @name and (l.expires_at <= clock_timestamp() or l.expires_at = @silent::timestamptz
            or l.holder = @holder and (l.epoch = @epoch or @unsure::boolean))
        and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)
    returning true as mine, l.name, l.holder, l.epoch, l.watermark, l.snapshot, l.expires_at, l.xmin as written
),
switched as (
    insert into tactus.leases as w (name, holder, epoch, expires_at, watermark)
    select 'switch', h.holder, h.epoch, clock_timestamp(), clock_timestamp()
    from held h join tactus.leases s on s.name = 'shadow'
    where h.name = 'beat' and h.epoch <> @epoch and s.watermark > greatest(h.watermark, ` + lastSwitch + `, '-infinity')
    on conflict (name) do update set holder = excluded.holder, epoch = excluded.epoch, expires_at = excluded.expires_at, watermark = excluded.watermark
    returning watermark
)
select mine, holder, epoch, watermark, snapshot::text, ` + lifeAndClock + `, ` + expiry + `, coalesce((select watermark from switched), ` + lastSwitch + `), ` + firingUntilSQL + `,
    written::text, (select ` + wentBack + ` from tactus.leases l where l.name = @name) from held
union all
` + readLease + ` and not exists (select from held)`

const readLease = `select false, l.holder, l.epoch, l.watermark, l.snapshot::text, ` + lifeAndClock + `, ` + expiry + `, ` + lastSwitch + `, ` + firingUntilSQL + `,
    l.xmin::text, ` + wentBack + ` from tactus.leases l where l.name = @name`

const (
	expiry = `case when isfinite(expires_at) then expires_at end`

	lifeAndClock = thisLife + `, clock_timestamp()`
	thisLife     = `(select system_identifier::text from pg_control_system()) || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)`
	ourWatermark = `case when @life::text = ` + thisLife + ` and not ` + wentBack + ` then @watermark::timestamptz end`
	ourSnapshot  = `case when @life::text = ` + thisLife + ` and not ` + wentBack + ` then @snapshot::text::pg_snapshot end`

	// wentBack reports whether the lease is older than this beat has seen it before, as after an older copy of the data
	// directory has been put back. Its holder alone writes in an epoch, one transaction after another, so that the row's
	// transaction never gets older in one. A later holder goes on from the snapshot that is there. An answer that was lost
	// can only have made the row newer than it was seen.
	wentBack = `coalesce(case when l.epoch = @seen_epoch::bigint then age(l.xmin) > age(@seen_written::text::xid)
        else l.epoch < @seen_epoch::bigint or pg_snapshot_xmax(l.snapshot) < pg_snapshot_xmax(@seen_snapshot::text::pg_snapshot) end, false)`

	lastSwitch     = `(select watermark from tactus.leases where name = 'switch')`
	firingUntilSQL = `(select expires_at from tactus.leases where name = 'beat' and expires_at > clock_timestamp())`

	// begins tells of a shadow whether it has seen nothing yet, or a beat that fires has been in charge since.
	begins = `l.name = 'shadow' and coalesce(l.watermark < (select f.watermark from tactus.leases f where f.name = 'beat'), l.watermark is null)`
)

// giveUpLease lets it run out at once.
const giveUpLease = `
update tactus.leases l set expires_at = clock_timestamp(), watermark = coalesce(` + ourWatermark + `, l.watermark),
    snapshot = coalesce(` + ourSnapshot + `, l.snapshot)
where l.name = @name and l.holder = @holder and l.epoch = @epoch and (l.name <> 'shadow' or ` + firingUntilSQL + ` is null)`

const makeLease = `
insert into tactus.leases (name, holder, epoch, expires_at) values (@name, '', 0, '-infinity') on conflict do nothing`

// look asks for the lease, and takes Postgres' time from the answer.
func (b *Beat) look(ctx context.Context, sql string, args ...any) (leaseRow, error) {
	asked := localNow()
	rows, err := b.pool.Query(ctx, sql, append([]any{planned}, args...)...)
	if err != nil {
		return leaseRow{}, fmt.Errorf("look at the lease: %w", err)
	}
	row, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[leaseRow])
	if err != nil {
		return leaseRow{}, fmt.Errorf("look at the lease: %w", err)
	}
	b.anchor(asked, row.Now)
	return row, nil
}

func (b *Beat) leaseArgs(now memory.Micros) named {
	args := named{
		"name": b.mode.lease, "holder": b.holder, "epoch": b.epoch, "lease": leaseFor, "life": b.life, "watermark": nil, "snapshot": nil,
		"silent": b.silent(), "unsure": b.unsure,
	}
	maps.Copy(args, b.seen.args())
	if b.leading && !b.resync.foreign() {
		args["watermark"] = time.UnixMicro(b.settled(now))
		args["snapshot"] = b.processed
	}
	return args
}

// renew looks at the lease and becomes what it says.
func (b *Beat) renew(ctx context.Context, now memory.Micros) error {
	sql, args := lookAtLease, b.leaseArgs(now)
	if b.retired {
		sql, args = readLease, b.readArgs()
	}
	row, err := b.look(ctx, sql, args)
	if err != nil {
		return err
	}
	b.compare(row)
	b.looked = localNow()
	b.lifeIs(row.Life)
	b.lookAt = now + renewEvery.Microseconds()
	if !row.Mine {
		b.watch(row.Expires)
		b.lose(row.Holder)
		b.yieldTo(row.Firing)
		b.lookAt = now + standbyLook.Microseconds()
		b.memory.AdvanceTo(since(row.Watermark))
		return nil
	}
	b.renewed = b.clock.now()
	switch {
	case (b.unsure || b.leading && row.Back) && row.Epoch == b.epoch+1: // nobody had it in between
		b.goOn(row, now)
	case row.Epoch != b.epoch:
		b.leading, b.unsure, b.epoch, b.taken = false, false, row.Epoch, row
	}
	if !b.leading {
		return b.takeOver(ctx, now)
	}
	return nil
}

func (b *Beat) lose(to string) {
	if b.leading {
		b.log.Warn("lost the lease", "holder", to, "epoch", b.epoch)
	}
	b.leading, b.epoch, b.unsure = false, 0, false
}

// watch notes since when a lease is as it is, by the monotonic clock.
func (b *Beat) watch(expires *time.Time) {
	if expires == nil || b.foreseen == nil || !expires.Equal(*b.foreseen) {
		b.foreseen, b.foreseenAt = expires, localNow()
	}
}

// silent is when the lease expires of a holder that has not renewed it for longer than it lasts: it would have run out, if
// Postgres' clock had not gone back. Nil when there is none.
func (b *Beat) silent() *time.Time {
	if b.foreseen != nil && localNow().Sub(b.foreseenAt) > leaseFor+renewEvery {
		return b.foreseen
	}
	return nil
}

// goOn goes on with a new epoch, in a database that has gone back, or after a commit that was not answered: that statement has committed by now, or never will.
// What it has settled is looked for before anything that was missed is decided anew, as after a takeover: a range that is
// decided later goes farther, and the unique key would take it for the one that is there.
func (b *Beat) goOn(row leaseRow, now memory.Micros) {
	b.log.Info("goes on in a new epoch", "epoch", row.Epoch, "unanswered", b.unsure, "back", row.Back)
	b.epoch, b.takenAt, b.unsure = row.Epoch, max(b.takenAt, now, row.Now.UnixMicro()), false
}

// takeOver goes on where the predecessor was: at its watermark, but for schedules of which it had not read when it last
// renewed. Those that count from another instant since count from that, whatever the watermark is. Of the others it went by
// another jitter, perhaps, so that the last due time before the watermark may not have fired.
func (b *Beat) takeOver(ctx context.Context, now memory.Micros) error {
	b.takenAt = max(now, b.taken.Now.UnixMicro())
	b.memory.AdvanceTo(since(b.taken.Watermark))
	b.elsewhere(b.taken.Switched)
	if b.taken.Snapshot != nil {
		fresh, err := b.fresh(ctx, *b.taken.Snapshot)
		if err != nil {
			return err
		}
		for _, s := range fresh {
			if s.Restart {
				b.memory.Restart(s.ID)
			} else {
				b.memory.Reconsider(s.ID, since(b.taken.Watermark))
			}
			b.pending[s.ID] = anyVersion
		}
	}
	b.leading = true
	b.wantResync("took the lease")
	b.log.Info("took the lease", "epoch", b.epoch, "holder", b.holder, "watermark", b.taken.Watermark)
	return nil
}

// freshSchedules are those that were changed by a transaction that a snapshot does not show, and whether they were created,
// enabled or given a trigger by it. The event that did so has the time that it set effective_from to.
const freshSchedules = `
select s.id, bool_or(o.occurred_at = s.effective_from)
from tactus.outbox o join tactus.schedules s on s.id = o.aggregate_id
where o.topic = 'schedule' and ` + notIn + `
group by s.id`

// freshRow is a schedule of which the predecessor may not have known.
type freshRow struct {
	ID      domain.ID
	Restart bool
}

func (b *Beat) fresh(ctx context.Context, snapshot string) ([]freshRow, error) {
	rows, err := b.pool.Query(ctx, freshSchedules, planned, named{"from": snapshot})
	if err != nil {
		return nil, fmt.Errorf("read what is fresh: %w", err)
	}
	fresh, err := pgx.CollectRows(rows, pgx.RowToStructByPos[freshRow])
	if err != nil {
		return nil, fmt.Errorf("read what is fresh: %w", err)
	}
	return fresh, nil
}

// release gives the lease up, so that a standby takes it at once.
func (b *Beat) release(ctx context.Context, now memory.Micros) error {
	if b.epoch == 0 {
		return nil
	}
	args := b.leaseArgs(now)
	for _, name := range []string{"lease", "silent", "unsure"} {
		delete(args, name)
	}
	if _, err := b.pool.Exec(ctx, giveUpLease, planned, args); err != nil {
		return fmt.Errorf("give up the lease: %w", err)
	}
	b.leading, b.epoch = false, 0
	b.log.Info("gave up the lease")
	return nil
}

// since is a watermark in memory's terms: without one, nothing has been settled.
func since(watermark *time.Time) memory.Micros {
	if watermark == nil {
		return memory.Always
	}
	return watermark.UnixMicro()
}
