package beat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// # Schedules that can fire no more
//
// The leader records a schedule as completed, and removes it from memory, if the schedule has no due time left: it was
// to fire once and has fired, its ends_at has passed, its recurrence has ended, or it has used up its max_runs. A
// schedule that has no due time only because of its calendars stays, because calendars may change.
//
//	settled ──no due time follows──▶ spent ──schedule.completed──▶ out of memory ──retention──▶ deleted, if it says so
//
// The statement completes a row only in the version that memory has judged, so a schedule is not completed by what it
// was before a change. If a beat crashes before it has recorded a schedule, the next beat finds the schedule when it
// loads. Adopted schedules are never completed: only the table that they are adopted from changes them.

// DefaultCompletedRetention is how long a completed schedule is kept before it is deleted, if it is to be deleted.
const DefaultCompletedRetention = 7 * 24 * time.Hour

// spent are the schedules that were found to have no due time left.
type spent struct {
	found     map[domain.ID]judged
	notBefore memory.Micros               // when they may be recorded as completed
	sweepAt   memory.Micros               // when to look for completed schedules to delete
	later     map[domain.ID]memory.Micros // schedules whose row PostgreSQL refuses, and when to try again
}

// judged is the version of a schedule that memory has judged, and whether the count of its runs still has to be
// compared with its max_runs: memory has no counts.
type judged struct {
	version int64
	counted bool
}

// at returns when something is to be recorded, or Never.
func (s *spent) at(now memory.Micros) memory.Micros {
	if len(s.found) == 0 {
		return memory.Never
	}
	return max(now, s.notBefore)
}

// noteAllSpent goes through all of memory and notes the schedules that have no due time left. A new leader needs this:
// as a standby it noted none of those whose last due time its predecessor has settled.
func (b *Beat) noteAllSpent() {
	for slot := range b.memory.Slots() {
		r := b.memory.At(slot)
		if r.ID.IsZero() || r.Due != memory.Never {
			continue
		}
		if _, recurrence := b.memory.Rule(r); recurrence != nil {
			b.spent.found[r.ID] = judged{version: int64(r.Version)}
		}
	}
}

const (
	completeAtOnce = 500 // schedules in one statement; fewer if they are large, since each event holds a copy
	sweepEvery     = time.Minute
)

// noteSpent notes that a schedule is to be completed, if it has no due time left.
func (b *Beat) noteSpent(m *memory.Memory, id domain.ID) {
	if r, known := m.Find(id); known && r.Due == memory.Never {
		b.spent.found[id] = judged{version: int64(r.Version)}
	} else {
		delete(b.spent.found, id)
	}
}

// noteCounted notes that a schedule has fired whose number of runs is limited, so its count has to be looked at.
func (b *Beat) noteCounted(id domain.ID) {
	if r, known := b.memory.Find(id); known && r.Due != memory.Never {
		b.spent.found[id] = judged{int64(r.Version), true}
	}
}

// completeSQL records schedules as completed, if they still have the versions that were judged. It skips rows that
// another transaction has locked.
const completeSQL = `
with given as materialized (
    select * from unnest((select @ids::uuid[]), (select @versions::bigint[]), (select @counted::boolean[]))
        g (id, version, counted)
),
free as materialized (
    select s.id from tactus.schedules s join given g on g.id = s.id and g.version = s.version
    where s.enabled and s.deleted_at is null and s.managed_by is null and (not g.counted or (
        select n.fired from tactus.schedule_counts n where n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
        ) >= ` + sqlexpr.PolicyMaxRuns + `)
    for no key update of s skip locked
),
moment as materialized (select clock_timestamp() as now),
changed as (
    update tactus.schedules s set version = s.version + 1, enabled = false, completed_at = now, updated_at = now
    from free, moment where s.id = free.id
    returning s.*
),` + completedEventSQL

// deletableSQL selects the schedules that were completed long enough ago and are to be deleted: because their policy
// says so, or because it says nothing and the configuration says so.
const deletableSQL = `
    select s.id, s.completed_at, ` + sqlexpr.TaskSize + ` as bytes from tactus.schedules s
    where s.completed_at < least((select clock_timestamp()), @believed::timestamptz) - @retention::interval and s.deleted_at is null and s.managed_by is null
        and (strpos(s.policy, '"on_completed":"delete"') > 0
            or @delete::boolean and strpos(s.policy, '"on_completed":"keep"') = 0)
        and (s.id = any (@only::uuid[]) or cardinality(@only::uuid[]) = 0) and s.id <> all (@later::uuid[])
    order by s.completed_at limit @most::bigint`

const deletableIDsSQL = `select id from (` + deletableSQL + `) d`

const deleteCompletedSQL = `
with moment as materialized (select clock_timestamp() as now),
free as materialized (` + deletableSQL + `
    for no key update of s skip locked
),
fit as (
    select id from (
        select id, sum(bytes) over (order by completed_at, id rows unbounded preceding) - bytes as before from free
    ) f
    where before < @weight::bigint
),
changed as (
    update tactus.schedules s set version = s.version + 1, deleted_at = now, updated_at = now
    from fit, moment where s.id = fit.id
    returning s.*
),` + completedEventSQL

const completedEventSQL = `
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'schedule', id, version, @type, tactus.schedule_data(changed),
        pg_catalog.json_build_object('actor', @actor::text, 'reason', @reason::text), updated_at
    from changed
    returning aggregate_id
)
select array(select aggregate_id from event), (select ` + sqlexpr.RingSchedules + ` from (select from event limit 1) e where @ring::boolean)`

// complete records schedules as completed, and deletes those whose retention is over. It does neither while
// PostgreSQL's clock is not believed: due times that were recorded as missed by that clock may become due again.
func (b *Beat) complete(ctx context.Context, now memory.Micros) error {
	if !b.lease.leading || b.cfg.Shadow || b.resync.foreign() || b.clock.doubts() {
		return nil
	}
	if len(b.spent.found) > 0 && now >= b.spent.notBefore {
		if err := b.completeSome(ctx, now); err != nil {
			b.spent.notBefore = now + invalidateAgain.Microseconds()
			return err
		}
	}
	if now < b.spent.sweepAt {
		return nil
	}
	b.spent.sweepAt = now + sweepEvery.Microseconds()
	deleted, err := b.deleteCompleted(ctx, now)
	if deleted > 0 {
		b.spent.sweepAt = now // there may be more
	}
	return err
}

// deleteCompleted deletes some of the schedules that were completed long enough ago, the oldest first, and returns how
// many. If PostgreSQL refuses the row of one, the others are found by bisection.
func (b *Beat) deleteCompleted(ctx context.Context, now memory.Micros) (int, error) {
	write := func(only []domain.ID) ([]domain.ID, error) {
		return b.writeEnd(ctx, deleteCompletedSQL, domain.ScheduleDeleted, "it was completed", b.deletable(now, only))
	}
	deleted, err := write([]domain.ID{})
	if postgres.RefusedRow(err) {
		var ids []domain.ID
		ids, err = postgres.Collect(ctx, b.pool, pgx.RowTo[domain.ID], deletableIDsSQL, b.deletable(now, []domain.ID{}))
		if err == nil {
			deleted, err = b.byHalves(ids, now, write)
		}
	}
	return len(deleted), err
}

// deletable returns the arguments of deletableSQL.
func (b *Beat) deletable(now memory.Micros, only []domain.ID) named {
	later := []domain.ID{}
	for id, at := range b.spent.later {
		if at <= now {
			delete(b.spent.later, id)
			continue
		}
		later = append(later, id)
	}
	return named{
		"retention": b.cfg.CompletedRetention, "delete": b.cfg.DeleteCompleted, "most": completeAtOnce, "only": only, "later": later,
		"believed": b.clock.believes(), "weight": maxFiringWeight << 10,
	}
}

// byHalves calls write for the schedules, and returns those that were written. If PostgreSQL refuses the row of one,
// byHalves calls write for each half by itself, and so on, so that one bad row does not block the others. The bad one
// is logged, and left alone for an hour.
func (b *Beat) byHalves(
	ids []domain.ID, now memory.Micros, write func([]domain.ID) ([]domain.ID, error),
) ([]domain.ID, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	ended, err := write(ids)
	switch {
	case !postgres.RefusedRow(err):
		return ended, err
	case len(ids) == 1:
		b.log.Warn("a schedule's end cannot be written", "schedule_id", ids[0], "err", err)
		b.spent.later[ids[0]] = now + time.Hour.Microseconds()
		return nil, nil
	}
	half := len(ids) / 2
	first, err := b.byHalves(ids[:half], now, write)
	second, err2 := b.byHalves(ids[half:], now, write)
	return append(first, second...), errors.Join(err, err2)
}

func (b *Beat) completeSome(ctx context.Context, now memory.Micros) error {
	if locked, err := b.looksLocked(ctx, countsUnreadableSQL); err != nil || locked {
		b.spent.notBefore = now + invalidateAgain.Microseconds()
		return err
	}
	var ids []domain.ID
	weighs := 0
	for id, found := range b.spent.found {
		if _, changed := b.syncs.pending[id]; changed {
			continue // its new row is read first
		}
		if b.memory.Awaits(id) {
			continue // its calendars are applied first
		}
		r, known := b.memory.Find(id)
		if known && !found.counted && (r.Due != memory.Never || b.memory.MayBeDueAgain(r, now)) {
			delete(b.spent.found, id) // it is due after all, or may be once its calendars change
			continue
		}
		if known {
			weighs += r.Weight()
		}
		if ids = append(ids, id); len(ids) == completeAtOnce || weighs >= maxFiringWeight {
			break
		}
	}
	if len(ids) == 0 {
		b.spent.notBefore = now + syncEvery.Microseconds()
		return nil
	}
	completed, err := b.byHalves(ids, now, func(ids []domain.ID) ([]domain.ID, error) {
		versions, counted := make([]int64, len(ids)), make([]bool, len(ids))
		for i, id := range ids {
			versions[i], counted[i] = b.spent.found[id].version, b.spent.found[id].counted
		}
		return b.writeEnd(ctx, completeSQL, domain.ScheduleCompleted, "it can fire no more", named{
			"ids": ids, "versions": versions, "counted": counted,
		})
	})
	if err != nil {
		return err
	}
	for _, id := range completed {
		b.memory.Remove(id)
	}
	for _, id := range ids {
		delete(b.spent.found, id) // one that has changed is read again; the next resync finds one that is locked
	}
	return nil
}

// writeEnd completes or deletes schedules by a statement, with an event for each, and returns their ids.
func (b *Beat) writeEnd(
	ctx context.Context, sql string, event domain.EventType, reason string, args named,
) (ended []domain.ID, err error) {
	args["type"], args["actor"], args["reason"] = string(event), "beat:"+b.cfg.Name, reason
	err = postgres.Ringing(func(ring bool) error {
		args["ring"] = ring
		var rung any
		return b.pool.QueryRow(ctx, sql, planned, args).Scan(&ended, &rung)
	})
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", event, err)
	}
	return ended, nil
}
