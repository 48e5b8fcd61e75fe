package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Pauses that end at the same time, perhaps thousands, are ended together: one statement reads some hundred schedules,
// and another writes them, each with an event of its own.

// resumeAtOnce is how many schedules whose pause is over are enabled by one statement; fewer when they are large.
const resumeAtOnce = 500

// EndedPause is a schedule whose pause is over, as of the version that was read.
type EndedPause struct {
	ID      domain.ID
	Version int64
}

// EndedPauses is a number of pauses that are over by the database's clock, the oldest first.
type EndedPauses struct {
	Ended []EndedPause
	Next  time.Time // when the next one ends; zero when there is none
}

// Locked rows are skipped. The statement's own locks, which serve only to find them, end with it.
const endedPauses = `
with moment as materialized (select clock_timestamp() as now),
ended as materialized (
    select s.id, s.version, s.paused_until from tactus.schedules s
    where s.paused_until <= (select now from moment) and s.deleted_at is null and s.managed_by is null
        and s.id <> all ($1::uuid[])
    order by s.paused_until limit $2::bigint
    for no key update of s skip locked
),
upcoming as (
    select min(s.paused_until) as at from tactus.schedules s
    where s.paused_until > (select now from moment) and s.deleted_at is null and s.managed_by is null
)
select e.id, e.version, octet_length(s.definition::text)::bigint, u.at
from upcoming u left join (ended e join tactus.schedules s on s.id = e.id) on true
order by e.paused_until, e.id`

// EndedPauses returns the pauses that Resume is to end next, except those of some schedules.
func (s *Store) EndedPauses(ctx context.Context, but []domain.ID) (found EndedPauses, err error) {
	rows, err := postgres.Collect(ctx, s.pool, pgx.RowToStructByPos[struct {
		ID            *domain.ID
		Version, Size *int64
		Next          *time.Time
	}], endedPauses, pgx.QueryExecModeCacheDescribe, but, resumeAtOnce)
	if err != nil {
		return found, fmt.Errorf("read which pauses are over: %w", err)
	}
	var size int64
	for i, r := range rows {
		found.Next = postgres.OrZero(r.Next)
		if r.ID == nil {
			break
		}
		if size += *r.Size; size > bytesAtOnce && i > 0 {
			break
		}
		found.Ended = append(found.Ended, EndedPause{*r.ID, *r.Version})
	}
	return found, nil
}

// resumeMany writes what domain.Schedule.Resume has decided for each schedule, with its event. A row that has changed
// since, or that somebody has locked, stays as it is.
const resumeMany = `
with given as materialized (
    select * from unnest((select @ids::uuid[]), (select @versions::bigint[]), (select @types::text[]),
        (select @enabled::boolean[]), (select @definitions::text[]), (select @effective::timestamptz[]))
        g (id, version, type, enabled, definition, effective_from)
),
free as materialized (
    select s.id from tactus.schedules s join given g on g.id = s.id and g.version = s.version
    where s.deleted_at is null` + lockWait + `
    for no key update of s skip locked
),
moment as materialized (select clock_timestamp() as now),
changed as (
    update tactus.schedules s set version = s.version + 1, enabled = g.enabled, definition = g.definition::json,
        effective_from = coalesce(g.effective_from, s.effective_from), updated_at = now,
        paused_at = null, paused_until = null, paused_by = null, pause_reason = null, pause_group = null
    from free f join given g on g.id = f.id, moment where s.id = f.id
    returning s.*
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'schedule', c.id, c.version, g.type, tactus.schedule_data(c), ` + sqlexpr.Said + `, c.updated_at
    from changed c join given g on g.id = c.id
    returning aggregate_id
)
select array(select aggregate_id from event),
    (select ` + sqlexpr.RingSchedules + ` from (select from event limit 1) e where @ring::boolean)`

// Resume enables schedules whose pause is over, all in one transaction, and returns which it has enabled. A schedule
// that has changed since it was read, or is locked, is left alone. refused reports whether PostgreSQL refused the
// content of one of them. The error does not tell which, so the caller tries fewer at a time.
func (s *Store) Resume(ctx context.Context, ended []EndedPause) (resumed []domain.ID, refused bool, err error) {
	args, err := s.resumption(ctx, ended)
	if err == nil {
		err = postgres.Ringing(func(ring bool) error {
			args["ring"] = ring
			var rung any
			return s.pool.QueryRow(ctx, resumeMany, args).Scan(&resumed, &rung)
		})
	}
	if err != nil {
		return nil, postgres.RefusedRow(err), fmt.Errorf("enable what is not paused any more: %w", err)
	}
	return resumed, false, nil
}

// resumption returns the arguments of resumeMany.
func (s *Store) resumption(ctx context.Context, ended []EndedPause) (pgx.NamedArgs, error) {
	ids, wanted := make([]domain.ID, len(ended)), map[EndedPause]bool{}
	for i, e := range ended {
		ids[i], wanted[e] = e.ID, true
	}
	read, err := postgres.Collect(ctx, s.pool, scheduleRow, schedulesByIDs, ids)
	if err != nil {
		return nil, err
	}
	var versions []int64
	var types, definitions []string
	var enabled []bool
	var effective []*time.Time
	ids = ids[:0]
	for _, before := range read {
		c, changed := before.Resume()
		if !changed || !wanted[EndedPause{before.ID, before.Version}] {
			continue
		}
		definition, err := json.Marshal(c.After.Definition)
		if err != nil {
			return nil, fmt.Errorf("encode definition: %w", err)
		}
		ids, versions, types = append(ids, before.ID), append(versions, before.Version), append(types, string(c.Type))
		enabled, definitions = append(enabled, c.After.Runnable()), append(definitions, string(definition))
		effective = append(effective, postgres.OrNull(c.EffectiveAt))
	}
	by := actorOf(ctx)
	return pgx.NamedArgs{
		"ids": ids, "versions": versions, "types": types, "enabled": enabled, "definitions": definitions, "effective": effective,
		"actor": textOrNull([]byte(by.name)), "reason": textOrNull([]byte(by.reason)),
	}, nil
}
