package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Plan is a trigger with a policy, and how many enabled schedules have both. Most schedules share theirs with others,
// so that the agenda of all of them costs no more than that of what differs.
type Plan struct {
	Trigger, Policy string
	Anchor          *time.Time
	Schedules       int64
}

// MaxPlans is how many plans are read. The rest is counted.
const MaxPlans = 20_000

var plansOfAll = `
select trigger, policy, ` + sqlexpr.InYears("anchor") + `, schedules from (
    select trigger, policy, anchor, count(*) as schedules from tactus.schedules s
    where enabled and deleted_at is null and invalid_reason is null and ` + sqlexpr.InScope + ` group by 1, 2, 3
) plans order by schedules desc limit @most::bigint`

const countEnabled = `select count(*) from tactus.schedules s where enabled and deleted_at is null and invalid_reason is null and ` + sqlexpr.InScope

// Plans returns the plans of all enabled schedules, the most common first, and how many schedules there are. It reads
// every schedule: ask for it seldom.
func (c *Catalog) Plans(ctx context.Context) (plans []Plan, schedules int64, err error) {
	err = pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: `begin isolation level repeatable read read only; set local jit = off`}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, plansOfAll, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{"most": MaxPlans}))
		if err != nil {
			return fmt.Errorf("read plans: %w", err)
		}
		if plans, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Plan]); err != nil {
			return fmt.Errorf("read plans: %w", err)
		}
		if err := tx.QueryRow(ctx, countEnabled, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{})).Scan(&schedules); err != nil {
			return fmt.Errorf("count schedules: %w", err)
		}
		return nil
	})
	return plans, schedules, err
}

// Recurrence compiles the plan, with the policy that limits it.
func (p Plan) Recurrence() (domain.Recurrence, domain.Policy, error) {
	trigger, err := domain.ParseTrigger(p.Trigger)
	if err != nil {
		return nil, domain.Policy{}, err
	}
	policy, err := domain.ParsePolicy(p.Policy)
	if err != nil {
		return nil, domain.Policy{}, err
	}
	var anchor time.Time
	if p.Anchor != nil {
		anchor = *p.Anchor
	}
	recurrence, err := trigger.Recurrence(anchor)
	return recurrence, policy, err
}
