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

// errNotWritten means that no row was written: the name is taken, the version has moved, or the key is used.
var errNotWritten = errors.New("not written")

// write commits a change and its event in one statement. The event is selected from the changed row, so its position is
// drawn after the row lock: the positions of one schedule rise with its versions (drawn before, 37 in 100 did not).
func write(ctx context.Context, q querier, c domain.Change, o option) (domain.Schedule, error) {
	values, err := columns(c, o)
	if err != nil {
		return domain.Schedule{}, err
	}
	s := statements[formOf(c, o)]
	rows, err := q.Query(ctx, s.sql, s.arguments(values)...)
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	now, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (at time.Time, err error) {
		return at, row.Scan(&at, nil)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Schedule{}, errNotWritten
	}
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	return c.Dated(now.UTC()), nil
}

// insertSchedule gives no row when a living schedule has the name: the caller's transaction is not aborted by it.
const insertSchedule = `
with changed as (
    insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
        created_at, updated_at, category, tags, definition, task)
    values (@id, @name, @version, @enabled, @trigger, @anchor, @policy, statement_timestamp(), statement_timestamp(),
        statement_timestamp(), statement_timestamp(), @category, @tags, @definition::text::json, @task)
    on conflict (name) where deleted_at is null do nothing
    returning id, version, updated_at
)`

const updateSchedule = `
with changed as (
    update tactus.schedules set name = @name, version = @version, enabled = @enabled, trigger = @trigger, anchor = @anchor,
        policy = @policy, category = @category, tags = @tags, definition = @definition::text::json, task = @task, invalid_reason = @invalid_reason,
        effective_from = case when @effective then statement_timestamp() else effective_from end,
        trigger_set_at = case when @trigger_set then statement_timestamp() else trigger_set_at end,
        deleted_at = case when @deleted then statement_timestamp() end,
        updated_at = statement_timestamp()
    where id = @id and version = @version - 1 and deleted_at is null
    returning id, version, updated_at
)`

// insertKey uses up an idempotency key, if anything is written.
const insertKey = `,
key as (
    insert into tactus.idempotency (key, request_hash, made) select @key, @request_hash::bytea, id from changed
)`

// insertEvent appends the event. Its data is the schedule's JSON: its times, who it is, and the definition that the row has.
const insertEvent = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'schedule', id, version, @type, (format(@times, to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
        || @identity::text || ',' || substr(@definition::text, 2))::json,
    @headers::json, updated_at
from changed
returning occurred_at`

func columns(c domain.Change, o option) (pgx.NamedArgs, error) {
	s := c.After
	p, err := Project(s)
	if err != nil {
		return nil, err
	}
	identity, err := json.Marshal(identity{s.ID, s.Version, s.InvalidReason, s.ManagedBy})
	if err != nil {
		return nil, fmt.Errorf("encode schedule: %w", err)
	}
	return pgx.NamedArgs{
		"id": s.ID, "name": s.Name, "version": s.Version, "enabled": p.Enabled, "type": string(c.Type),
		"invalid_reason": textOrNull([]byte(s.InvalidReason)),
		"trigger":        p.Trigger, "anchor": p.Anchor, "policy": p.Policy, "category": p.Category, "tags": p.Tags,
		"definition": p.Definition, "task": p.Task, "identity": string(identity[1 : len(identity)-1]),
		"effective": c.Effective, "trigger_set": c.TriggerSet, "deleted": c.Type == domain.ScheduleDeleted,
		"times": times(c), "headers": textOrNull(o.headers), "key": o.key, "request_hash": o.requestHash,
	}, nil
}

// identity is what a schedule's JSON says besides its definition and its times.
type identity struct {
	ID            domain.ID `json:"id"`
	Version       int64     `json:"version"`
	InvalidReason string    `json:"invalid_reason,omitempty"`
	ManagedBy     string    `json:"managed_by,omitempty"`
}

// times is the beginning of an event's data, as format() takes it: %1$s is the time of the change, which only the database
// knows.
func times(c domain.Change) string {
	const now = "%1$s"
	moved := func(moves bool, at time.Time) string {
		if moves {
			return now
		}
		return at.UTC().Format("2006-01-02T15:04:05.000000Z")
	}
	text := `{"created_at":"` + moved(c.Type == domain.ScheduleCreated, c.After.CreatedAt) + `","updated_at":"` + now +
		`","effective_from":"` + moved(c.Effective, c.After.EffectiveFrom) + `","trigger_set_at":"` + moved(c.TriggerSet, c.After.TriggerSetAt)
	if c.Type == domain.ScheduleDeleted {
		text += `","deleted_at":"` + now
	}
	return text + `",`
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
