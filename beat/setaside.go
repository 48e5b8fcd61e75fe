package beat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// commit settles items. When the statement fails for something that is in one of them, it is found by bisection, and
// set aside; the others are settled all the same. One of which somebody has locked a row is found likewise, and comes
// later.
func (b *Beat) settleOrBisect(ctx context.Context, items []memory.Decision) (outcome, error) {
	if b.locks.waits >= maxLockWaits {
		return outcome{Held: true, Untried: schedulesOf(items)}, nil
	}
	out, err := b.settle(ctx, items)
	if lockTimedOut(err) {
		b.locks.waits++
		if len(items) == 1 {
			b.locks.failures.report(fmt.Errorf("schedule %s: %w", items[0].Schedule, err))
			return outcome{Held: true, Locked: schedulesOf(items)}, nil
		}
	} else if !refusedData(err) {
		return out, err
	}
	if len(items) == 1 {
		return b.setAside(ctx, items[0], err)
	}
	first, err := b.settleOrBisect(ctx, items[:len(items)/2])
	if err != nil || !first.Held || first.Early {
		return first, err
	}
	second, err := b.settleOrBisect(ctx, items[len(items)/2:])
	return first.merge(second), err
}

func (o outcome) merge(p outcome) outcome {
	return outcome{
		o.Held && p.Held, o.Early || p.Early, o.Recorded + p.Recorded, o.Fired + p.Fired,
		slices.Concat(o.Stale, p.Stale), slices.Concat(o.Locked, p.Locked), slices.Concat(o.Untried, p.Untried),
	}
}

// poisoned tells whether a statement failed for the data in it: a data exception or a limit of the program. All else is
// about the database, and is tried again.
func refusedData(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "54"))
}

// setAsideDue records a due time that cannot fire: as missed, so that history shows why and it is not tried for ever,
// and among the dead letters.
const setAsideSQL = `
with lease as materialized (
    select epoch from tactus.leases where name = 'beat' and epoch = @epoch for share
),
run as (
    insert into tactus.runs (id, schedule_id, due_at, until, kind, status, schedule_version, reason, error)
    select @run::uuid, @schedule::uuid, @due::timestamptz, @until::timestamptz, 'scheduled', 'missed', @version::bigint,
        '` + domain.ReasonAside + `', @error::text
    from lease
    on conflict (schedule_id, due_at, slot) do nothing
),
letter as (
    insert into tactus.deadletters (source, reference, reason, data)
    select 'beat', @schedule::uuid || '/' || to_char(@due::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), @error::text,
        json_build_object('schedule_id', @schedule::uuid, 'due_at', @due::timestamptz, 'version', @version::bigint, 'missed', @missed::text)::text
    from lease
    on conflict (source, reference) do nothing
)
select exists (select from lease)`

func (b *Beat) setAside(ctx context.Context, it memory.Decision, reason error) (out outcome, err error) {
	err = b.pool.QueryRow(ctx, b.mode.setAsideSQL, planned, named{
		"epoch": b.lease.term, "run": outbox.NewID(), "schedule": it.Schedule, "due": time.UnixMicro(it.Due),
		"until": time.UnixMicro(max(it.Due, it.Until)), "version": int64(it.Version), "error": reason.Error(), "missed": it.Reason,
	}).Scan(&out.Held)
	if err != nil {
		return outcome{}, fmt.Errorf("set aside: %w", err)
	}
	if out.Held {
		b.stats.countSetAside()
	}
	b.log.Error("a due time cannot fire and was set aside", "schedule_id", it.Schedule, "due_at", time.UnixMicro(it.Due).UTC(), "err", reason)
	return out, nil
}
