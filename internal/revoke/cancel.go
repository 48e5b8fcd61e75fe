package revoke

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// MaxCancelled is how many runs may be cancelled at once.
const MaxCancelled = 1_000

// Cancelled is what came of cancelling a run.
type Cancelled struct {
	ID      domain.ID        `json:"id"`
	Status  domain.RunStatus `json:"status,omitempty" doc:"Now; a dry run does not tell."`
	Outcome Outcome          `json:"outcome" enum:"would,settled,told,finished,locked,stream,not_found" doc:"would: a dry run has done nothing. settled: it was not handed over, and is not going to be. told: its workers are told to revoke it. finished: it had ended. locked: somebody else writes to it just now. stream: it was handed over to a stream, whose reader nobody can tell. not_found: there is no such run."`
}

// Outcome says what came of cancelling a run.
type Outcome string

// The outcomes.
const (
	Would    Outcome = "would"
	Settled  Outcome = "settled"
	Told     Outcome = "told"
	Finished Outcome = "finished"
	Locked   Outcome = "locked"
	Stream   Outcome = "stream"
	NotFound Outcome = "not_found"
)

// cancelRuns settles what was not handed over, and has the relay tell the workers of everything that is open: a run may
// be on its way. It waits for no row. Nobody can be told of what a stream has.
const cancelRuns = `
with given as materialized (
    select g.id, g.nth, r.due_at, r.status, r.finished_at is null and not r.streamed as open
    from (select id, min(nth) as nth from unnest((select @ids::uuid[])) with ordinality g (id, nth) group by id) g
    left join lateral (select due_at, status, finished_at, ` + sqlexpr.StreamHas + ` as streamed from tactus.runs r where id = g.id
        and (@all_scopes::boolean or exists (select from tactus.schedules s where s.id = r.schedule_id and ` + sqlexpr.InScope + `)) limit 1) r on true
),
free as materialized (
    select r.id, r.due_at, r.status from given g, lateral (
        select id, due_at, status from tactus.runs where id = g.id and due_at = g.due_at and finished_at is null
            and status in ('due', 'sent', 'started', 'retrying') for no key update skip locked) r
    where g.open
),
settled as (
    update tactus.runs r set status = 'revoked', waiting = false, finished_at = clock_timestamp(),
        reason = '` + domain.ReasonCancelled + `'
    from free where r.id = free.id and r.due_at = free.due_at and free.status = 'due'
    returning r.id, r as happened
),` + sqlexpr.Tell + `settled` + sqlexpr.Told + `,
asked as (
    insert into tactus.cancellations as c (run_id, terminate) select id, @terminate::boolean from free
    on conflict (run_id) do update set terminate = c.terminate or excluded.terminate, asked_at = excluded.asked_at, told_at = null
    returning run_id
)
select g.id, case when s.id is not null then 'revoked' else coalesce(f.status, g.status, '') end, case
    when g.due_at is null then 'not_found'
    when s.id is not null then 'settled'
    when f.id is not null then 'told'
    when g.open then 'locked'
    when g.status = 'sent' then 'stream'
    else 'finished' end
from given g left join free f on f.id = g.id left join settled s on s.id = g.id, (select count(*) from asked) a
order by g.nth`

// Order says which runs are not to be run any more.
type Order struct {
	IDs       []domain.ID
	Terminate bool // their workers are to kill them
	// Of whoever asks; the runs of all schedules where both are empty.
	ScopeTags, ScopeNames []string
	DryRun                bool // only tell what would become of them
}

// Cancel has runs not run any more, as far as that is possible. Whoever runs one goes on, unless its worker is to kill
// it. It answers for each run once; one whose schedule is outside the scope of the request is not found. A dry run does
// all of it and rolls it back, so it answers what Cancel would.
func Cancel(ctx context.Context, pool *pgxpool.Pool, o Order) (done []Cancelled, err error) {
	err = postgres.Rehearse(ctx, pool, o.DryRun, func(q postgres.Querier) error {
		done, err = postgres.Collect(ctx, q, pgx.RowToStructByPos[Cancelled], cancelRuns,
			pgx.QueryExecModeCacheDescribe, pgx.NamedArgs{
				"ids": o.IDs, "terminate": o.Terminate, "all_scopes": len(o.ScopeTags)+len(o.ScopeNames) == 0,
				"scope_tags": o.ScopeTags, "scope_names": o.ScopeNames,
			})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cancel runs: %w", err)
	}
	for i, one := range done {
		if o.DryRun && (one.Outcome == Settled || one.Outcome == Told) {
			done[i].Status, done[i].Outcome = "", Would
		}
	}
	return done, nil
}
