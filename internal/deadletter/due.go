package deadletter

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// firePlain and fireCounted fire a due time that was set aside, through its existing row in tactus.runs. The row keeps
// any other statement from firing the same due time. fireCounted is for schedules that count their runs; firePlain does
// not even name the table of the counts, because the whole table may be locked.
//
//   - letter: the dead letter, locked until the commit. If it covers a range of missed due times, there is nothing to
//     fire.
//   - state: the facts on which run decides, for the answer. The due time belongs to the schedule's present trigger
//     only if it is after effective_from.
//   - run, event, count: the same writes as when the beat fires.
const (
	firePlain = fireState + `, true as allowed` + fireFrom + fireRun + ` and not ` + counts + fireReturning + fireEvent

	fireCounted = fireState + `, coalesce(n.fired < case when s.trigger = '{"once":true}' then 1 else ` + sqlexpr.PolicyMaxRuns + ` end, true) as allowed` + fireFrom + `
    left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at` + fireRun + fireReturning + `,
count as (
    insert into tactus.schedule_counts as n (schedule_id, trigger_set_at, fired) select schedule_id, trigger_set_at, 1
        from run where counts
    on conflict (schedule_id) do update set trigger_set_at = excluded.trigger_set_at,
        fired = 1 + case when n.trigger_set_at = excluded.trigger_set_at then n.fired else 0 end
)` + fireEvent

	counts = `(s.trigger = '{"once":true}' or ` + sqlexpr.PolicyMaxRuns + ` is not null)`

	fireState = `
with letter as materialized (
    select id, (data::json->>'schedule_id')::uuid as schedule_id, (data::json->>'due_at')::timestamptz as due_at,
        coalesce(data::json->>'missed', '') <> '' as missed
    from tactus.deadletters where id = @id and source = 'beat' and dropped_at is null and ` + lockWait + `
    for update skip locked
),
state as materialized (
    select letter.schedule_id, r.id, r.due_at, coalesce(r.status, '') as status, letter.missed
        or r.until > r.due_at as missed,
        r.status = 'missed' and r.reason = '` + domain.ReasonAside + `' as untouched,
        s.id is not null and s.deleted_at is null and (s.enabled or s.completed_at is not null and s.paused_at is null) as enabled, s.effective_from < letter.due_at as begun,
        ` + sqlexpr.PolicyOverlaps + ` and ` + sqlexpr.Unfinished + ` as kept_back, ` + counts + ` as counts`

	fireFrom = `
    from letter
    left join tactus.runs r on r.schedule_id = letter.schedule_id and r.due_at = letter.due_at
        and r.slot = '00000000-0000-0000-0000-000000000000'
    left join tactus.schedules s on s.id = letter.schedule_id`

	fireRun = `
),
run as (
    update tactus.runs r set status = 'due', reason = null, error = null, until = null, schedule_version = s.version, fired_at = statement_timestamp(),
        expires_at = statement_timestamp() + ` + sqlexpr.PolicyExpires + ` * interval '1 second', exclusive = ` + sqlexpr.PolicyOverlaps + `
    from state, tactus.schedules s
    where r.id = state.id and r.due_at = state.due_at and s.id = state.schedule_id and s.deleted_at is null
        and (s.enabled or s.completed_at is not null and s.paused_at is null) and s.effective_from < r.due_at
        and r.status = 'missed' and r.reason = '` + domain.ReasonAside + `' and not state.missed and state.allowed and not state.kept_back`

	fireReturning = `
    returning r.id, s.id as schedule_id, s.trigger_set_at, ` + counts + ` as counts,
        tactus.run_due(s.id, s.name, ` + sqlexpr.RoutedTask + `, r.id, r.due_at, r.kind) as data
)`

	fireEvent = `,
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'run', id, 1, 'run.due', data, statement_timestamp() from run
    returning octet_length(data::text)::bigint as bytes
),
gone as (
    delete from tactus.deadletters where id = @id and exists (select from event)
),
bell as (select ` + sqlexpr.RingRuns + ` as rung from event where @ring::boolean)
select exists (select from letter), ` + listedSQL + `, coalesce((select bytes from event), 0),
    coalesce(status, ''), coalesce(missed, false), coalesce(untouched, false),
    coalesce(enabled, false), coalesce(begun, false), coalesce(allowed, false), coalesce(kept_back, false),
        coalesce(counts, false), (select count(*) from bell)
from (select) one left join state on true`
)

// dueState is the state of a due time that was set aside, and of its schedule, and what the statement did.
type dueState struct {
	there, listed, done, missed, untouched, enabled, begun, allowed, keptBack, counts bool
	status                                                                            string
}

// retryDue fires a due time that was set aside.
func (b *Box) retryDue(ctx context.Context, l Letter) (Outcome, error) {
	state, err := b.fire(ctx, firePlain, l)
	if err == nil && state.counts && !state.done {
		if locked, err := b.countsLocked(ctx); locked || err != nil {
			return skipped(l), err
		}
		state, err = b.fire(ctx, fireCounted, l)
	}
	switch {
	case postgres.RefusedData(err):
		return kept(l, err.Error()), nil
	case postgres.LockTimedOut(err) || err == nil && !state.there && state.listed:
		return skipped(l), nil
	case err != nil:
		return Outcome{}, err
	}
	return state.outcome(l), nil
}

func (b *Box) fire(ctx context.Context, sql string, l Letter) (s dueState, err error) {
	err = postgres.Ringing(func(ring bool) error {
		var bytes, rung int64
		defer func() {
			s.done = bytes > 0
			b.room.Takes(bytes)
		}()
		return b.Pool.QueryRow(ctx, sql, pgx.NamedArgs{"id": l.row(), "lease": b.Lease, "believed": time.Now(), "ring": ring}).Scan(&s.there,
			&s.listed, &bytes, &s.status, &s.missed, &s.untouched, &s.enabled, &s.begun, &s.allowed, &s.keptBack,
			&s.counts, &rung)
	})
	return s, err
}

func (s dueState) outcome(l Letter) Outcome {
	switch {
	case !s.there:
		return kept(l, ErrNone.Error())
	case s.done:
		return again(l, "it fires now")
	case s.status == "":
		return kept(l, "its run is no longer kept")
	case s.missed:
		return kept(l, "it was missed and was not to fire")
	case !s.untouched:
		return kept(l, "its run is "+s.status)
	case !s.enabled:
		return kept(l, "its schedule is deleted or disabled")
	case !s.begun:
		return kept(l, "its schedule was given another trigger since, or was enabled since")
	case !s.allowed:
		return kept(l, "its schedule has had all its runs")
	case s.keptBack:
		return kept(l, "another run of its schedule is unfinished, and they must not overlap")
	}
	return kept(l, "somebody else is changing it: try again")
}
