package verify

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/cursor"
)

// runFault is a run or a due time with a fault.
type runFault struct {
	Schedule domain.ID
	Run      domain.ID
	DueAt    time.Time
	N        int64 // the number in the message
}

// runCheck is a query whose rows are faults.
type runCheck struct{ kind, message, sql string }

const noID = `'00000000-0000-0000-0000-000000000000'::uuid`

var runChecks = []runCheck{
	{RunTwice, "%d runs of the due time %s", `
select schedule_id, ` + noID + `, due_at, count(*) from tactus.runs where kind = 'scheduled'
group by schedule_id, due_at having count(*) > 1`},

	{RunMissedToo, "%d more row in a missed range, at %s", `
select schedule_id, id, due_at, 1::bigint from (
    select schedule_id, id, due_at, max(until) over (
        partition by schedule_id order by due_at, until nulls first rows between unbounded preceding
            and 1 preceding) as covered
    from tactus.runs where kind = 'scheduled'
) r where due_at <= covered`},

	{RunWithoutEvent, "%d run.due events of the run of %s: want one", firstEvents + `
select r.schedule_id, r.id, r.due_at, 0::bigint from tactus.runs r
where r.status not in ('missed', 'skipped', 'excluded') and not r.waiting and not (r.status = 'revoked' and r.reason is not null)
    and not exists (select from first_events e where e.aggregate_id = r.id)
    and (not (select pruned from kept) or r.fired_at > (select since + interval '1 minute' from kept))`},

	{RunEventTwice, "%d first run.due events of the run of %s: want one", firstEvents + `
select r.schedule_id, r.id, r.due_at, e.n from tactus.runs r
join (select aggregate_id, count(*) as n from first_events group by 1 having count(*) > 1) e on e.aggregate_id = r.id`},

	{RunEventUnknown, "%d run.due event of a run that was not fired, of %s", firstEvents + `
select r.schedule_id, r.id, r.due_at, 1::bigint from tactus.runs r
join first_events e on e.aggregate_id = r.id where r.status in ('missed', 'excluded') or r.waiting`},

	{RunEventUnknown, "%d run.due event without a run, of %s", `
select coalesce(head[1]::uuid, ` + noID + `), o.aggregate_id, least(greatest(o.occurred_at, '0001-01-01T00:00:00Z'), '9999-12-31T23:59:59Z'), 1::bigint from tactus.outbox o
cross join lateral regexp_match(left(o.data::text, 200), ` + runHead + `) head
where o.topic = 'run' and not exists (select from tactus.runs r where r.id = o.aggregate_id)
    and coalesce(head[2]::timestamptz >= (select min(due_at) from tactus.runs), true)`},
}

// runHead matches the beginning of a run.due event as tactus.run_due writes it, with the schedule and the due time.
// Behind it stand strings of users, which PostgreSQL may be unable to decode.
const runHead = `'^[{]"schedule_id":"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})","run_id":"[0-9a-f-]{36}","due_at":"(2[0-9T:.-]+Z)"'`

// firstEvents selects the events by which runs were first handed over; a redelivery has a higher version. Old
// partitions of these events are dropped: kept says whether any was, and since when events are kept.
const firstEvents = `
with first_events as (select aggregate_id from tactus.outbox where topic = 'run' and type = 'run.due' and version = 1),
kept as (
    select coalesce(min((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(\d+)''\)'))[1]::bigint), 0) > 0 as pruned,
        coalesce((select greatest(min(occurred_at), '0001-01-01T00:00:00Z') from tactus.outbox where topic = 'run'), clock_timestamp()) as since
    from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'tactus.outbox_run'::regclass
)`

const countRuns = `select count(*) from tactus.runs`

// readRuns has PostgreSQL look for faults: it can sort and join on disk what would not fit into our memory.
func (c *checker) readRuns(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, countRuns).Scan(&c.report.Runs); err != nil {
		return fmt.Errorf("count runs: %w", err)
	}
	checks, err := withBackfills(ctx, tx, runChecks)
	if err != nil {
		return err
	}
	for i, check := range checks {
		for fault, err := range cursor.Rows[runFault](ctx, tx, fmt.Sprintf("runs%d", i), check.sql) {
			if err != nil {
				return fmt.Errorf("read runs: %w", err)
			}
			c.problem(Problem{Kind: check.kind, ScheduleID: fault.Schedule, RunID: fault.Run}, check.message, fault.N,
				stamp(&fault.DueAt))
		}
	}
	return nil
}
