package results

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// releasePlainSQL hands over runs that wait until the previous run of their schedule has finished or has been silent
// for too long. A waiting run is skipped if its schedule was disabled, deleted or given another trigger after the run
// was due. The time until a run expires counts from its release, however long the run has waited. The statement waits
// for no lock: it leaves a run for later if its row is locked.
//
// The event of a run holds a copy of its task. A statement copies at most 2 MiB of light tasks and 2 MiB of large ones,
// or one task. In every second statement the large tasks come first, so that neither kind blocks the other. While there
// is no room for large tasks (see package room), they go on waiting.
//
// releaseCountedSQL does the same for schedules that count their runs. It also leaves a run for later if the count of
// its schedule is locked; such runs do not count against the limit of the statement, however many they are. It is a
// statement of its own because a lock on the whole table of the counts would otherwise delay the runs of all schedules.
const (
	releasePlainSQL = waitingSQL + ` and not (` + countsSQL + `)` + inOrderSQL + mostSQL + releaseSQL + eventsSQL

	releaseCountedSQL = waitingSQL + ` and (` + countsSQL + `)` + inOrderSQL + `
    left join lateral (
        select true as free from tactus.schedule_counts n where n.schedule_id = w.schedule_id for no key update skip locked
    ) count on true
    where count.free or not exists (select from tactus.schedule_counts n where n.schedule_id = w.schedule_id)` + mostSQL + releaseSQL + `
count as (
    insert into tactus.schedule_counts as n (schedule_id, trigger_set_at, fired)
    select schedule_id, trigger_set_at, 1 from fired
    on conflict (schedule_id) do update set trigger_set_at = excluded.trigger_set_at,
        fired = excluded.fired + case when n.trigger_set_at = excluded.trigger_set_at then n.fired else 0 end
),` + eventsSQL

	waitingSQL = `
with found as materialized (
    select w.* from (
        select w.id, w.due_at, pg_column_size(s.task) > @large::bigint as large,
            (s.enabled or s.completed_at is not null and s.paused_at is null) and s.deleted_at is null
            and s.effective_from <= w.due_at as may, clock_timestamp() as now,
            ` + sqlexpr.PolicyExpires + ` as expires, s.id as schedule_id
        from tactus.runs w join tactus.schedules s on s.id = w.schedule_id
        where w.waiting and coalesce(w.id = any (@only::uuid[]), true)
            and (@room::boolean or pg_column_size(s.task) <= @large::bigint)
            and (not (s.enabled or s.completed_at is not null and s.paused_at is null) or s.deleted_at is not null or s.effective_from > w.due_at or not ` + sqlexpr.Unfinished + `)`

	countsSQL = `s.trigger = '{"once":true}' or ` + sqlexpr.PolicyMaxRuns + ` is not null`

	inOrderSQL = `
        order by (pg_column_size(s.task) > @large::bigint) <> @large_first::boolean, w.id
        for no key update of w skip locked
    ) w`

	mostSQL = `
    limit @most::bigint
),
weighed as materialized (
    select f.*, case when f.may then ` + sqlexpr.TaskSize + ` else 0 end as bytes
    from found f join tactus.schedules s on s.id = f.schedule_id
),
ready as materialized (
    select * from (
        select w.*, sum(bytes) over (partition by large order by id rows unbounded preceding) - bytes as before
        from weighed w
    ) w where before < @weight::bigint
),`

	releaseSQL = `
run as (
    update tactus.runs r set waiting = false, status = case when may then 'due' else 'skipped' end, exclusive = may,
        reason = case when not may then 'the schedule was changed while it waited' end,
        fired_at = case when may then now else r.fired_at end, expires_at = case when may then now + expires * interval '1 second' end
    from ready
    where r.id = ready.id and r.due_at = ready.due_at and r.waiting
    returning r.id, r.due_at, r.fired_at, r.schedule_id, r.kind, r.status, case when r.status = 'skipped' then r end as happened
),` + sqlexpr.Tell + `run` + sqlexpr.Told + `,
fired as materialized (
    select run.id, run.due_at, run.fired_at, run.kind, s.id as schedule_id, s.name, ` + sqlexpr.RoutedTask + ` as task, s.trigger_set_at
    from run join tactus.schedules s on s.id = run.schedule_id
    where run.status = 'due'
),`

	eventsSQL = `
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'run', id, 1, 'run.due', tactus.run_due(schedule_id, name, task, id, due_at, kind), null, fired_at from fired
    returning octet_length(data::text) as bytes
)
select (select count(*) from run),
    (select count(*) = @most::bigint or count(*) > (select count(*) from ready) from found),
    (select coalesce(sum(bytes), 0)::bigint from event),
    (select ` + sqlexpr.RingRuns + ` from (select from event limit 1) e where @ring::boolean)`
)

const (
	mostReleased   = 500     // runs that one statement releases
	weightReleased = 2 << 20 // bytes of tasks of a kind
)

// anyWaitingSQL reports whether a run waits at all, and whether the table of the counts is locked. It asks for the
// first waiting run in an order. So PostgreSQL uses the index of the waiting runs, which is nearly always empty,
// whatever the planner expects of the table.
var anyWaitingSQL = `select clock_timestamp(), waiting, waiting and ` + sqlexpr.WritersWait("tactus.schedule_counts") + `
from (select exists (select from (select from tactus.runs where waiting order by schedule_id limit 1) one) as waiting) any_run`

// Release hands over, or skips, the waiting runs whose previous run has finished. It returns how many runs no longer
// wait.
func (c *Collector) Release(ctx context.Context) (released int64, err error) {
	var waiting, locked bool
	var now time.Time
	if err := c.pool.QueryRow(ctx, anyWaitingSQL, pgx.QueryExecModeCacheDescribe).Scan(&now, &waiting, &locked); err != nil {
		return 0, fmt.Errorf("look for waiting runs: %w", err)
	}
	c.believed = c.clock.Believed(now, time.Now())
	if c.more = false; !waiting {
		return 0, nil
	}
	if c.anyRoom, err = c.room.Any(ctx, c.pool); err != nil {
		return 0, fmt.Errorf("release waiting runs: %w", err)
	}
	c.largeFirst = !c.largeFirst
	released, err = c.releaseOrBisect(ctx, releasePlainSQL)
	if c.counts.note(locked); !locked {
		counted, failed := c.releaseOrBisect(ctx, releaseCountedSQL)
		released, err = released+counted, errors.Join(err, failed)
	}
	if err != nil {
		return released, fmt.Errorf("release waiting runs: %w", err)
	}
	if released > 0 {
		c.log.Debug("released waiting runs", "runs", released)
	}
	return released, nil
}

// release runs a statement for the waiting runs in only, or for all waiting runs if only is empty.
func (c *Collector) release(ctx context.Context, sql string, only []domain.ID) (released int64, err error) {
	var rung any
	var more bool
	var bytes int64
	err = postgres.Retry(ctx, func() error {
		return postgres.Ringing(func(ring bool) error {
			return c.beside.Do(ctx, sql, func(sql string) error {
				return c.pool.QueryRow(ctx, sql, pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
					"lease": c.cfg.Longest, "most": mostReleased, "only": only, "ring": ring, "believed": c.believed,
					"large": room.Large, "large_first": c.largeFirst, "room": c.anyRoom, "weight": weightReleased,
				}).Scan(&released, &more, &bytes, &rung)
			})
		})
	})
	c.more = c.more || more && released > 0
	c.room.Takes(bytes)
	return released, err
}

// releaseEvery is how often the collector looks for runs that wait for a silent run. After an answer it looks at once.
const releaseEvery = time.Second

// releaseAll releases waiting runs until ctx ends.
func (c *Collector) releaseAll(ctx context.Context) {
	out := outage{log: c.log, what: "release waiting runs"}
	for ctx.Err() == nil {
		if _, err := c.Release(ctx); err != nil {
			out.wait(ctx, err)
			continue
		}
		if out.over(); c.more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.ended:
		case <-time.After(releaseEvery):
		}
	}
}
