package results

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// isOpen matches open runs. Only open runs that wait have a reason, so the others are found by the index
// runs_unfinished.
const isOpen = `(r.status in ('due', 'sent', 'started', 'retrying') and r.finished_at is null)`

// isGuess matches runs that have ended by a conclusion of the collector, or because somebody cancelled them, which may
// have come too late.
const isGuess = `(r.status in ('unknown', 'expired', 'revoked') and r.reason is not null)`

// openRunsSQL reads a page of the open runs of an age, oldest first: those that may have left a result, which they
// cannot before they were handed over, and those of which something can be concluded, because they have expired or were
// silent for long. All others are passed over without a look at their schedules.
const openRunsSQL = `
select r.id, r.fired_at, coalesce(r.heard_at, r.fired_at), r.status, r.expires_at,
    ` + sqlexpr.TaskTimeLimit + `, coalesce(` + sqlexpr.TaskStream + `, '') <> '', ` + sqlexpr.TaskIgnoresResult + `, least(clock_timestamp(), @believed::timestamptz)
from tactus.runs r left join tactus.schedules s on s.id = r.schedule_id
where ` + isOpen + ` and r.reason is null and not r.waiting
    and (@asks::boolean and r.status <> 'due' or r.expires_at < now()
        or coalesce(r.heard_at, r.fired_at) <= now() - @timeout::interval)
    and r.fired_at >= least(now(), @believed::timestamptz) - @oldest::interval and r.fired_at <= now() - @youngest::interval and (r.fired_at, r.id) > (@fired_at, @id::uuid)
order by r.fired_at, r.id limit @limit`

// page returns the open runs after the given one, of ages between youngest and oldest.
func (c *Collector) page(ctx context.Context, youngest, oldest time.Duration, after openRun) ([]openRun, error) {
	var now time.Time
	if err := c.pool.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return nil, fmt.Errorf("read the clock: %w", err)
	}
	var runs []openRun
	err := c.beside.Do(ctx, openRunsSQL, func(sql string) error {
		rows, err := c.pool.Query(ctx, sql, pgx.NamedArgs{
			"believed": c.clock.Believed(now, time.Now()),
			"youngest": youngest, "oldest": oldest, "fired_at": after.FiredAt, "id": after.ID, "limit": pageSize,
			"asks": c.backend != nil, "timeout": c.cfg.Timeout,
		})
		if err == nil {
			runs, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r openRun, err error) {
				err = row.Scan(&r.ID, &r.FiredAt, &r.HeardAt, &r.Status, &r.ExpiresAt, &r.TimeLimit, &r.Stream,
					&r.NoResult, &r.Now)
				return r, err
			})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read open runs: %w", err)
	}
	return runs, nil
}

// isNews matches a run that an answer h changes. Of the final states only a conclusion gives way to an answer; an
// unknown worker is filled in.
const isNews = `case
        when ` + isOpen + ` then h.final or h.status <> r.status or (r.worker is null and h.worker is not null)
        when ` + isGuess + ` then h.final and h.reason is null
        else h.final and h.status = r.status and r.worker is null and h.worker is not null
    end`

// recordSQL updates runs by answers, of which a statement holds at most one for each run. The arrays stand behind
// selects, where the planner cannot count them: it then looks runs up by their ids, however many there are and whatever
// it knows of them. It waits for no lock: it leaves a run that somebody else has locked, and returns the run's id.
const recordSQL = recordRunsSQL + `
select status, ended, null::uuid, case when status = 'retrying' then id end, runtime, lag from recorded
union all select '', false, id, null, null, null from held`

// recordTracedSQL is recordSQL for a collector that tells traces which runs have ended: it returns all of them, and
// when those were fired that somebody made by hand.
const recordTracedSQL = recordRunsSQL + `
select status, ended, null::uuid, id, runtime, lag, by_hand from recorded
union all select '', false, id, null, null, null, null from held`

const recordRunsSQL = `
with heard as (
    select * from unnest((select @runs::uuid[]), (select @statuses::text[]), (select @finals::boolean[]),
        (select @results::text[]), (select @errors::text[]), (select @tracebacks::text[]),
        (select @workers::text[]), (select @reasons::text[]),
        (select @started::timestamptz[]), (select @finished::timestamptz[]))
        as h(id, status, final, result, error, traceback, worker, reason, started_at, finished_at)
),
news as materialized (
    select h.*, r.due_at, r.changes from heard h, lateral (
        select r.due_at, (` + isOpen + ` or ` + isGuess + `) as changes from tactus.runs r
        where r.id = h.id and ` + isNews + ` limit 1 for no key update skip locked) r
),
held as materialized (
    select r.id from heard h, lateral (select r.id from tactus.runs r where r.id = h.id and ` + isNews + ` limit 1) r
    where r.id not in (select id from news)
),
recorded as (
    update tactus.runs r set
        status = h.status,
        result = case when h.changes then h.result::json else r.result end,
        error = case when not h.changes or (h.error is null and not h.final) then r.error else h.error end,
        traceback = case when not h.changes or (h.traceback is null and not h.final) then r.traceback else h.traceback end,
        reason = case when not h.changes then r.reason when h.reason is not null then h.reason
            when r.status not in ('unknown', 'expired') and (r.status <> 'revoked' or h.status = 'revoked') then r.reason end,
        worker = coalesce(h.worker, r.worker),
        sent_at = case when h.started_at < r.sent_at then greatest(h.started_at, r.fired_at) else r.sent_at end,
        started_at = coalesce(r.started_at, h.started_at, case when h.status = 'started' then clock_timestamp() end),
        finished_at = case when not h.changes then r.finished_at when h.final then coalesce(h.finished_at, clock_timestamp()) end,
        heard_at = case when h.reason is null then clock_timestamp() else r.heard_at end
    from news h
    where r.id = h.id and r.due_at = h.due_at
    returning r.id, r.status, h.changes and h.final as ended, case when h.changes and h.final then r end as happened,
        case when r.kind = 'manual' then r.fired_at end as by_hand,
        case when h.reason is null then r.finished_at - r.started_at end as runtime,
        clock_timestamp() - h.finished_at as lag
),` + sqlexpr.Tell + `recorded` + sqlexpr.Told

// write records answers, and returns the runs that were locked. It finds answers that PostgreSQL refuses by halving the
// list, and records only the status of those.
func (c *Collector) write(ctx context.Context, answers []answer) (locked []domain.ID, err error) {
	for len(answers) > 0 {
		some := answers[:fits(answers)]
		held, err := c.writeSome(ctx, some)
		if locked = append(locked, held...); err != nil {
			return locked, err
		}
		answers = answers[len(some):]
	}
	return locked, nil
}

// mostWritten is how many bytes of answers one statement records, unless it is one answer.
const mostWritten = 2 << 20

// fits returns how many of the answers are recorded together.
func fits(answers []answer) int {
	bytes := 0
	for i, a := range answers {
		if bytes += len(a.result) + len(a.err) + len(a.traceback); bytes > mostWritten && i > 0 {
			return i
		}
	}
	return len(answers)
}

func (c *Collector) writeSome(ctx context.Context, answers []answer) (locked []domain.ID, err error) {
	err = postgres.Retry(ctx, func() error {
		locked, err = c.update(ctx, answers)
		return err
	})
	if err == nil || !postgres.RefusedData(err) {
		return locked, err
	}
	if len(answers) > 1 {
		half := len(answers) / 2
		first, err := c.writeSome(ctx, answers[:half])
		second, other := c.writeSome(ctx, answers[half:])
		return append(first, second...), errors.Join(err, other)
	}
	a := answers[0]
	c.log.Error("cannot keep what a run answered", "run_id", a.run, "err", err)
	return c.update(ctx, []answer{{run: a.run, status: a.status, final: a.final, err: "its answer cannot be kept"}})
}

func (c *Collector) update(ctx context.Context, answers []answer) (locked []domain.ID, err error) {
	var status domain.RunStatus
	var ended bool
	var held, again *domain.ID
	var retried []domain.ID
	var byHand *time.Time
	var ends []Ended
	began := time.Now()
	var runtime, lag *time.Duration
	took := func() error {
		if held != nil {
			locked = append(locked, *held)
		}
		if again != nil && status == domain.Retrying {
			retried = append(retried, *again)
		}
		if ended {
			c.metrics.ended(status, runtime, lag)
			signal(c.ended)
			if again != nil {
				ends = append(ends, end(*again, status, runtime, lag, byHand, began))
			}
		}
		return nil
	}
	record, row := recordSQL, []any{&status, &ended, &held, &again, &runtime, &lag}
	if c.cfg.Traces != nil {
		record, row = recordTracedSQL, append(row, &byHand)
	}
	err = c.beside.Do(ctx, record, func(sql string) error {
		rows, err := c.pool.Query(ctx, sql, pgx.QueryExecModeCacheDescribe, columns(answers))
		if err == nil {
			_, err = pgx.ForEachRow(rows, row, took)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("record results: %w", err)
	}
	c.countRetries(ctx, retried)
	if len(ends) > 0 {
		c.tell(ctx, ends)
	}
	return locked, nil
}

// columns converts answers to arrays, with null for what is not known.
func columns(answers []answer) pgx.NamedArgs {
	n := len(answers)
	runs, statuses, finals := make([]domain.ID, n), make([]string, n), make([]bool, n)
	results, errs, tracebacks, workers, reasons := make([]*string, n), make([]*string, n), make([]*string, n),
		make([]*string, n), make([]*string, n)
	started, finished := make([]*time.Time, n), make([]*time.Time, n)
	for i, a := range answers {
		runs[i], statuses[i], finals[i] = a.run, string(a.status), a.final
		results[i], errs[i], tracebacks[i] = postgres.OrNull(string(a.result)), postgres.OrNull(a.err), postgres.OrNull(a.traceback)
		workers[i], reasons[i] = postgres.OrNull(a.worker), postgres.OrNull(a.reason)
		started[i], finished[i] = postgres.OrNull(a.started), postgres.OrNull(a.finished)
	}
	return pgx.NamedArgs{
		"runs": runs, "statuses": statuses, "finals": finals, "results": results, "errors": errs,
		"tracebacks": tracebacks,
		"workers":    workers, "reasons": reasons, "started": started, "finished": finished,
	}
}
