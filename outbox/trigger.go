package outbox

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/traceparent"
)

// Trigger makes a manual run of a schedule now, whether it is enabled or not, and returns the run's id. The version of
// the schedule stays as it is. An invalid schedule is refused with its reason ([domain.ErrScheduleInvalid]), because
// its arguments may not be the ones that its author wrote. One with a large task is refused while too much waits to be
// handed over ([domain.ErrBacklog]), because whatever is due would have to wait for all of it.
func (s *Store) Trigger(ctx context.Context, id domain.ID) (domain.ID, error) {
	return s.TriggerOnce(ctx, id, Manual{})
}

// Manual says in what a manual run differs from its schedule's other runs. Each member may be empty.
type Manual struct {
	With        []byte // what the run says otherwise than its schedule: see [domain.Schedule.ForRun]
	Key         string // an Idempotency-Key: a repeated call makes no other run, and returns the first one
	TraceParent string // W3C's: the run is part of that trace, unless the context says of which

	again string // the id of the run whose task it runs again
}

// TriggerOnce is Trigger for a run that differs from its schedule's others.
func (s *Store) TriggerOnce(ctx context.Context, id domain.ID, m Manual) (domain.ID, error) {
	m.Key = keyOf(ctx, m.Key)
	if err := s.mayRun(ctx, id); err != nil {
		return domain.ID{}, err
	}
	if err := s.judgeFirst(ctx, id); err != nil {
		return domain.ID{}, err
	}
	for {
		own, err := s.ownTask(ctx, id, m.With)
		if err != nil {
			return domain.ID{}, err
		}
		run, made, err := s.trigger(ctx, id, m, own)
		if made || err != nil {
			return run, err
		}
		if err := s.whyNoRun(ctx, id); err != nil {
			return domain.ID{}, err
		}
	}
}

// trigger makes the run, and reports whether it did. It does not if the schedule cannot run, or no longer has the
// version that own is based on.
func (s *Store) trigger(ctx context.Context, id domain.ID, m Manual, own *ownTask) (run domain.ID, made bool,
	err error,
) {
	hash := sha256.Sum256(append([]byte("trigger "+id.String()), m.With...))
	run = NewID()
	any, err := s.room.Any(ctx, s.pool)
	if err != nil {
		return domain.ID{}, false, fmt.Errorf("trigger: %w", err)
	}
	trace, ended := traceparent.Event(ctx, string(domain.RunDue))
	defer func() { ended(err) }()
	if trace == nil {
		trace = textOrNull([]byte(m.TraceParent))
	}
	var sizes []int64
	locked := lockedError(fmt.Sprintf("the schedule %s", id))
	err = s.lines.patiently(ctx, "trigger "+run.String(), locked, func() error {
		return postgres.Ringing(func(ring bool) (err error) {
			by := actorOf(ctx)
			args := pgx.NamedArgs{
				"actor": textOrNull([]byte(by.name)), "reason": textOrNull([]byte(by.reason)),
				"id": id, "run": run, "key": textOrNull([]byte(m.Key)), "request_hash": hash[:],
				"trace": trace, "rerun_of": textOrNull([]byte(m.again)), "ring": ring,
				"largest": room.Large,
			}
			if any {
				args["largest"] = math.MaxInt32
			}
			sql := triggerRun
			if own != nil {
				sql = own.statement(args)
			}
			return postgres.Rehearse(ctx, s.pool, rehearsed(ctx), func(q Querier) error {
				sizes, err = postgres.Collect(ctx, q, pgx.RowTo[int64], sql, args)
				return err
			})
		})
	})
	switch err := meaning(err); {
	case errors.Is(err, errKeyUsed):
		before, _, err := s.madeBefore(ctx, m.Key, hash[:])
		return before, true, err
	case unreadable(err):
		spoilt := domain.Schedule{InvalidReason: "its task cannot be read: " + err.Error()}
		return domain.ID{}, false, invalidToRun(spoilt)
	case err != nil:
		return domain.ID{}, false, fmt.Errorf("trigger: %w", err)
	}
	if len(sizes) == 0 {
		return domain.ID{}, false, s.whyNoRoom(ctx, id, any, own)
	}
	if !rehearsed(ctx) {
		s.room.Takes(sizes[0])
	}
	return run, true, nil
}

// whyNoRoom returns domain.ErrBacklog if a schedule got no run because its task, or own, is large and too much waits to
// be handed over.
func (s *Store) whyNoRoom(ctx context.Context, id domain.ID, any bool, own *ownTask) error {
	if any {
		return nil
	}
	sizes := []int64{0}
	var err error
	if own != nil {
		sizes[0] = int64(len(own.task))
	} else if sizes, err = postgres.Collect(ctx, s.pool, pgx.RowTo[int64], taskSize, id); err != nil {
		return fmt.Errorf("trigger: %w", err)
	}
	if len(sizes) > 0 && sizes[0] > room.Large {
		return domain.ErrBacklog
	}
	return nil
}

const taskSize = `select ` + sqlexpr.TaskSize + `::bigint from tactus.schedules s
where s.id = $1 and s.deleted_at is null and s.invalid_reason is null`

// whyNoRun returns why a schedule got no manual run: it is invalid, or does not exist. It returns nil if the schedule
// was changed meanwhile, or the reason has gone.
func (s *Store) whyNoRun(ctx context.Context, id domain.ID) error {
	schedule, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	if schedule.InvalidReason == "" {
		return nil
	}
	return invalidToRun(schedule)
}

// unreadable reports whether an error comes from a row that somebody changed by hand. The caller's own input is checked
// before.
func unreadable(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "22P02"
}

func invalidToRun(schedule domain.Schedule) error {
	return &domain.Error{
		Kind: domain.Conflict, Code: domain.ErrScheduleInvalid.Code,
		Message: "the schedule is invalid and cannot run: " + schedule.InvalidReason + ": correct it first",
	}
}

const triggerRun = triggered + `
    select id, name, version, task, policy from tactus.schedules s
    where id = @id and deleted_at is null and invalid_reason is null and ` + sqlexpr.TaskSize + ` <= @largest::bigint
),
run as (
    insert into tactus.runs (` + runColumns + `) select ` + runValues + ` from s, moment
    returning id, due_at
),` + recorded

// The beginning and the end of the statement that makes a manual run. Between them s is the schedule, and run the row
// of the run.
const (
	triggered = `
with moment as materialized (select clock_timestamp() as now where true` + lockWait + `),
s as (`

	runColumns = `id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at, expires_at, exclusive`
	runValues  = `@run, s.id, now, @run, 'manual', 'due', s.version, now,
        now + ` + sqlexpr.PolicyExpires + ` * interval '1 second', ` + sqlexpr.PolicyOverlaps

	recorded = `
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'run', run.id, 1, 'run.due',
        tactus.run_due(s.id, s.name, ` + sqlexpr.RoutedTask + `, run.id, run.due_at, 'manual'),
        ` + sqlexpr.SaidOfRun + `, run.due_at
    from run, s
    returning octet_length(data::text)::bigint as bytes
),
key as (
    insert into tactus.idempotency (key, request_hash, made)
    select @key::text, @request_hash::bytea, id from run where @key::text is not null
    returning key
),
bell as (select ` + sqlexpr.RingRuns + ` as rung from event where @ring::boolean)
select bytes from event, (select count(*) from key) k, (select count(rung) from bell) b`
)
