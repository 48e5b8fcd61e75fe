package redeliver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/cursor"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// appendAgain makes lost runs due again. It checks each run once more, under the run's lock, because the run may have
// started since Find. It skips a locked row: another transaction is writing to the run, so somebody has heard of the
// run.
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
    returning octet_length(data::text)::bigint as bytes
),
bell as (select ` + sqlexpr.RingRuns + ` as rung from (select from event limit 1) e where $4::boolean)
select count(*), coalesce(sum(bytes), 0)::bigint, coalesce(max(bytes), 0)::bigint, (select count(*) from bell)
from event`

// patience is how long Again waits for room. It is shorter than the time that the reader's transaction may last.
const patience = 4 * time.Minute

// Again appends an event for each lost run, so that the relay hands it over again, and returns how many. Runs that have
// started in the meantime are left out. The events hold copies of the tasks, so they are appended a few at a time, and
// only when there is room for them.
func Again(
	ctx context.Context, pool *pgxpool.Pool, config Config, waits *room.Room, lost []Lost,
) (again int64, err error) {
	var size cursor.Size
	for len(lost) > 0 {
		if any, err := waits.Wait(ctx, pool, patience); !any || err != nil {
			return again, cmp.Or(err, errNoRoom)
		}
		some := lost[:min(size.Rows(), len(lost))]
		n, largest, err := appendSome(ctx, pool, config, waits, some)
		if again += n; err != nil {
			return again, err
		}
		size.Had(largest)
		lost = lost[len(some):]
	}
	return again, nil
}

var errNoRoom = errors.New("hand over again: too much waits to be handed over: look at the relay and the broker")

func appendSome(
	ctx context.Context, pool *pgxpool.Pool, config Config, waits *room.Room, lost []Lost,
) (again int64, largest int, err error) {
	ids := make([]string, len(lost))
	for i, run := range lost {
		ids[i] = run.Run.String()
	}
	var bytes, rung int64
	err = postgres.Ringing(func(ring bool) error {
		return pool.QueryRow(ctx, appendAgain, ids, config.Sink, config.NewerThan, ring).
			Scan(&again, &bytes, &largest, &rung)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("hand over again: %w", err)
	}
	waits.Takes(bytes)
	return again, largest, nil
}
