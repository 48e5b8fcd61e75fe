package beat

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// settleOrBisect settles decisions, by several statements at once if there are many. If a statement fails because of
// the data of one decision, this decision is found by bisection and set aside, and the others are settled. A decision
// that would have to wait for a lock is found in the same way, and left for a later step. If PostgreSQL refuses
// whatever is fired, all decisions are left for a later step.
func (b *Beat) settleOrBisect(ctx context.Context, decisions []memory.Decision) (outcome, error) {
	out, err := b.settleSideBySide(ctx, decisions)
	if out.Fired > 0 {
		b.refusals.of(decisions).failures.recovered()
	}
	return out, err
}

// bisect settles decisions by one statement, or, if that fails, by halves. The earlier half comes first, so a bad due
// time has been set aside, or its schedule left alone, before a later due time of the same schedule is tried.
func (b *Beat) bisect(ctx context.Context, decisions []memory.Decision) (outcome, error) {
	decisions = b.locks.withoutLeft(decisions)
	if len(decisions) == 0 {
		return outcome{Held: true}, nil
	}
	if b.locks.waits >= maxLockWaits {
		return outcome{Held: true, Untried: schedulesOf(decisions)}, nil
	}
	tried := b.fireSQL(decisions)
	out, err := b.settle(ctx, decisions)
	return b.afterTrying(ctx, decisions, tried, out, err)
}

// afterTrying deals with the result of a statement, whose SQL was tried. If the statement failed because of a lock or
// of data, its decisions are bisected, unless a cause that concerns all of them is found.
func (b *Beat) afterTrying(
	ctx context.Context, decisions []memory.Decision, tried string, out outcome, err error,
) (outcome, error) {
	if postgres.LockTimedOut(err) {
		if sql := b.fireSQL(decisions); sql != tried { // a partition of the runs is locked: do not read runs
			b.locks.waits++
			return b.bisect(ctx, decisions)
		} else if b.beside.Blocks(sql, err) { // a whole table is locked: bisecting would find no row to blame
			b.locks.waits = maxLockWaits
			return outcome{Held: true, Untried: schedulesOf(decisions)}, nil
		}
		if locked, err := b.leaseLocked(ctx); err != nil || locked {
			b.locks.waits = maxLockWaits
			return outcome{Held: true, Untried: schedulesOf(decisions)}, err
		}
		b.locks.waits++
		if len(decisions) == 1 {
			return b.leaveLocked(decisions[0], err), nil
		}
	} else if !postgres.RefusedData(err) {
		b.leaveAll(out.Locked)
		return out, err
	}
	if out, over, err := b.refuse(ctx, decisions, err); over || err != nil {
		return out, err
	}
	first, err := b.bisect(ctx, decisions[:len(decisions)/2])
	if err != nil || !first.Held || first.Early {
		return first, err
	}
	second, err := b.bisect(ctx, decisions[len(decisions)/2:])
	return first.merge(second), err
}

// refuse deals with decisions whose statement PostgreSQL has refused because of their data. It reports over = false if
// they are to be bisected.
func (b *Beat) refuse(
	ctx context.Context, decisions []memory.Decision, refusal error,
) (out outcome, over bool, err error) {
	if !postgres.RefusedData(refusal) {
		return outcome{}, false, nil
	}
	everything, err := b.refusesEverything(ctx, decisions)
	switch {
	case err != nil:
		return outcome{}, true, err
	case everything:
		return b.keep(decisions, refusal), true, nil
	case len(decisions) == 1:
		out, err = b.setAside(ctx, decisions[0], refusal)
		return out, true, err
	}
	return outcome{}, false, nil
}

// leaveAll leaves alone, for the rest of this firing, schedules that a statement has reported as locked.
func (b *Beat) leaveAll(locked []domain.ID) {
	if len(locked) == 0 {
		return
	}
	b.locks.leave(locked...)
	b.locks.failures.report(
		fmt.Errorf("schedule %s: the count of its runs, its stream, or what has run before", locked[0]))
}

// leaveLocked leaves a decision for a later step because another session holds a lock.
func (b *Beat) leaveLocked(d memory.Decision, err error) outcome {
	b.locks.leave(d.Schedule)
	b.locks.failures.report(fmt.Errorf("schedule %s: %w", d.Schedule, err))
	return outcome{Held: true, Locked: []domain.ID{d.Schedule}}
}

// merge adds up the outcomes of two statements.
func (o outcome) merge(p outcome) outcome {
	unjudged := maps.Clone(o.Unjudged)
	if unjudged == nil {
		unjudged = p.Unjudged
	} else {
		maps.Copy(unjudged, p.Unjudged)
	}
	return outcome{
		o.Held && p.Held, o.Early || p.Early, o.Recorded + p.Recorded, o.Fired + p.Fired, o.Missed + p.Missed, o.Excluded + p.Excluded,
		laterPosition(o.Newest, p.Newest),
		slices.Concat(o.Stale, p.Stale), slices.Concat(o.Locked, p.Locked), slices.Concat(o.Untried, p.Untried),
		unjudged,
	}
}

func laterPosition(one, other *int64) *int64 {
	if one == nil || other != nil && *other > *one {
		return other
	}
	return one
}

// setAsideSQL records a due time that cannot fire: as a missed run, so that the history shows the reason and the due
// time is not tried for ever, and as a dead letter.
const setAsideSQL = `
with lease as materialized (
    select epoch from tactus.leases where name = 'beat' and epoch = @epoch` + lockTimeoutSQL + ` for share
),
run as (
    insert into tactus.runs as r (id, schedule_id, due_at, until, kind, status, schedule_version, reason, error)
    select @run::uuid, @schedule::uuid, @due::timestamptz, @until::timestamptz, 'scheduled', 'missed', @version::bigint,
        '` + domain.ReasonAside + `', @error::text
    from lease
    on conflict (schedule_id, due_at, slot) do nothing
    returning r as happened
),` + sqlexpr.Tell + `run` + sqlexpr.Told + `,
letter as (
    insert ` + sqlexpr.IntoLetters + ` (source, reference, reason, data)
    select 'beat',
        @schedule::uuid || '/' || to_char(@due::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        @error::text,
        json_build_object('schedule_id', @schedule::uuid, 'due_at', @due::timestamptz, 'version', @version::bigint,
            'missed', @missed::text)::text
    from lease
    on conflict (source, reference) do nothing
)
select exists (select from lease)`

// setAside records a due time, or a range of them, that cannot be settled.
func (b *Beat) setAside(ctx context.Context, d memory.Decision, reason error) (out outcome, err error) {
	err = b.beside.Do(ctx, b.mode.setAsideSQL, func(sql string) error {
		return b.pool.QueryRow(ctx, sql, planned, named{
			"epoch": b.lease.term, "run": outbox.NewID(), "schedule": d.Schedule, "due": time.UnixMicro(d.Due),
			"until": time.UnixMicro(max(d.Due, d.Until)), "version": int64(d.Version),
			"error": reason.Error(), "missed": d.Reason,
		}).Scan(&out.Held)
	})
	if postgres.LockTimedOut(err) {
		return b.leaveLocked(d, err), nil
	}
	if err != nil {
		return outcome{}, fmt.Errorf("set aside: %w", err)
	}
	if out.Held {
		b.stats.countSetAside()
	}
	b.log.Error("a due time cannot fire and was set aside",
		"schedule_id", d.Schedule, "due_at", time.UnixMicro(d.Due).UTC(), "err", reason)
	return out, nil
}
