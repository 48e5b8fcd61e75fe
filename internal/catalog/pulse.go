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

// Counts has the number of schedules by state, each counted up to MaxCount.
type Counts struct{ Enabled, Disabled, Invalid int64 }

var countStates = `
select (select count(*) from (select from tactus.schedules s where deleted_at is null and enabled and ` + sqlexpr.InScope + ` limit @most::bigint) e),
    (select count(*) from (select from tactus.schedules s where deleted_at is null and not enabled and ` + sqlexpr.InScope + ` limit @most::bigint) d),
    (select count(*) from (select from tactus.schedules s where deleted_at is null and (s.invalid_reason is not null or ` + beyondYears + `) and ` + sqlexpr.InScope + ` limit @most::bigint) i)`

// Counts counts the schedules that are not deleted.
func (c *Catalog) Counts(ctx context.Context) (n Counts, err error) {
	if err := c.pool.QueryRow(ctx, countStates, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{"most": MaxCount})).Scan(&n.Enabled, &n.Disabled, &n.Invalid); err != nil {
		return n, fmt.Errorf("count schedules: %w", err)
	}
	return n, nil
}
