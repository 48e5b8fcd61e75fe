package beat

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// fireDue settles due times in one statement, which is one transaction.
//
//   - lease: it is the epoch that this beat holds, and nobody takes it until the commit.
//   - given: what is asked for. The arrays are behind a select, where the planner cannot count them: whatever it knows of the
//     tables it then looks rows up by their keys, and compiles nothing.
//   - due: the schedule is as memory has it: it may fire, it counts its due times from the same instant, and has not used
//     up its runs. One that is limited comes at most once in a statement.
//   - kept: due times of schedules whose runs must not overlap, with their place in the row behind an unfinished run. The
//     first fires, the second waits where the policy is queue and nobody waits yet, the others are skipped.
//   - run: the row that makes a due time fire once. What has one already stays as it is, without an event.
//   - fired: with what each new run needs of its schedule; the event is made of it, and the count.
const fireDue = `
with lease as materialized (
    select epoch from tactus.leases where name = 'beat' and epoch = @epoch for share
),
given as materialized (
    select * from unnest((select @runs::uuid[]), (select @schedules::uuid[]), (select @effective::timestamptz[]),
        (select @due::timestamptz[]), (select @until::timestamptz[]), (select @reasons::text[]))
        g (run_id, schedule_id, effective_from, due_at, until, reason)
),
due as materialized (
    select g.*, s.version, (s.policy::json->>'expires')::bigint * interval '1 second' as expires_in, s.policy::json->>'overlap' as overlap
    from lease, given g join tactus.schedules s on s.id = g.schedule_id and s.effective_from = g.effective_from
    left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
    where s.enabled and s.deleted_at is null
        and (n.fired is null or coalesce(n.fired < case when s.trigger = '{"once":true}' then 1 else (s.policy::json->>'max_runs')::bigint end, true))
),
kept as materialized (
    select d.run_id, d.overlap, row_number() over (partition by s.id order by d.due_at) + case when ` + outbox.Unfinished + ` then 1 else 0 end as place,
        exists (select from tactus.runs w where w.schedule_id = s.id and w.waiting) as queued
    from due d join tactus.schedules s on s.id = d.schedule_id
    where d.overlap is not null and d.reason is null
        and not exists (select from tactus.runs r where r.schedule_id = s.id and r.due_at = d.due_at and r.slot = '00000000-0000-0000-0000-000000000000')
),
run as (
    insert into tactus.runs (id, schedule_id, due_at, until, kind, status, schedule_version, reason, expires_at, exclusive, waiting)
    select run_id, schedule_id, due_at, until, 'scheduled', case when reason is not null then 'missed' when why is not null then 'skipped' else 'due' end, version,
        coalesce(reason, why, case when waits then '` + domain.ReasonWaits + `' end), case when reason is null then clock_timestamp() + expires_in end,
        overlap is not null and reason is null and why is null, waits
    from (
        select d.*, coalesce(not k.queued and k.place = 2 and k.overlap = 'queue', false) as waits,
            case when not k.queued and k.place = 1 then null when k.overlap = 'skip' then '` + domain.ReasonSkip + `'
                when k.queued or k.place > 2 then '` + domain.ReasonQueue + `' end as why
        from due d left join kept k on k.run_id = d.run_id
    ) decided
    on conflict (schedule_id, due_at, slot) do nothing
    returning id, schedule_id, due_at, status, waiting
),
fired as materialized (
    select run.id, run.due_at, s.id as schedule_id, s.name, s.task, s.trigger_set_at,
        s.trigger = '{"once":true}' or (s.policy::json->'max_runs') is not null as counts
    from run join tactus.schedules s on s.id = run.schedule_id
    where run.status = 'due' and not run.waiting
),
count as (
    insert into tactus.schedule_counts as n (schedule_id, trigger_set_at, fired)
    select schedule_id, trigger_set_at, count(*) from fired where counts group by schedule_id, trigger_set_at
    on conflict (schedule_id) do update set trigger_set_at = excluded.trigger_set_at,
        fired = excluded.fired + case when n.trigger_set_at = excluded.trigger_set_at then n.fired else 0 end
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data)
    select 'run', id, 1, 'run.due', tactus.run_due(schedule_id, name, task, id, due_at, 'scheduled') from fired
    returning position
)
select exists (select from lease), (select count(*) from run), (select count(*) from event),
    array(select schedule_id from given except select schedule_id from due),
    (` + outbox.Bell + ` from (select from event limit 1) e)`

// outcome is what a statement did.
type outcome struct {
	Held     bool        // the lease: else nothing was done
	Recorded int64       // rows that are new
	Fired    int64       // of them, those that fire
	Stale    []domain.ID // schedules that are not as memory has them
}

func (b *Beat) write(ctx context.Context, items []item) (out outcome, err error) {
	row := b.pool.QueryRow(ctx, fireDue, planned, arrays(b.epoch, b.cfg.Lease, items))
	var rung any
	if err := row.Scan(&out.Held, &out.Recorded, &out.Fired, &out.Stale, &rung); err != nil {
		return outcome{}, fmt.Errorf("fire: %w", err)
	}
	return out, nil
}

func arrays(epoch int64, lease time.Duration, items []item) named {
	n := len(items)
	runs, schedules := make([]domain.ID, n), make([]domain.ID, n)
	effective, due, until := make([]time.Time, n), make([]time.Time, n), make([]*time.Time, n)
	reasons := make([]*string, n)
	for i := range items {
		it := &items[i]
		runs[i], schedules[i] = outbox.NewID(), it.schedule
		effective[i], due[i] = time.UnixMicro(it.effective), time.UnixMicro(it.due)
		if it.reason != "" {
			last := time.UnixMicro(it.until)
			until[i], reasons[i] = &last, &it.reason
		}
	}
	return named{
		"epoch": epoch, "lease": lease, "runs": runs, "schedules": schedules, "effective": effective, "due": due, "until": until, "reasons": reasons,
	}
}
