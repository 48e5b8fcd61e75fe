package beat

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/outbox"
)

// refusals find out whether PostgreSQL refuses a statement because of the data of some due times, or would refuse any,
// for example because somebody has added a failing trigger to a table. In the first case the bad due times are set
// aside, so that they are not tried for ever. In the second case this would lose every due time, so all are kept and
// tried again.
//
// The refused decisions themselves do not show which case it is: if only a few bad schedules are due, every statement
// fails. So the beat sends a probe, which writes the same rows as firing, but with none of the users' data, and rolls
// them back:
//
//	firing refused ──▶ probe refused too ──▶ an outage: all is left for later
//	               └──▶ probe accepted ────▶ data: what is bad is found by bisection, and set aside
//
// In one firing, the probe is sent at most once for each of the two firing statements, since one of them may fail where
// the other does not.
type refusals struct {
	asked      bool // the probe was sent in this firing
	everything bool // the probe was refused
	failures   failureLog
}

// firingRefused has the refusals of each of the two firing statements.
type firingRefused struct{ plain, counted refusals }

func newRefusals(log *slog.Logger) refusals {
	return refusals{failures: failureLog{
		log: log, level: slog.LevelError, what: "PostgreSQL refuses whatever is fired: it is kept, and tried again",
	}}
}

// begin forgets what the probe found in the last firing.
func (r *firingRefused) begin() { r.plain.asked, r.counted.asked = false, false }

// of returns the refusals of the statement by which decisions are settled.
func (r *firingRefused) of(decisions []memory.Decision) *refusals {
	if decisions[0].Counts {
		return &r.counted
	}
	return &r.plain
}

// The probes write the row of a run and its event for a schedule that is to fire, with a task of their own.
const (
	probePlainSQL = `
with run as (
    insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
    select @run::uuid, @schedule::uuid, clock_timestamp(), @run::uuid, 'scheduled', 'due', 1
    returning id, schedule_id, due_at
)` + probeEventSQL

	probeCountedSQL = `
with run as (
    insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
    select @run::uuid, @schedule::uuid, clock_timestamp(), @run::uuid, 'scheduled', 'due', 1
    returning id, schedule_id, due_at
),
count as (
    insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) values (@run::uuid, clock_timestamp(), 1)
)` + probeEventSQL

	probeEventSQL = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers)
select 'run', id, 1, 'run.due',
    tactus.run_due(schedule_id, 'probe', '{"task_name":"probe"}'::json, id, due_at, 'scheduled'), null from run`

	shadowProbeSQL = `
insert into tactus.shadow_runs (schedule_id, due_at, fires_at, fate, schedule_version, schedule_name, task_name)
values (@run::uuid, clock_timestamp(), clock_timestamp(), 'fire', 1, 'probe', 'probe')`
)

// refusesEverything reports whether PostgreSQL refuses the probe, too. Deferred constraints are checked before the
// probe is rolled back.
func (b *Beat) refusesEverything(ctx context.Context, decisions []memory.Decision) (bool, error) {
	r := b.refusals.of(decisions)
	if r.asked {
		return r.everything, nil
	}
	sql := b.mode.probePlainSQL
	if decisions[0].Counts {
		sql = b.mode.probeCountedSQL
	}
	err := b.probe(ctx, sql, decisions[0].Schedule)
	if err != nil && !postgres.RefusedData(err) && !postgres.LockTimedOut(err) {
		return false, fmt.Errorf("probe: %w", err)
	}
	if r.asked, r.everything = true, err != nil; err == nil {
		r.failures.recovered()
	}
	return r.everything, nil
}

// errProbed makes pgx roll back a probe that was accepted.
var errProbed = errors.New("the probe is accepted")

func (b *Beat) probe(ctx context.Context, sql string, schedule domain.ID) error {
	err := pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{BeginQuery: beginProbe}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, planned, named{"run": outbox.NewID(), "schedule": schedule})
		if err == nil {
			_, err = tx.Exec(ctx, `set constraints all immediate`)
		}
		if err == nil {
			err = errProbed
		}
		return err
	})
	if errors.Is(err, errProbed) {
		return nil
	}
	return err
}

const beginProbe = `begin; set local lock_timeout = '100ms'`

// keep leaves decisions for a later step because PostgreSQL refuses the probe as well.
func (b *Beat) keep(decisions []memory.Decision, err error) outcome {
	ids := schedulesOf(decisions)
	b.locks.leave(ids...)
	b.refusals.of(decisions).failures.report(fmt.Errorf("schedule %s, due at %v, and a probe: %w", ids[0],
		time.UnixMicro(decisions[0].Due).UTC(), err))
	return outcome{Held: true, Locked: ids}
}
