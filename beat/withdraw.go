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
// While PostgreSQL's clock is ahead, what it says has passed is settled: the last due times fire, early, and those
// before them are recorded as missed. When the clock is back, these hours are still to come:
//
//	true time    12:00                 13:00
//	due           1   2   3   4   5   6   7   8
//	ahead, 12:00  └──── missed ──────┘    ●   ●      the clock says 13:20
//	back, 12:01       ●   ●   ●   ●   ●   -   -   9  the range is withdrawn; 7 and 8 have fired already
//
// So the leader withdraws what was recorded instead of a run at a time that is still to come, and memory is due again
// where that began. What has a run keeps it. This is found in the table alone, hence whoever leads does it, after a
// takeover and a restart as well. The watermark goes back in the same transaction, so that a crash loses nothing.
//
// From then on due times are not settled in order. What lies behind a gap is found by skipSettled, row by row.

// withdrawal is what is to be taken back of what a clock judged that was ahead.
type withdrawal struct {
	wanted    bool
	notBefore memory.Micros // when to look
	rewind    bool          // the clock went back: a standby's memory may be ahead of what the leader has settled
}

const (
	withdrawnAtOnce = 5_000       // rows in one statement
	withdrawAgain   = time.Second // after a row was locked
)

// withdrawSQL deletes rows that tell why there is no run, and were recorded at a time that is still to come. Ranges
// begin where the clock was right; one that was ahead for longer than a week is not made up for. What a change has
// overtaken stays: its due times do not count any more; what was set aside stays for its dead letter. A switch from a
// shadow that was made at a time still to come is one of now: until then, all that is due would be another beat's. It
// returns also until when the rows of due times reach that have fired early, and since when this beat is in charge.
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

// shadowWithdrawSQL is withdrawSQL for what a shadow has recorded.
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

// withdraw takes back some of what a clock judged that was ahead, and has memory due again by it.
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

// rewind has a standby's memory go back with the clock, to what the leader has settled by it. Until the leader has
// written that, the watermark is ahead, too.
func (b *Beat) rewind(watermark *time.Time, now time.Time) {
	if b.withdrawal.rewind && watermark != nil && !watermark.After(now) {
		b.memory.Rewind(watermark.UnixMicro())
		b.withdrawal.rewind = false
	}
}
