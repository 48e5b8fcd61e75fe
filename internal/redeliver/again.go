package redeliver

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// appendAgain makes lost runs due again. It checks each run once more, under the run's lock: between Find and here a
// run may have started. It skips a locked row, because whoever writes to the run just now has heard of it.
const appendAgain = `
with lost as (
    update tactus.runs r set status = 'due', sent_at = null, redelivered = r.redelivered + 1
    from (
        select id, due_at from tactus.runs where id = any ($1::text[]::uuid[])
            and status in ('due', 'sent') and started_at is null and finished_at is null and not waiting
            and (expires_at is null or expires_at > clock_timestamp())
        order by id for no key update skip locked
    ) l
    where r.id = l.id and r.due_at = l.due_at
    returning r.id, r.redelivered
),
since as (
    select coalesce(min(first_position), 0) as position from tactus.relay_batches
    where sink = $2 and committed_at >= clock_timestamp() - $3::interval - interval '1 hour'
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers)
    select 'run', lost.id, lost.redelivered + 1, 'run.due', e.data, e.headers
    from lost join tactus.outbox e on e.topic = 'run' and e.aggregate_id = lost.id and e.version = 1
        and e.position >= (select position from since)
    order by e.position
    returning position
),
bell as (select ` + sqlexpr.RingRuns + ` as rung from (select from event limit 1) e where $4::boolean)
select (select count(*) from event), (select count(*) from bell)`

// Again appends an event for each lost run, so that the relay hands it over again, and returns how many. Runs that have
// started in the meantime are left out.
func Again(ctx context.Context, pool *pgxpool.Pool, config Config, lost []Lost) (again int64, err error) {
	ids := make([]string, len(lost))
	for i, run := range lost {
		ids[i] = run.Run.String()
	}
	var rung int64
	err = postgres.Ringing(func(ring bool) error {
		return pool.QueryRow(ctx, appendAgain, ids, config.Sink, config.NewerThan, ring).Scan(&again, &rung)
	})
	if err != nil {
		return 0, fmt.Errorf("hand over again: %w", err)
	}
	return again, nil
}
