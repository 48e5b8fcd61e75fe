package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/traceparent"
)

// option is what a write needs beside its change.
type option struct {
	own         bool   // this statement is a transaction of its own
	ring        bool   // and wakes the relay
	key         string // Idempotency-Key
	requestHash []byte
}

// errNotWritten means that no row was written, because the name is taken or the schedule has another version by now.
var errNotWritten = errors.New("not written")

// last returns the last instant at which the changed schedule is due, or nil when there is no last one. A pause that
// ends by itself counts as one more: it ends whatever is left to fire.
func last(c domain.Change) *time.Time {
	if !c.Effective || !c.After.Runnable() || !c.EffectiveAt.IsZero() {
		return nil
	}
	if last, ok := c.After.Last(); ok {
		return &last
	}
	return nil
}

// notWritten returns why no row was written: everything that was to fire is past, or errNotWritten.
func notWritten(ctx context.Context, q Querier, c domain.Change) error {
	if last := last(c); last != nil {
		now, err := clock(ctx, q)
		if err != nil {
			return err
		}
		if !last.After(now) {
			return c.After.Past()
		}
	}
	return errNotWritten
}

// clock returns the database's time.
func clock(ctx context.Context, q Querier) (time.Time, error) {
	now, err := postgres.Collect(ctx, q, pgx.RowTo[time.Time], `select clock_timestamp()`)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the time: %w", err)
	}
	return now[0], nil
}

// write writes a change and its event by one statement. The event is selected from the changed row, so that its
// position is drawn once the row is locked. The positions of one schedule therefore rise with its versions; drawn
// before the lock, 37 in 100 did not.
func write(ctx context.Context, q Querier, c domain.Change, o option) (domain.Schedule, error) {
	p, err := Project(c.After)
	if err != nil {
		return domain.Schedule{}, err
	}
	s := statements[formOf(c, o)]
	trace, ended := traceparent.Event(ctx, string(c.Type))
	rows, err := q.Query(ctx, s.sql, s.arguments(&written{c, o, p, actorOf(ctx), trace})...)
	if err != nil {
		ended(err)
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	now, err := pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (at time.Time, err error) {
		return at, row.Scan(&at, nil)
	})
	ended(err)
	if errors.Is(err, pgx.ErrNoRows) {
		return domain.Schedule{}, notWritten(ctx, q, c)
	}
	if err != nil {
		return domain.Schedule{}, fmt.Errorf("write schedule: %w", err)
	}
	return c.Dated(now.UTC()), nil
}

const (
	insertSchedule          = insertRow + insertValues + always + lockWait + changed
	insertUntilPast         = insertRow + insertValues + always + lockWait + untilPast + changed
	insertUnlessTaken       = insertRow + insertValues + always + unlessTaken + changed
	insertUnlessTakenOrPast = insertRow + insertValues + always + untilPast + unlessTaken + changed

	insertRow = `
with changed as (
    insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
        created_at, updated_at, category, tags, definition, task`

	insertValues = `)
    select @id, @name, @version, @enabled, @trigger, @anchor, @policy, statement_timestamp(), statement_timestamp(),
        statement_timestamp(), statement_timestamp(), @category, @tags, ('{' || @members)::json, @task`

	always = `
    where true`

	// unlessTaken yields no row when a living schedule has the name, so that a caller's transaction is not aborted. Our
	// own transactions may be aborted, and do without the look before each insert, which took a twelfth of the server's
	// time.
	unlessTaken = `
    on conflict (name) where deleted_at is null do nothing`

	// untilPast yields no row when everything that would be due is past by the database's clock, from which due times
	// count. So whatever is accepted fires, however late it is committed.
	untilPast = `
    and @last::timestamptz > statement_timestamp()`

	changed = `
    returning id, version, updated_at
)`
)

const (
	updateSchedule     = updateRow + effectiveNow + ofVersion + changed
	updateUntilPast    = updateRow + effectiveNow + ofVersion + untilPast + changed
	updateOwn          = updateRow + effectiveNow + ofVersion + lockWait + changed
	updateOwnUntilPast = updateRow + effectiveNow + ofVersion + lockWait + untilPast + changed

	updateRow = `
with changed as (
    update tactus.schedules set name = @name, version = @version, enabled = @enabled, trigger = @trigger, anchor = @anchor,
        policy = @policy, category = @category, tags = @tags, definition = ('{' || @members)::json, task = @task, invalid_reason = @invalid_reason,
        trigger_set_at = case when @trigger_set then statement_timestamp() else trigger_set_at end,
        deleted_at = case when @deleted then statement_timestamp() end,
        updated_at = statement_timestamp(),
        effective_from = case when @effective then `

	effectiveNow = `statement_timestamp() else effective_from end`

	ofVersion = `
    where id = @id and version = @version - 1 and deleted_at is null`
)

// insertKey stores an idempotency key if anything was written.
const insertKey = `,
key as (
    insert into tactus.idempotency (key, request_hash, made) select @key, @request_hash::bytea, id from changed
)`

// insertEvent appends the event. Its data is the schedule as JSON: its times, its identity, and the members of the
// row's definition.
const insertEvent = `
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'schedule', id, version, @type,
    (pg_catalog.format(@head, to_char(updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || @members)::json,
    ` + sqlexpr.Said + `, updated_at
from changed
returning occurred_at`

// written is a change with the values that its statement needs.
type written struct {
	domain.Change
	option
	Projection
	actor
	trace *string // the trace that it is part of
}

// arguments computes each value that the statements name.
var arguments = map[string]func(*written) any{
	"id":             func(w *written) any { return w.After.ID },
	"name":           func(w *written) any { return w.After.Name },
	"version":        func(w *written) any { return w.After.Version },
	"enabled":        func(w *written) any { return w.Enabled },
	"invalid_reason": func(w *written) any { return textOrNull([]byte(w.After.InvalidReason)) },
	"trigger":        func(w *written) any { return w.Trigger },
	"anchor":         func(w *written) any { return w.Anchor },
	"policy":         func(w *written) any { return w.Policy },
	"category":       func(w *written) any { return w.Category },
	"tags":           func(w *written) any { return w.Tags },
	"members":        func(w *written) any { return w.Definition[1:] },
	"task":           func(w *written) any { return w.Task },
	"effective":      func(w *written) any { return w.Effective },
	"last":           func(w *written) any { return last(w.Change) },
	"trigger_set":    func(w *written) any { return w.TriggerSet },
	"effective_at":   func(w *written) any { return postgres.OrNull(w.EffectiveAt) },
	"pauses":         func(w *written) any { return w.Pauses },
	"paused_at":      func(w *written) any { return postgres.OrNull(w.After.PausedAt) },
	"paused_until":   func(w *written) any { return postgres.OrNull(w.After.PausedUntil) },
	"paused_by":      func(w *written) any { return postgres.OrNull(w.After.PausedBy) },
	"pause_reason":   func(w *written) any { return postgres.OrNull(w.After.PauseReason) },
	"pause_group":    func(w *written) any { return postgres.OrNull(w.After.PauseGroup) },
	"skip_until":     func(w *written) any { return postgres.OrNull(w.After.SkipUntil) },
	"skipped_by":     func(w *written) any { return postgres.OrNull(w.After.SkippedBy) },
	"completed_at":   func(w *written) any { return postgres.OrNull(w.After.CompletedAt) },
	"skip_reason":    func(w *written) any { return postgres.OrNull(w.After.SkipReason) },
	"deleted":        func(w *written) any { return w.Type == domain.ScheduleDeleted },
	"type":           func(w *written) any { return string(w.Type) },
	"head":           func(w *written) any { return w.head() },
	"key":            func(w *written) any { return w.key },
	"request_hash":   func(w *written) any { return w.requestHash },
	"actor":          func(w *written) any { return textOrNull([]byte(w.actor.name)) },
	"reason":         func(w *written) any { return textOrNull([]byte(w.actor.reason)) },
	"trace":          func(w *written) any { return w.trace },
}

// head leaves out the comma before members where there are none: somebody emptied the row by hand.
func (w *written) head() string {
	if w.Definition == "{}" {
		return strings.TrimSuffix(head(w.Change), ",")
	}
	return head(w.Change)
}

// head returns the beginning of an event's data as a format of format(), where %1$s is the time of the change, which
// only the database knows. The members of the definition follow.
func head(c domain.Change) string {
	moved := func(moves bool, at time.Time) string {
		if moves {
			return timeOfChange
		}
		return at.UTC().Format(micros)
	}
	s := c.After
	effective := c.EffectiveAt
	if effective.IsZero() {
		effective = s.EffectiveFrom
	}
	text := `{"created_at":"` + moved(c.Type == domain.ScheduleCreated, s.CreatedAt) + `","updated_at":"` + timeOfChange +
		`","effective_from":"` + moved(c.Effective && c.EffectiveAt.IsZero(), effective) + `","trigger_set_at":"` + moved(c.TriggerSet, s.TriggerSetAt)
	if c.Type == domain.ScheduleDeleted {
		text += `","deleted_at":"` + timeOfChange
	}
	return text + `","id":"` + s.ID.String() + `","version":` + strconv.FormatInt(s.Version, 10) +
		member("invalid_reason", s.InvalidReason) + member("managed_by", s.ManagedBy) + haltMembers(c) + ","
}

const (
	timeOfChange = "%1$s" // as format() takes it
	micros       = "2006-01-02T15:04:05.000000Z"
)

// member returns a member of a JSON object with a text, for use in a format of format(); nothing when the text is
// empty.
func member(name, value string) string {
	if value == "" {
		return ""
	}
	text, _ := json.Marshal(value) // a string always encodes
	return `,"` + name + `":` + strings.ReplaceAll(string(text), "%", "%%")
}

func textOrNull(b []byte) *string {
	if len(b) == 0 {
		return nil
	}
	s := string(b)
	return &s
}
