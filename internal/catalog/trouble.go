package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Trouble is what went wrong with a schedule: how often, and the newest time.
type Trouble struct {
	Schedule domain.ID
	Name     string // empty when the schedule is deleted
	Kind     TroubleKind
	Times    int64
	Last     time.Time
	Run      domain.ID     // the newest
	Detail   string        // the beginning of its error or reason
	Late     time.Duration // the worst, of late ones
}

// TroubleKind is what may go wrong: the status of a run, or TroubleLate.
type TroubleKind string

// TroubleLate is the kind of runs that fired more than ten seconds late.
const TroubleLate TroubleKind = "late"

// maxTrouble is how many of the newest rows of each kind are read.
const maxTrouble = 1_000

// Runs that failed, were missed or skipped have an error or a reason, and are found by an index; late runs are found by
// another index.
var troubleSQL = `
with told as materialized (
    select status as kind, schedule_id, id, due_at as at, coalesce(right(error, 200), left(reason, 200), '') as detail, interval '0' as late
    from tactus.runs where (error is not null or reason is not null) and due_at > @since::timestamptz and not waiting
    order by due_at desc, id desc limit @most::bigint
),
late as materialized (
    select 'late' as kind, schedule_id, id, due_at as at, '' as detail, fired_at - due_at as late from tactus.runs
    where case when isfinite(fired_at) and isfinite(due_at) then fired_at - due_at > interval '10 seconds' end
        and kind = 'scheduled' and reason is null and due_at > @since::timestamptz
    order by due_at desc limit @most::bigint
),
newest as (
    select kind, schedule_id, count(*) as times, max(at) as at, max(late) as late,
        (array_agg(id order by at desc))[1] as id, (array_agg(detail order by at desc))[1] as detail
    from (select * from told where kind in ('failed', 'revoked', 'expired', 'missed', 'skipped', 'unknown') union all select * from late) both_of_them
    group by kind, schedule_id
)
select n.schedule_id, coalesce(s.name, ''), n.kind, n.times, ` + sqlexpr.InYears("n.at") + `, n.id, n.detail, n.late
from newest n left join tactus.schedules s on s.id = n.schedule_id and s.deleted_at is null
where ` + sqlexpr.InScope + `
order by array_position('{failed,revoked,unknown,missed,expired,late,skipped}'::text[], n.kind), n.at desc limit 200`

// Trouble returns what went wrong since an instant, by schedule: of each kind at most the newest thousand.
func (c *Catalog) Trouble(ctx context.Context, since time.Time) (all []Trouble, err error) {
	err = pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: `begin isolation level repeatable read read only; set local jit = off`}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, troubleSQL, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{"since": since, "most": maxTrouble}))
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Trouble])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read trouble: %w", err)
	}
	return all, nil
}
