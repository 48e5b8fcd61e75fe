package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// option is what a write brings along with its change.
type option struct {
	ring        bool   // wake the relay: only in a transaction that ends with this statement
	key         string // Idempotency-Key
	requestHash []byte
	headers     []byte // JSON, or nil
}

// stamps are the times that the database gave to a change.
type stamps struct {
	CreatedAt, UpdatedAt, EffectiveFrom, TriggerSetAt time.Time
	DeletedAt                                         *time.Time
}

// errNotWritten means that no row was written: the name is taken, the version has moved, or the key is used.
var errNotWritten = errors.New("not written")

// write commits a change and its event in one statement. The event is selected from the changed row, so its position is
// drawn after the row lock: the positions of one schedule rise with its versions (drawn before, 37 in 100 did not).
func write(ctx context.Context, q querier, c domain.Change, o option) (domain.Schedule, error) {
	sql := updateSchedule
	if c.Type == domain.ScheduleCreated {
		sql = insertSchedule
	}
	args, err := columns(c, o)
	if err != nil {
		return domain.Schedule{}, err
	}
	rows, err := q.Query(ctx, sql+changedEvent, args)
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	at, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[stamps])
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Schedule{}, errNotWritten
	}
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	return at.on(c.After), nil
}

func (at stamps) on(s domain.Schedule) domain.Schedule {
	s.CreatedAt, s.UpdatedAt = at.CreatedAt.UTC(), at.UpdatedAt.UTC()
	s.EffectiveFrom, s.TriggerSetAt = at.EffectiveFrom.UTC(), at.TriggerSetAt.UTC()
	if at.DeletedAt != nil {
		s.DeletedAt = at.DeletedAt.UTC()
	}
	return s
}

// insertSchedule gives no row when a living schedule has the name: the caller's transaction is not aborted by it.
const insertSchedule = `
with moment as materialized (select clock_timestamp() as now),
changed as (
    insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
        created_at, updated_at, category, tags, definition, task)
    select @id, @name, @version, @enabled, @trigger, @anchor, @policy, now, now,
        now, now, @category, @tags, @definition, @task
    from moment
    on conflict (name) where deleted_at is null do nothing
    returning id, version, created_at, updated_at, effective_from, trigger_set_at, deleted_at
)`

const updateSchedule = `
with moment as materialized (select clock_timestamp() as now),
changed as (
    update tactus.schedules s set name = @name, version = @version, enabled = @enabled, trigger = @trigger, anchor = @anchor,
        policy = @policy, category = @category, tags = @tags, definition = @definition, task = @task, invalid_reason = @invalid_reason,
        effective_from = case when @effective then now else effective_from end,
        trigger_set_at = case when @trigger_set then now else trigger_set_at end,
        deleted_at = case when @deleted then now end,
        updated_at = now
    from moment
    where s.id = @id and s.version = @version - 1 and s.deleted_at is null
    returning s.id, s.version, s.created_at, s.updated_at, s.effective_from, s.trigger_set_at, s.deleted_at
)`

// changedEvent appends the event. Its data is the schedule's JSON with the times of the row put in front. The key and
// the bell come last, because each is for what has been written. Every CTE is read: one that is not read may not run.
const changedEvent = `,
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
    select 'schedule', id, version, @type, ('{"created_at":"' || to_char(created_at at time zone 'UTC', @iso)
        || '","updated_at":"' || to_char(updated_at at time zone 'UTC', @iso)
        || '","effective_from":"' || to_char(effective_from at time zone 'UTC', @iso)
        || '","trigger_set_at":"' || to_char(trigger_set_at at time zone 'UTC', @iso)
        || coalesce('","deleted_at":"' || to_char(deleted_at at time zone 'UTC', @iso), '')
        || '",' || substr(@data::text, 2))::json, @headers::json, updated_at
    from changed
    returning position
),
key as (
    insert into tactus.idempotency (key, request_hash, made)
    select @key::text, @request_hash::bytea, id from changed where @key::text is not null
    returning key
),
bell as (` + Bell + ` as rung from event where @ring::boolean)
select created_at, updated_at, effective_from, trigger_set_at, deleted_at
from changed, (select count(*) from key) k, (select count(rung) from bell) b`

const isoFormat = `YYYY-MM-DD"T"HH24:MI:SS.US"Z"`

func columns(c domain.Change, o option) (pgx.NamedArgs, error) {
	s := c.After
	s.CreatedAt, s.UpdatedAt, s.EffectiveFrom, s.TriggerSetAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	data, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode schedule: %w", err)
	}
	p, err := Project(s)
	if err != nil {
		return nil, err
	}
	return pgx.NamedArgs{
		"id": s.ID, "name": s.Name, "version": s.Version, "enabled": p.Enabled, "type": string(c.Type),
		"invalid_reason": textOrNull([]byte(s.InvalidReason)),
		"trigger":        p.Trigger, "anchor": p.Anchor, "policy": p.Policy, "category": p.Category, "tags": p.Tags,
		"definition": p.Definition, "task": p.Task, "data": string(data),
		"effective": c.Effective, "trigger_set": c.TriggerSet, "deleted": c.Type == domain.ScheduleDeleted,
		"iso": isoFormat, "headers": textOrNull(o.headers), "ring": o.ring,
		"key": textOrNull([]byte(o.key)), "request_hash": o.requestHash,
	}, nil
}

func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func textOrNull(b []byte) *string {
	if len(b) == 0 {
		return nil
	}
	s := string(b)
	return &s
}
