package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// # A clock that was ahead
//
// While PostgreSQL's clock is ahead, the beat settles due times that have not come yet: the last ones before the wrong
// time fire, too early, and those before them are recorded as missed. Once the clock is right again, these due times
// are still to come:
//
//	true time    12:00                 13:00
//	due           1   2   3   4   5   6   7   8
//	ahead, 12:00  └──── missed ──────┘    ●   ●      the clock says 13:20
//	back, 12:01       ●   ●   ●   ●   ●   -   -   9  the range is withdrawn; 7 and 8 have fired already
//
// So the leader withdraws the rows that say why there is no run and that were recorded at a time which is still to
// come, and makes memory due again from the first withdrawn due time on. Due times that have fired keep their runs. The
// table alone shows which rows these are, so any leader can withdraw them, also after a takeover or a restart. The
// watermark goes back in the same transaction, so that a crash loses nothing.
//
// After that, due times of a schedule are no longer settled in order. skipSettled finds, row by row, the settled due
// times behind a gap.

// withdrawal says whether there may be rows to withdraw.
type withdrawal struct {
	wanted    bool
	notBefore memory.Micros // when to look for them
	rewind    bool          // the clock went back: the memory of a standby may be ahead of what the leader has settled
}

const (
	withdrawnAtOnce = 5_000       // rows in one statement
	withdrawAgain   = time.Second // between two attempts, after a row was locked
)

// withdrawSQL deletes rows that say why there is no run, and that were recorded at a time which is still to come. A
// range may begin in the past, when the clock was right, but at most a week ago: a clock that was ahead for longer is
// not made up for. Due times that a change has overtaken stay as recorded, since they do not count any more, and those
// that were set aside stay because they have a dead letter. If the switch from a shadow was recorded at a time still to
// come, it is set to now; otherwise all due times until then would be another beat's. The statement also returns the
// last due time that has fired early, and the new time of the switch.
const withdrawSQL = `
with moment as materialized (select clock_timestamp() as now),
ranges as materialized (
    select r.id, r.due_at from tactus.runs r
    where r.until is not null and r.due_at > (select now - interval '7 days' from moment) and r.fired_at > (select now from moment)` + judgedSQL + `
),
singles as materialized (
    select r.id, r.due_at from tactus.runs r
    where r.until is null and r.due_at > (select now from moment) and r.fired_at > (select now from moment)` + judgedSQL + `
),
early as materialized (
    select max(r.due_at) as last from tactus.runs r where r.due_at > (select now from moment) and r.kind = 'scheduled'
),
seen as materialized (select * from ranges union all select * from singles),
found as materialized (
    select r.id, r.due_at from seen s join tactus.runs r on r.id = s.id and r.due_at = s.due_at for update of r skip locked
),
lease as (
    update tactus.leases l set watermark = least(l.watermark, (select min(due_at) from found) - interval '1 microsecond')
    where l.name = 'beat' and l.epoch = @epoch and exists (select from found)` + lockTimeoutSQL + `
    returning l.epoch
),
switched as (
    update tactus.leases w set watermark = now from moment
    where w.name = 'switch' and w.watermark > now
        and exists (select from tactus.leases l where l.name = 'beat' and l.epoch = @epoch)` + lockTimeoutSQL + `
    returning now
),
gone as (
    delete from tactus.runs r using found f, lease where r.id = f.id and r.due_at = f.due_at
    returning r.schedule_id, r.due_at
),
again as (select schedule_id, min(due_at) as since from gone group by schedule_id)
select (select count(*) from seen), (select count(*) from found), (select count(*) from gone), (select last from early), (select now from switched),
    array(select schedule_id from again order by schedule_id), array(select since from again order by schedule_id)`

const judgedSQL = `
        and r.kind = 'scheduled' and r.slot = '00000000-0000-0000-0000-000000000000'
        and r.status in ('missed', 'skipped', 'excluded') and r.reason not in ('` + domain.ReasonOvertaken + `', '` + domain.ReasonAside + `')
    limit @most::bigint`

// shadowWithdrawSQL is withdrawSQL for the rows of a shadow.
const shadowWithdrawSQL = `
with moment as materialized (select clock_timestamp() as now),
found as materialized (
    select r.schedule_id, r.due_at from tactus.shadow_runs r
    where r.decided_at > (select now from moment) and r.fate <> 'fire' limit @most::bigint
),
early as materialized (
    select max(r.due_at) as last from tactus.shadow_runs r
    where r.decided_at > (select now from moment) and r.due_at > (select now from moment)
),
lease as (
    update tactus.leases l set watermark = least(l.watermark, (select min(due_at) from found) - interval '1 microsecond')
    where l.name = 'shadow' and l.epoch = @epoch and exists (select from found)` + lockTimeoutSQL + `
    returning l.epoch
),
gone as (
    delete from tactus.shadow_runs r using found f, lease where r.schedule_id = f.schedule_id and r.due_at = f.due_at
    returning r.schedule_id, r.due_at
),
again as (select schedule_id, min(due_at) as since from gone group by schedule_id)
select (select count(*) from found), (select count(*) from found), (select count(*) from gone), (select last from early),
    null::timestamptz,
    array(select schedule_id from again order by schedule_id), array(select since from again order by schedule_id)`

// withdraw withdraws some of the rows that were recorded while the clock was ahead, and makes their schedules due
// again.
func (b *Beat) withdraw(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || !b.withdrawal.wanted || now < b.withdrawal.notBefore {
		return nil
	}
	b.withdrawal.notBefore = now + withdrawAgain.Microseconds()
	var seen, found, gone int64
	var early, switched *time.Time
	var ids []domain.ID
	var since []time.Time
	err := b.pool.QueryRow(ctx, b.mode.withdrawSQL, planned, named{"epoch": b.lease.term, "most": withdrawnAtOnce}).
		Scan(&seen, &found, &gone, &early, &switched, &ids, &since)
	switch {
	case postgres.LockTimedOut(err):
		return nil
	case err != nil:
		return fmt.Errorf("withdraw what a clock judged that was ahead: %w", err)
	case found > 0 && gone == 0:
		b.lose("another")
		return nil
	}
	b.withdrawal.wanted = seen > 0
	if found > 0 {
		b.withdrawal.notBefore = now // there may be more
	}
	if early != nil {
		b.lease.maybeSettled = max(b.lease.maybeSettled, early.UnixMicro())
	}
	if switched != nil {
		b.memory.SwitchedAt = switched.UnixMicro()
	}
	for i, id := range ids {
		b.memory.GoBack(id, since[i].UnixMicro())
		b.noteSpent(b.memory, id)
	}
	if gone > 0 {
		b.stats.countWithdrawn(gone)
		b.log.Warn("the clock of Postgres was ahead: what was missed by it is due again", "rows", gone, "schedules", len(ids))
	}
	return nil
}

// rewind moves the memory of a standby back to the leader's watermark after the clock went back. It waits until the
// leader has written a watermark that is not ahead of the clock.
func (b *Beat) rewind(watermark *time.Time, now time.Time) {
	if b.withdrawal.rewind && watermark != nil && !watermark.After(now) {
		b.memory.Rewind(watermark.UnixMicro())
		b.withdrawal.rewind = false
	}
}
