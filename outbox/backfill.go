package outbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// DefaultRunRetention is how long runs are kept after their due times, unless an operator says otherwise.
const DefaultRunRetention = 90 * 24 * time.Hour

// backfillMargin is how long the runs of a backfill are kept at the least.
const backfillMargin = 24 * time.Hour

// maxBackfills is how many backfills of one schedule may be open.
const maxBackfills = 100

// Backfill asks the leading beat for runs of a schedule for due times of the past. It returns the id of the backfill
// and the due times that it covers. With DryRun it only returns the due times, or the error with which it would be
// refused. keep is how long runs are kept after their due times (0: DefaultRunRetention). A repeated call with the same
// key (an Idempotency-Key) asks for nothing more, and returns the id of the first one.
func (s *Store) Backfill(ctx context.Context, id domain.ID, ask domain.BackfillRequest, keep time.Duration, key string) (
	domain.ID, domain.BackfillPlan, error,
) {
	if err := s.mayRun(ctx, id); err != nil {
		return domain.ID{}, domain.BackfillPlan{}, err
	}
	if err := s.judgeFirst(ctx, id); err != nil {
		return domain.ID{}, domain.BackfillPlan{}, err
	}
	request, err := json.Marshal(ask)
	if err != nil {
		return domain.ID{}, domain.BackfillPlan{}, fmt.Errorf("begin a backfill: %w", err)
	}
	once := onceOnly{key: keyOf(ctx, key), hash: sha256.Sum256(append([]byte("backfill "+id.String()), request...))}
	if ask.DryRun {
		ctx = s.Rehearsal(ctx)
	}
	for {
		if before, found, err := s.askedBefore(ctx, once); err != nil || found {
			return before, domain.BackfillPlan{}, err
		}
		plan, version, err := s.planBackfill(ctx, id, ask, keep)
		if err != nil || ask.DryRun && plan.Nothing() != nil { // of nothing it tells what is left out, and why
			return domain.ID{}, plan, err
		}
		made, ok, err := s.beginBackfill(ctx, id, version, plan, once)
		switch {
		case ok && ask.DryRun:
			return domain.ID{}, plan, nil
		case errors.Is(err, errKeyUsed):
			continue
		case err != nil || ok:
			return made, plan, err
		}
		if err := s.roomForBackfill(ctx, id); err != nil {
			return domain.ID{}, plan, err
		}
	}
}

// onceOnly is the idempotency key of a request, if it has one, and the hash by which a repeated request is recognized.
type onceOnly struct {
	key  string
	hash [sha256.Size]byte
}

func (s *Store) askedBefore(ctx context.Context, once onceOnly) (made domain.ID, found bool, err error) {
	if once.key == "" {
		return made, false, nil
	}
	return s.madeBefore(ctx, once.key, once.hash[:])
}

// planBackfill finds the due times of a backfill, and returns the version of the schedule that they are based on.
func (s *Store) planBackfill(ctx context.Context, id domain.ID, ask domain.BackfillRequest, keep time.Duration) (
	plan domain.BackfillPlan, version int64, err error,
) {
	schedule, err := s.Get(ctx, id)
	if err != nil {
		return plan, 0, err
	}
	if schedule.InvalidReason != "" {
		return plan, 0, s.whyNoRun(ctx, id)
	}
	if schedule.Sets, err = SetsOf(ctx, s.pool, schedule.Definition); err != nil {
		return plan, 0, err
	}
	now, err := clock(ctx, s.pool)
	if err != nil {
		return plan, 0, err
	}
	if plan, err = schedule.PlanBackfill(ask, now, now.Add(backfillMargin-cmp.Or(keep, DefaultRunRetention))); err != nil {
		return plan, 0, err
	}
	why, err := postgres.Collect(ctx, s.pool, pgx.RowTo[string], leftOutOfBackfill, id, plan.DueTimes, plan.Again)
	if err != nil {
		return plan, 0, fmt.Errorf("look for what has run: %w", err)
	}
	plan = plan.Without(why)
	if !ask.DryRun {
		err = plan.Nothing()
	}
	return plan, schedule.Version, err
}

const leftOutOfBackfill = `
select coalesce(` + sqlexpr.LeftOut + `, '') from (
    select $1::uuid as schedule_id, due_at, nth, $3::boolean as again from unnest($2::timestamptz[]) with ordinality u (due_at, nth)
) d order by nth`

// makeBackfill writes a backfill if the schedule still has the version that the plan is based on.
const makeBackfill = `
with moment as materialized (select clock_timestamp() as now where true` + lockWait + `),
made as (
    insert into tactus.backfills (id, schedule_id, schedule_version, from_at, to_at, overlap, newest_first, max_active, again,
        due_times, total, ran, skipped, excluded, actor, reason, created_at)
    select @backfill::uuid, s.id, s.version, @from::timestamptz, @to::timestamptz, @overlap, @newest_first, @max_active, @again,
        @due_times::timestamptz[], cardinality(@due_times::timestamptz[]), @ran, @skipped, @excluded,
        coalesce(@actor::text, 'role:' || session_user), @reason::text, now
    from tactus.schedules s, moment
    where s.id = @id and s.version = @version and s.deleted_at is null and s.invalid_reason is null
        and (select count(*) from tactus.backfills b where b.schedule_id = s.id and b.ended_at is null) < @most::bigint
    returning id
),
key as (
    insert into tactus.idempotency (key, request_hash, made)
    select @key::text, @request_hash::bytea, id from made where @key::text is not null
    returning key
)
select id from made, (select count(*) from key) k`

// beginBackfill writes a backfill, and reports whether it did. It does not if the schedule has changed or has too many
// backfills.
func (s *Store) beginBackfill(ctx context.Context, id domain.ID, version int64, plan domain.BackfillPlan, once onceOnly) (
	made domain.ID, ok bool, err error,
) {
	by := actorOf(ctx)
	if plan.Reason != "" {
		by.reason = plan.Reason
	}
	made = NewID()
	var all []domain.ID
	err = s.lines.patiently(ctx, "backfill "+made.String(), lockedError(fmt.Sprintf("the schedule %s", id)), func() (err error) {
		return postgres.Rehearse(ctx, s.pool, rehearsed(ctx), func(q Querier) error {
			all, err = postgres.Collect(ctx, q, pgx.RowTo[domain.ID], makeBackfill, pgx.NamedArgs{
				"backfill": made, "id": id, "version": version, "from": plan.From, "to": plan.To,
				"overlap":      plan.ExecutionPolicy,
				"newest_first": plan.Order == domain.NewestFirst, "max_active": plan.MaxActive, "again": plan.Again,
				"due_times": plan.DueTimes,
				"ran":       plan.LeftOut.Ran, "skipped": plan.LeftOut.Skipped, "excluded": plan.LeftOut.Excluded,
				"actor": textOrNull([]byte(by.name)), "reason": textOrNull([]byte(by.reason)), "most": maxBackfills,
				"key": textOrNull([]byte(once.key)), "request_hash": once.hash[:],
			})
			return err
		})
	})
	if err != nil {
		return made, false, fmt.Errorf("begin a backfill: %w", meaning(err))
	}
	return made, len(all) > 0, nil
}

const openBackfills = `select count(*) from tactus.backfills where schedule_id = $1 and ended_at is null`

// roomForBackfill returns the error of a schedule that may have no more backfills, or nil.
func (s *Store) roomForBackfill(ctx context.Context, id domain.ID) error {
	open, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], openBackfills, id)
	if err != nil {
		return fmt.Errorf("count backfills: %w", err)
	}
	if open[0] < maxBackfills {
		return nil
	}
	return &domain.Error{
		Kind: domain.Conflict, Code: "backfill_too_many",
		Message: fmt.Sprintf("the schedule has %d backfills that have not ended: wait, or cancel some", open[0]),
	}
}

const cancelBackfill = `
update tactus.backfills set ended_at = clock_timestamp(), outcome = 'cancelled', due_times = '{}',
    ended_by = coalesce(@actor::text, 'role:' || session_user), end_reason = @reason::text
where id = @id and ended_at is null` + lockWait + `
returning id`

// CancelBackfill stops a backfill from making further runs, and reports whether it was still making some. The runs that
// it has made go on.
func (s *Store) CancelBackfill(ctx context.Context, id domain.ID) (cancelled bool, err error) {
	schedule, err := postgres.Collect(ctx, s.pool, pgx.RowTo[domain.ID], `select schedule_id from tactus.backfills where id = $1`, id)
	if err != nil {
		return false, fmt.Errorf("cancel a backfill: %w", err)
	}
	if len(schedule) == 0 || s.mayRun(ctx, schedule[0]) != nil {
		return false, domain.ErrBackfillNotFound
	}
	by := actorOf(ctx)
	var ended []domain.ID
	err = s.lines.patiently(ctx, "backfill "+id.String(), lockedError(fmt.Sprintf("the backfill %s", id)), func() (err error) {
		ended, err = postgres.Collect(ctx, s.pool, pgx.RowTo[domain.ID], cancelBackfill, pgx.NamedArgs{
			"id": id, "actor": textOrNull([]byte(by.name)), "reason": textOrNull([]byte(by.reason)),
		})
		return err
	})
	if err != nil {
		return false, fmt.Errorf("cancel a backfill: %w", err)
	}
	return len(ended) > 0, nil
}

const forgetBackfills = `
delete from tactus.backfills where id in (select id from tactus.backfills where ended_at < $1 order by ended_at limit $2)`

// forgetEnded deletes some of the backfills that ended before an instant. A schema of the release before has none.
func forgetEnded(ctx context.Context, q Querier, before time.Time) error {
	rows, err := q.Query(ctx, forgetBackfills, before, forgetOnce)
	if err == nil {
		rows.Close()
		err = rows.Err()
	}
	if err != nil && postgres.Code(err) != undefinedTable {
		return fmt.Errorf("forget old backfills: %w", err)
	}
	return nil
}

const undefinedTable = "42P01"
