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

// refusals tell bad data from a statement that refuses everything, such as one whose table was given a trigger that
// fails. In the first case the due times are set aside, so that they are not tried for ever. In the second that would
// lose every due time there is, so they are kept and tried again.
//
// What is refused does not tell: a few bad schedules that are due by themselves look like an outage. So a probe does
// (probeSQL), which writes what firing writes, with nothing of what a user has said, and takes it back:
//
//	firing refused ──▶ probe refused too ──▶ an outage: all is left for later
//	               └──▶ probe accepted ────▶ data: what is bad is found by bisection, and set aside
//
// It is asked at most once in a firing for each of the statements that fire: one may fail where the other does not.
type refusals struct {
	asked      bool // in this firing
	everything bool // was refused
	failures   failureLog
}

// firingRefused are the refusals by each of the statements that fire.
type firingRefused struct{ plain, counted refusals }

func newRefusals(log *slog.Logger) refusals {
	return refusals{failures: failureLog{
		log: log, level: slog.LevelError, what: "PostgreSQL refuses whatever is fired: it is kept, and tried again",
	}}
}

// begin forgets what the probe found in the last firing.
func (r *firingRefused) begin() { r.plain.asked, r.counted.asked = false, false }

// of are those of the statement by which decisions are settled.
func (r *firingRefused) of(decisions []memory.Decision) *refusals {
	if decisions[0].Counts {
		return &r.counted
	}
	return &r.plain
}

// probeSQL writes the rows of a run of a schedule that is to fire, and its event, whose task is ours.
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

// refusesEverything reports whether PostgreSQL refuses the probe, too. What waits for the commit is asked as well.
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

// errProbed rolls a probe back.
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

// keep leaves decisions for a later step, because everything is refused.
func (b *Beat) keep(decisions []memory.Decision, err error) outcome {
	ids := schedulesOf(decisions)
	b.locks.leave(ids...)
	b.refusals.of(decisions).failures.report(fmt.Errorf("schedule %s, due at %v, and a probe: %w", ids[0],
		time.UnixMicro(decisions[0].Due).UTC(), err))
	return outcome{Held: true, Locked: ids}
}
