package beat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// # Backfills
//
// A backfill is a request for runs of due times that have passed. The row of tactus.backfills holds these due times, in
// the order in which they are to run. The leader makes the runs while no due time waits to be settled. Each statement
// serves one backfill:
//
//	look: which may go on ──▶ queue ──▶ one: runs, events, place ──▶ the next in the queue
//	  ▲                                                                      │
//	  └────────────────────────── backfillEvery ───────────────────── it is empty
//
// The statement reads from the row how far the backfill has come, and advances the row in the same transaction in which
// it inserts the runs. Memory holds no progress, so after a crash, a lost answer or a change of leader no run is made
// twice and none is left out. Backfills of one schedule run one after another, in the order of their ids; backfills of
// different schedules take turns.
//
// A backfill that PostgreSQL refuses is tried again after growing pauses. If it was refused maxBackfillTries times
// because of its data, it has failed. A backfill whose statement takes longer than backfillWithin is put off in the
// same way, and then continues with fewer due times per statement. After such a statement all backfills rest for
// backfillPause, so that together they take little of the loop's time.

const (
	backfillEvery    = 250 * time.Millisecond // how often to look for backfills, while one is open
	backfillPause    = 2 * time.Second        // how long a backfill rests that cannot go on now
	backfillPage     = 100                    // backfills that one look reads
	backfillRuns     = 20                     // runs that one statement makes
	backfillLooked   = 100                    // due times that one statement looks at
	backfillWithin   = 500 * time.Millisecond // how long one statement may take: the loop waits for it
	maxBackfillTries = 8                      // how often a backfill may be refused in a row
)

// backfills says which backfills may go on, as far as the beat knows.
type backfills struct {
	at    memory.Micros // when to look again, or to make the next runs
	queue []openBackfill
	after domain.ID // the id behind which the next look begins
	any   bool      // the looks since the last one from the beginning have found an open backfill
	most  int       // how many backfills the next look reads

	within   time.Duration               // how long a look, or one statement of a backfill, may take
	later    map[domain.ID]memory.Micros // backfills that rest, and until when
	tries    map[domain.ID]tries
	failures failureLog
}

// tries counts how often in a row a backfill has failed, how often it was refused because of its data, and how often
// its statement took too long. Each statement that succeeds takes one off the last count and clears the others.
type tries struct{ failed, refused, slow int }

// part returns how many of n a statement should do: a quarter as many for each time that one took too long.
func (t tries) part(n int) int { return max(1, n>>(2*min(t.slow, 8))) }

func newBackfills(log *slog.Logger) backfills {
	return backfills{
		most: backfillPage, within: backfillWithin,
		later: map[domain.ID]memory.Micros{}, tries: map[domain.ID]tries{},
		failures: failureLog{log: log, level: slog.LevelWarn, what: "a backfill cannot go on: it is tried again"},
	}
}

// openBackfill is a row of openBackfillsSQL.
type openBackfill struct {
	ID, Schedule domain.ID
	Ready        bool // it may go on
}

// openBackfillsSQL reads a page of the open backfills. The oldest open backfill of each schedule is ready if fewer of
// its runs are unfinished than may be active, or, once it has made all its runs, if none is unfinished (it can then be
// ended). A backfill of a schedule that was deleted is ready to be ended whatever is unfinished.
const openBackfillsSQL = `
with open as materialized (
    select id, schedule_id, max_active, place, total, created_at from tactus.backfills
    where ended_at is null and id > @after::uuid order by id limit @most::bigint
)
select f.id, f.schedule_id, not exists (
        select from tactus.backfills e where e.schedule_id = f.schedule_id and e.ended_at is null and e.id < f.id
    ) and case when s.deleted_at is not null or s.created_at > f.created_at then true when f.place < f.total then a.active < f.max_active else a.active = 0 end
from open f join tactus.schedules s on s.id = f.schedule_id, lateral (` + activeSQL + `) a
order by f.id`

// activeSQL counts the unfinished runs of the backfill f of the schedule s. A run that was handed over and that nobody
// reports on (it went to a stream, or its task ignores results) does not count, since nothing will ever finish it. Such
// runs stay unfinished for good, so only the newest unfinished runs are looked at: twice as many as may ever be active.
const activeSQL = `
    select count(*) as active from (
        select newest.* from tactus.runs newest
        where newest.kind = 'backfill' and newest.slot = f.id and (newest.finished_at is null)
        order by newest.fired_at desc limit 200
    ) b, ` + sqlexpr.TaskTimeLimit + ` most
    where ` + sqlexpr.Heard + `
        and (b.status <> 'sent' or ` + sqlexpr.TaskStream + ` is null and not ` + sqlexpr.TaskIgnoresResult + `)`

// backfillSQL makes the next runs of a backfill, or ends it. Its common table expressions:
//
//   - lease: as in fireDueSQL.
//   - f: the backfill, locked. If another transaction has locked it (to cancel it, say), the statement does nothing.
//   - of: its schedule. The backfill ends if the schedule was deleted after the backfill was requested. It waits while
//     the schedule is invalid or not judged, or if the schedule was paused after the request.
//   - room: how many runs may begin. Of large tasks these are no more than the beat fires by one statement. Under the
//     policy queue none may begin while another run of the schedule is unfinished or waits; runs that may overlap are
//     looked for among the newest 100 of the schedule.
//   - next: the next due times of the backfill, up to the first one that memory has not settled.
//   - judged: for each of them, why it is left out, or its number among those that are not.
const backfillSQL = `
with lease as materialized (
    select epoch, clock_timestamp() as now from (
        select epoch from tactus.leases where name = 'beat' and epoch = @epoch` + lockTimeoutSQL + ` for share
    ) l
),
f as materialized (
    select b.* from tactus.backfills b, lease where b.id = @id::uuid and b.ended_at is null for no key update of b skip locked
),
of as materialized (
    select s.id, s.name, s.version, ` + sqlexpr.RoutedTask + ` as task, ` + sqlexpr.TaskSize + ` as bytes,
        ` + sqlexpr.PolicyExpires + ` as expires,
        ` + sqlexpr.PolicyOverlaps + ` or f.overlap = 'queue' as exclusive,
        s.deleted_at is not null or s.created_at > f.created_at as gone,
        s.invalid_reason is not null or coalesce(s.paused_at > f.created_at, false)
            or exists (select from tactus.unjudged u where u.schedule_id = s.id and u.version > 0)
            or f.overlap = 'queue' and (` + sqlexpr.Unfinished + `
                or exists (select from tactus.runs w where w.schedule_id = s.id and w.waiting)
                or exists (select from (
                    select * from tactus.runs r where r.schedule_id = s.id and r.slot <> f.id order by r.due_at desc limit 100
                ) b, ` + sqlexpr.TaskTimeLimit + ` most where b.finished_at is null
                    and b.status in ('due', 'sent', 'started', 'retrying') and ` + sqlexpr.Heard + `)) as held,
        (select active from (` + activeSQL + `) a) as active
    from f join tactus.schedules s on s.id = f.schedule_id
),
room as materialized (
    select case when gone or held then 0 else least(max_active - active, @most::bigint,
        greatest(@weight::bigint / greatest(bytes, 1), 1)) end as runs from of, f
),
next as materialized (
    select * from (
        select f.schedule_id, f.again, f.place + nth as place, due_at, bool_and(due_at <= @settled::timestamptz) over (order by nth) as settled
        from f, of, unnest(f.due_times[f.place + 1 : f.place + @looked::integer]) with ordinality u (due_at, nth)
        where not gone and not held
    ) n where settled
),
judged as materialized (
    select place, due_at, left_out, count(*) filter (where left_out is null) over (order by place) as nth
    from (select place, due_at, ` + sqlexpr.LeftOut + ` as left_out from next d) d
),
done as materialized (
    select place, due_at, left_out, nth from judged, room where nth <= runs
),
run as (
    insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at, expires_at, exclusive)
    select (@runs::uuid[])[nth], of.id, due_at, f.id, 'backfill', 'due', version, now, now + expires * interval '1 second', exclusive
    from done, f, of, lease where left_out is null
    on conflict (schedule_id, due_at, slot) do nothing
    returning id, due_at, fired_at
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'run', run.id, 1, 'run.due', tactus.run_due(of.id, name, task, run.id, run.due_at, 'backfill'),
        pg_catalog.json_strip_nulls(pg_catalog.json_build_object('actor', f.actor, 'reason', f.reason)), fired_at
    from run join done using (due_at), f, of order by nth
    returning position, octet_length(data::text) as bytes
),
moved as (
    select coalesce((select max(place) from done), f.place) as place, (select count(*) from run) as fired,
        (select count(*) from done where left_out = 'ran') as ran, (select count(*) from done where left_out = 'skipped') as skipped
    from f
),
ending as (
    select case when gone then 'cancelled' when moved.place = f.total and active + moved.fired = 0 then 'completed' end as outcome
    from moved, f, of
),
written as (
    update tactus.backfills b set place = m.place, fired = b.fired + m.fired, ran = b.ran + m.ran, skipped = b.skipped + m.skipped,
        outcome = e.outcome, ended_at = case when e.outcome is not null then now end,
        end_reason = case when e.outcome = 'cancelled' then 'the schedule was deleted' end,
        ended_by = case when e.outcome = 'cancelled' then @actor::text end,
        due_times = case when e.outcome is null then b.due_times else '{}' end
    from moved m, ending e, f, lease
    where b.id = f.id and (m.place > f.place or e.outcome is not null)
    returning b.id
)
select exists (select from lease), (select count(*) from event), (select count(*) from written),
    coalesce((select outcome from ending), ''), (select max(position) from event),
    (select coalesce(sum(bytes), 0)::bigint from event),
    (select ` + sqlexpr.RingRuns + ` from (select from event limit 1) e where @ring::boolean)`

// failBackfillSQL ends a backfill as failed.
const failBackfillSQL = `
with lease as materialized (
    select epoch from tactus.leases where name = 'beat' and epoch = @epoch` + lockTimeoutSQL + ` for share
)
update tactus.backfills set ended_at = clock_timestamp(), outcome = 'failed', due_times = '{}', ended_by = @actor, end_reason = @reason
where id = @id and ended_at is null and exists (select from lease)`

// mayBackfill reports whether nothing more urgent is to be done: no due time waits, and no sink has to catch up.
func (b *Beat) mayBackfill(now memory.Micros) bool {
	return !b.lease.unanswered && !b.resync.foreign() && !b.backlog.waits && !b.backlog.full() && b.nextFire() > now
}

// backfill makes the next runs of the first backfill in the queue. If the queue is empty, it looks for open backfills.
func (b *Beat) backfill(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || b.cfg.Shadow || now < b.backfills.at {
		return nil
	}
	b.backfills.at = now + backfillEvery.Microseconds()
	if !b.backfills.any {
		b.backfills.at = now + min(b.cfg.Poll, DefaultPoll).Microseconds()
	}
	if !b.mayBackfill(now) {
		return nil
	}
	if len(b.backfills.queue) == 0 {
		return b.lookForBackfills(ctx, now)
	}
	b.backfills.at = now
	next := b.backfills.queue[0]
	b.backfills.queue = b.backfills.queue[1:]
	moved, err := b.goOnWith(ctx, next, now)
	if err != nil {
		return b.delayBackfill(ctx, next, now, err)
	}
	b.backfills.succeeded(next.ID)
	if !moved {
		b.backfills.later[next.ID] = now + backfillPause.Microseconds()
	}
	return nil
}

// succeeded notes that a statement of a backfill succeeded.
func (f *backfills) succeeded(id domain.ID) {
	if t := (tries{slow: f.tries[id].slow - 1}); t.slow > 0 {
		f.tries[id] = t
	} else {
		delete(f.tries, id)
	}
	if len(f.tries) == 0 {
		f.failures.recovered()
	}
}

// lookForBackfills reads the next page of open backfills, and queues those that may go on.
func (b *Beat) lookForBackfills(ctx context.Context, now memory.Micros) error {
	f := &b.backfills
	within, cancel := context.WithTimeout(ctx, f.within)
	defer cancel()
	var found []openBackfill
	err := b.beside.Do(within, openBackfillsSQL, func(sql string) error {
		rows, err := b.pool.Query(within, sql, planned, named{
			"after": f.after, "most": f.most, "lease": b.cfg.Lease, "believed": b.clock.believes(),
		})
		if err == nil {
			found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[openBackfill])
		}
		return err
	})
	switch {
	case err == nil:
		b.takeBackfills(found, now)
		return nil
	case postgres.Code(err) == undefinedTable:
		f.at = now + time.Minute.Microseconds() // the schema is that of the release before, which has no backfills
		return nil
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		f.failures.report(err)
		f.at, f.most = now+backfillPause.Microseconds(), max(1, f.most/4)
		return nil
	}
	return fmt.Errorf("look for backfills: %w", err)
}

const undefinedTable = "42P01"

func (b *Beat) takeBackfills(found []openBackfill, now memory.Micros) {
	f := &b.backfills
	if f.after.IsZero() {
		f.any = false
		for id, until := range f.later {
			if until <= now {
				delete(f.later, id)
			}
		}
	}
	f.any = f.any || len(found) > 0
	for _, one := range found {
		if one.Ready && f.later[one.ID] <= now {
			f.queue = append(f.queue, one)
		}
	}
	f.after = domain.ID{}
	full := len(found) == f.most
	if full {
		f.after = found[len(found)-1].ID
	}
	f.most = min(2*f.most, backfillPage)
	switch {
	case len(f.queue) > 0 || full:
		f.at = now
	case f.any:
		f.at = now + backfillEvery.Microseconds()
	}
}

// goOnWith makes the next runs of a backfill, or ends it, and reports whether either was possible.
func (b *Beat) goOnWith(ctx context.Context, f openBackfill, now memory.Micros) (moved bool, err error) {
	settled := now
	if _, changed := b.syncs.pending[f.Schedule]; changed {
		return false, nil // once it is read, the schedule may be due before now
	}
	if r, known := b.memory.Find(f.Schedule); known && r.Due <= settled {
		settled = r.Due - 1
	}
	runs := make([]domain.ID, backfillRuns)
	for i := range runs {
		runs[i] = outbox.NewID()
	}
	ctx, cancel := context.WithTimeout(ctx, b.backfills.within)
	defer cancel()
	before := b.backfills.tries[f.ID]
	var held bool
	var fired, written, bytes int64
	var newest *int64
	var outcome string
	err = postgres.Ringing(func(ring bool) error {
		var rung any
		return b.beside.Do(ctx, backfillSQL, func(sql string) error {
			return b.pool.QueryRow(ctx, sql, planned, named{
				"epoch": b.lease.term, "id": f.ID, "lease": b.cfg.Lease, "believed": b.clock.believes(), "runs": runs,
				"most": before.part(backfillRuns), "looked": before.part(backfillLooked), "settled": time.UnixMicro(settled),
				"actor": "beat:" + b.cfg.Name, "ring": ring, "weight": maxFiringWeight << 10,
			}).Scan(&held, &fired, &written, &outcome, &newest, &bytes, &rung)
		})
	})
	if err != nil {
		return false, fmt.Errorf("backfill %s of the schedule %s: %w", f.ID, f.Schedule, err)
	}
	if !held {
		b.lose("another")
		return false, nil
	}
	b.backlog.took(fired, localNow())
	if bytes > fired<<10 {
		b.backlog.noteHeavy(int(bytes>>10), newest, localNow())
	}
	if outcome != "" && written > 0 {
		b.log.Info("a backfill has ended", "backfill", f.ID, "schedule_id", f.Schedule, "outcome", outcome)
	}
	return written > 0, nil
}

// delayBackfill puts off a backfill whose statement failed, and ends it as failed once PostgreSQL has refused its data
// too often. It returns an error only if the step of the beat has failed: the database does not answer, or the backfill
// could not be ended.
func (b *Beat) delayBackfill(ctx context.Context, f openBackfill, now memory.Micros, err error) error {
	if postgres.Code(err) == "" && !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return err // the database does not answer
	}
	b.backfills.failures.report(err)
	t := b.backfills.tries[f.ID]
	if t.failed++; postgres.RefusedData(err) {
		t.refused++
	} else if errors.Is(err, context.DeadlineExceeded) {
		t.slow++
		b.backfills.at = now + backfillPause.Microseconds()
	}
	b.backfills.tries[f.ID] = t
	b.backfills.later[f.ID] = now + (backfillPause << min(t.failed, 5)).Microseconds()
	if t.refused < maxBackfillTries {
		return nil
	}
	delete(b.backfills.tries, f.ID)
	_, err = b.pool.Exec(ctx, failBackfillSQL, planned, named{
		"epoch": b.lease.term, "id": f.ID, "actor": "beat:" + b.cfg.Name, "reason": "PostgreSQL refuses its runs: " + err.Error(),
	})
	if err != nil {
		return fmt.Errorf("end the backfill %s: %w", f.ID, err)
	}
	return nil
}
