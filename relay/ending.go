package relay

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// anyAsideSQL reports whether runs were set aside. It avoids running endAsideSQL for most sinks, which have no such
// runs: endAsideSQL looks at every partition of the runs, any of which may be locked.
const anyAsideSQL = `
select exists (select from ` + sqlexpr.Letters + ` where source = @source and ` + standsForRunSQL + `)`

// standsForRunSQL is true for dead letters of runs.
const standsForRunSQL = `reference ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[0-9]{1,18}$'`

// endAsideSQL ends runs whose rows were locked when they were set aside, and counts those that are still locked. A run
// that was put back since has a later event, and is left alone.
const endAsideSQL = `
with aside as materialized (
    select split_part(reference, '/', 1)::uuid as id, split_part(reference, '/', 2)::bigint as version, reason
        from ` + sqlexpr.Letters + `
    where source = @source and ` + standsForRunSQL + `
),
open as materialized (
    select r.id, r.due_at, aside.reason from tactus.runs r join aside on aside.id = r.id
        and r.redelivered + 1 = aside.version
    where r.status in ('due', 'sent') and r.finished_at is null
),
free as materialized (
    select id, due_at from tactus.runs where id in (select id from open) and status in ('due', 'sent')
        and finished_at is null
    order by id for no key update skip locked
),
ended as (
    update tactus.runs r set status = 'failed', error = 'it could not be handed over: ' || open.reason, finished_at = clock_timestamp()
    from open join free on free.id = open.id where r.id = free.id and r.due_at = free.due_at
    returning r as happened
),` + sqlexpr.Tell + `ended` + sqlexpr.Told + `
select (select count(*) from open) - (select count(*) from free)`

// ending says whether there may be runs that were set aside and have not been ended. At the start of a relay there may
// be some, left by another relay.
type ending struct {
	mu    sync.Mutex
	over  bool
	pause time.Duration
	again time.Time
}

func (e *ending) ask() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.over = false
}

const longestEnding = 16 * time.Second

// endLater ends the runs that were locked when they were set aside. While some are still locked, it tries again after
// growing pauses, and logs this once.
func (l *lane) endLater(ctx context.Context) error {
	e := &l.ending
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.over || l.Topic != outbox.Runs || time.Now().Before(e.again) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	some, locked := false, 0
	ask := func(sql string, into any) error {
		return l.beside.Do(ctx, sql, func(sql string) error {
			return l.db.QueryRow(ctx, sql, pgx.NamedArgs{"source": l.Name}).Scan(into)
		})
	}
	sql := anyAsideSQL
	err := ask(sql, &some)
	if err == nil && some {
		sql = endAsideSQL
		err = ask(sql, &locked)
	}
	if postgres.LockTimedOut(err) || l.beside.Blocks(sql, err) { // a whole table is locked
		e.pause = min(max(2*e.pause, lookEvery), longestEnding)
		e.again = time.Now().Add(e.pause)
		return nil
	}
	if err != nil {
		return fmt.Errorf("end runs that were set aside: %w", err)
	}
	if locked == 0 {
		e.over, e.pause, e.again = true, 0, time.Time{}
		return nil
	}
	if e.pause == 0 {
		l.log.Warn("runs that were set aside are locked by somebody: they are ended later", "sink", l.Name, "runs",
			locked)
	}
	e.pause = min(max(2*e.pause, lookEvery), longestEnding)
	e.again = time.Now().Add(e.pause)
	return nil
}
