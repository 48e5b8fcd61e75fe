package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// handOver makes a run due again that was never handed over. Its new event has the schedule's present definition, or
// the task of its own that a manual run has.
//
//   - letter: the dead letter, locked until the commit, so that nobody else puts it back or drops it.
//   - state: the facts on which run decides, for the answer.
//   - run: the run, if it failed for this letter's reason, by the event that the letter names, and no worker is known
//     to have received it; if it has not expired; and, where runs must not overlap, if no other run is unfinished.
const handOver = `
with letter as materialized (
    select id, split_part(reference, '/', 1)::uuid as run, split_part(reference, '/', 2)::bigint as version, 'it could not be handed over: ' || reason as error
    from tactus.deadletters where id = @id and source = @source and dropped_at is null and ` + lockWait + `
    for update skip locked
),
state as materialized (
    select r.id, r.due_at, r.kind, r.schedule_id, s.name, s.version, coalesce(r.task, s.task) as task, r.status,
        r.expires_at <= clock_timestamp() as expired, s.deleted_at is not null or s.id is null as deleted,
        r.redelivered + 1 = letter.version as counts, r.exclusive and ` + sqlexpr.Unfinished + ` as kept_back,
        r.status = 'failed' and r.error = letter.error and r.started_at is null and r.worker is null
            and r.heard_at is null as untouched
    from letter join tactus.runs r on r.id = letter.run left join tactus.schedules s on s.id = r.schedule_id
),
run as (
    update tactus.runs r set status = 'due', error = null, finished_at = null, sent_at = null,
        redelivered = r.redelivered + 1, schedule_version = s.version
    from state s, letter
    where r.id = s.id and r.due_at = s.due_at and not s.deleted
        and r.status = 'failed' and r.error = letter.error and r.started_at is null and r.worker is null
            and r.heard_at is null
        and r.redelivered + 1 = letter.version and (r.expires_at is null or r.expires_at > clock_timestamp())
            and not s.kept_back
    returning r.id, r.redelivered + 1 as version, tactus.run_due(s.schedule_id, s.name, ` + sqlexpr.RoutedTask + `, r.id, r.due_at, r.kind) as data
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data) select 'run', id, version, 'run.due', data
        from run
    returning octet_length(data::text)::bigint as bytes
),
gone as (
    delete from tactus.deadletters where id = @id and exists (select from event)
),
bell as (select ` + sqlexpr.RingRuns + ` as rung from event where @ring::boolean)
select exists (select from letter), ` + listedSQL + `, coalesce((select bytes from event), 0),
    coalesce(status, ''), coalesce(expired, false), coalesce(deleted, false),
    coalesce(counts, false), coalesce(kept_back, false), coalesce(untouched, false), (select count(*) from bell)
from (select) one left join state on true`

// retryRun makes a run due again that was set aside.
func (b *Box) retryRun(ctx context.Context, l Letter) (Outcome, error) {
	var there, listed, expired, deleted, counts, keptBack, untouched bool
	var status string
	var bytes, rung int64
	err := postgres.Ringing(func(ring bool) error {
		return b.Pool.QueryRow(ctx, handOver, pgx.NamedArgs{
			"id": l.row(), "source": l.Source, "lease": b.Lease, "believed": time.Now(), "ring": ring,
		}).Scan(&there, &listed, &bytes, &status, &expired, &deleted, &counts, &keptBack, &untouched, &rung)
	})
	switch {
	case postgres.RefusedData(err):
		return kept(l, err.Error()), nil
	case postgres.LockTimedOut(err) || err == nil && !there && listed:
		return skipped(l), nil
	case err != nil:
		return Outcome{}, err
	case !there:
		return kept(l, ErrNone.Error()), nil
	case bytes > 0:
		b.room.Takes(bytes)
		return again(l, "the relay hands it over, under the same task id"), nil
	case status == "":
		return kept(l, "its run is no longer kept"), nil
	case !untouched || !counts:
		return kept(l, fmt.Sprintf("its run is %s, and may have been handed over since", status)), nil
	case deleted:
		return kept(l, "its schedule is deleted"), nil
	case expired:
		return kept(l, "its run has expired"), nil
	case keptBack:
		return kept(l, "another run of its schedule is unfinished, and they must not overlap"), nil
	}
	return kept(l, "somebody else is changing it: try again"), nil
}
