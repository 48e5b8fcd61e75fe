package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// pulseOpen is how many of the newest unfinished runs a pulse reads.
const pulseOpen = 500

// pulseSQL reads few rows that differ after any change: every change of a schedule and every run that fires draws a
// position from the sequence, and a change of a run's state changes the newest unfinished runs, which have an index.
const pulseSQL = `
select coalesce(max(position), 0)::text || ' ' || coalesce((
    select md5(string_agg(status || id::text, ' ')) from (
        select id, status from tactus.runs where finished_at is null and reason is null
            order by (reason is null) desc, fired_at desc limit $1::bigint
    ) open
), '') from (
    (select position from tactus.outbox where topic = 'schedule' order by position desc limit 1)
    union all
    (select position from tactus.outbox where topic = 'run' order by position desc limit 1)
) newest`

// Pulse returns a text that differs after a schedule or a run has changed. It reads a bounded number of rows.
func (c *Catalog) Pulse(ctx context.Context) (pulse string, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, pulseSQL, pgx.QueryExecModeExec, pulseOpen).Scan(&pulse)
	})
	if err != nil {
		return "", fmt.Errorf("read pulse: %w", err)
	}
	return pulse, nil
}

// Counts has the number of schedules by their states (domain.Schedule.State), each counted up to MaxCount, and the
// invalid ones up to MaxMatchCount, because it reads their rows.
type Counts struct{ Active, Paused, Completed, Invalid int64 }

// countStates counts by indexes alone, and takes the invalid ones out of the rest. What is completed is not enabled.
var countStates = `
with invalid as materialized (
    select s.enabled, s.completed_at is not null as completed from tactus.schedules s
    where deleted_at is null and (` + isInvalid + `) and ` + sqlexpr.InScope + ` limit @most_invalid::bigint
)
select (` + countWhere("enabled") + `) - (select count(*) from invalid where enabled),
    (` + countWhere("not enabled") + `) - (` + countWhere("completed_at is not null") + `)
        - (select count(*) from invalid where not enabled and not completed),
    (` + countWhere("completed_at is not null") + `) - (select count(*) from invalid where completed),
    (select count(*) from invalid)`

func countWhere(condition string) string {
	return `select count(*) from (select from tactus.schedules s
        where deleted_at is null and ` + condition + ` and ` + sqlexpr.InScope + ` limit @most::bigint) counted`
}

// Counts counts the schedules that are not deleted.
func (c *Catalog) Counts(ctx context.Context) (n Counts, err error) {
	args := scoped(ctx, pgx.NamedArgs{"most": MaxCount, "most_invalid": MaxMatchCount})
	row := c.pool.QueryRow(ctx, countStates, pgx.QueryExecModeExec, args)
	if err := row.Scan(&n.Active, &n.Paused, &n.Completed, &n.Invalid); err != nil {
		return n, fmt.Errorf("count schedules: %w", err)
	}
	for _, of := range []*int64{&n.Active, &n.Paused, &n.Completed} {
		*of = max(*of, 0) // the other counts have limits
	}
	return n, nil
}
