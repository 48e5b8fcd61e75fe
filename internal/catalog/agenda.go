package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Plan is the rule from which the due times of some enabled schedules follow, and the number of these schedules. Most
// schedules share their rule with others, so the agenda of all schedules costs only as much as that of the different
// rules.
type Plan struct {
	Schedules int64
	due       timetable
}

// Next returns the first due time after an instant.
func (p Plan) Next(after time.Time) (time.Time, bool) { return p.due.next(after) }

// SpreadFrom returns within how long after a due time the schedules fire, each at its part of it.
func (p Plan) SpreadFrom(due time.Time) time.Duration {
	return p.due.policy.SpreadFrom(p.due.seen(), due)
}

// MostSpread returns within how long after a due time the schedules fire at most.
func (p Plan) MostSpread() time.Duration { return time.Duration(p.due.policy.Spread) * time.Second }

// MaxPlans is how many plans are read. Schedules with other plans are only counted.
const MaxPlans = 20_000

// dueSchedules are the schedules that may have a due time to come.
var dueSchedules = `
from tactus.schedules s left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.enabled and s.deleted_at is null and s.invalid_reason is null and ` + hasRunsLeft + `
    and (cardinality(@tags::text[]) = 0 or s.tags @> @tags::text[]) and ` + sqlexpr.InScope

// A skip that is over parts no plans. Due times count from the present on, so that effective_from need not be read.
var plansOfAll = `
select trigger, policy, ` + sqlexpr.InYears("anchor") + `, coalesce(` + sqlexpr.InYears("skip_until") + `, '1970-01-01Z'), schedules from (
    select s.trigger, s.policy, s.anchor, case when s.skip_until > now() then s.skip_until end as skip_until, count(*) as schedules` + dueSchedules + `
    group by 1, 2, 3, 4
) plans order by schedules desc limit @most::bigint`

var countDue = `select count(*)` + dueSchedules

// Plans returns the plans of all enabled schedules that have the tags, the most common plan first, and the number of
// these schedules. It reads every schedule, so call it rarely.
func (c *Catalog) Plans(ctx context.Context, tags []string) (plans []Plan, schedules int64, err error) {
	if err := CheckTags(tags...); err != nil {
		return nil, 0, err
	}
	err = pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: `begin isolation level repeatable read read only; set local jit = off`}, func(tx pgx.Tx) error {
		if plans, err = readPlans(ctx, tx, tags); err != nil {
			return fmt.Errorf("read plans: %w", err)
		}
		args := scoped(ctx, pgx.NamedArgs{"tags": append([]string{}, tags...)})
		if err := tx.QueryRow(ctx, countDue, pgx.QueryExecModeExec, args).Scan(&schedules); err != nil {
			return fmt.Errorf("count schedules: %w", err)
		}
		return nil
	})
	return plans, schedules, err
}

type planRow struct {
	Trigger, Policy string
	Anchor          *time.Time
	SkipUntil       time.Time
	Schedules       int64
}

// readPlans returns a plan without due times for schedules that cannot be read. A beat reports these.
func readPlans(ctx context.Context, tx pgx.Tx, tags []string) (plans []Plan, err error) {
	rows, err := tx.Query(ctx, plansOfAll, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{
		"most": MaxPlans, "tags": append([]string{}, tags...),
	}))
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[planRow])
	if err != nil {
		return nil, err
	}
	known := newCompiled(tx)
	for _, r := range found {
		a, ok, err := known.of(ctx, aheadRow{Trigger: r.Trigger, Policy: r.Policy, Anchor: r.Anchor, Effective: r.SkipUntil})
		if err != nil {
			return nil, err
		}
		if !ok {
			a = timetable{}
		}
		plans = append(plans, Plan{r.Schedules, a})
	}
	return plans, nil
}
