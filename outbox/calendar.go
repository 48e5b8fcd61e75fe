package outbox

import (
	"context"
	"crypto/md5"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/traceparent"
)

// calendarID returns the id of the calendar with a name. It depends on the name alone.
func calendarID(name string) domain.ID { return domain.ID(md5.Sum([]byte("calendar " + name))) }

// calendarColumns reads no source from a schema whose calendars have none: the name then is that of what is joined.
const calendarColumns = `
select id, name, version, description, days, created_at, updated_at, (select source from (select c.*) own)
from tactus.calendars c, (select null::text as source) without `

func calendarRow(row pgx.CollectableRow) (c domain.Calendar, err error) {
	var days []byte
	err = row.Scan(&c.ID, &c.Name, &c.Version, &c.Description, &days, &c.CreatedAt, &c.UpdatedAt, &c.Source)
	if err != nil {
		return c, err
	}
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	if err := json.Unmarshal(days, &c.Days); err != nil {
		c.Days, c.Unreadable = []calendar.Item{}, fmt.Sprintf("its days cannot be read: %v", err)
	}
	return c, nil
}

const (
	calendarByName   = calendarColumns + `where name = $1 and deleted_at is null`
	pageOfCalendars  = calendarColumns + `where deleted_at is null order by name limit $1::bigint offset $2::bigint`
	countCalendars   = `select count(*) from tactus.calendars where deleted_at is null`
	calendarUsersSQL = `
select count(*) from (select from tactus.schedules s where s.deleted_at is null and strpos(s.policy, '"calendars":') > 0
    and tactus.uses_calendar(s.policy, $1) limit $2::bigint) users`
)

// GetCalendar returns the calendar with a name, or domain.ErrCalendarNotFound.
func GetCalendar(ctx context.Context, q Querier, name string) (domain.Calendar, error) {
	found, err := postgres.Collect(ctx, q, calendarRow, calendarByName, name)
	if err != nil {
		return domain.Calendar{}, fmt.Errorf("read calendar: %w", err)
	}
	switch {
	case len(found) == 0:
		return domain.Calendar{}, domain.ErrCalendarNotFound
	case found[0].Unreadable != "":
		return found[0], fmt.Errorf("calendar %s: %s", name, found[0].Unreadable)
	}
	return found[0], nil
}

// maxCalendars is how many calendars there may be.
const maxCalendars = 1000

// putCalendar writes a calendar and its event, unless the calendar is the same already, or its version is not the
// expected one (0: any). The calendar stays of its source; putCalendarOf says another one.
const (
	putCalendar = calendarInto + calendarFrom + calendarIs + calendarWas + calendarEnds

	calendarInto = `
with changed as (
    insert into tactus.calendars as c (id, name, version, description, days, created_at, updated_at`

	calendarFrom = `)
    select @id, @name, 1, @description, @days::text::json, statement_timestamp(), statement_timestamp()`

	calendarIs = `
    where set_config('lock_timeout', case when @alone::boolean then '250ms' else current_setting('lock_timeout') end, true) is not null
        and (@version::bigint = 0 or exists (select from tactus.calendars where id = @id and deleted_at is null))
        and (exists (select from tactus.calendars where id = @id and deleted_at is null)
            or (select count(*) from tactus.calendars where deleted_at is null) < @most::bigint)
    on conflict (id) do update set version = c.version + 1, description = excluded.description, days = excluded.days,
        created_at = case when c.deleted_at is null then c.created_at else excluded.created_at end,
        updated_at = excluded.updated_at, deleted_at = null`

	calendarWas = `
    where ((c.description, c.days::text, c.deleted_at) is distinct from
        (excluded.description, excluded.days::text, null)`

	calendarEnds = `)
        and (@version::bigint = 0 or c.version = @version::bigint)
    returning *
)
insert into tactus.outbox (topic, aggregate_id, version, type, data, headers, occurred_at)
select 'schedule', id, version, 'calendar.updated', tactus.calendar_data(changed), ` + sqlexpr.Said + `, updated_at
from changed
returning version, occurred_at, case when @ring::boolean then ` + sqlexpr.RingSchedules + ` end`
)

// errTooManyCalendars refuses one more calendar than there may be.
var errTooManyCalendars = &domain.Error{
	Kind: domain.Invalid, Code: "too_many_calendars",
	Message: fmt.Sprintf("there are %d calendars already: delete some", maxCalendars),
}

// PutCalendar creates a calendar, or replaces it. It is part of the caller's transaction, which faults in the calendar
// (domain.Faults) do not abort. A calendar without days has an empty list of them, not nil.
func PutCalendar(ctx context.Context, tx pgx.Tx, c domain.Calendar) (domain.Calendar, error) {
	after, _, err := writeCalendar(ctx, tx, c, 0, pgx.NamedArgs{"alone": false, "ring": false})
	return after, err
}

// newTexts refuses what no new text may have, unless the calendar of that name has it.
func newTexts(ctx context.Context, q Querier, c domain.Calendar) error {
	if c.NewTexts(domain.Calendar{}) == nil {
		return nil
	}
	before, err := GetCalendar(ctx, q, c.Name)
	if err != nil && before.Unreadable == "" && !errors.Is(err, domain.ErrCalendarNotFound) {
		return err
	}
	return c.NewTexts(before)
}

func writeCalendar(
	ctx context.Context, q Querier, c domain.Calendar, version int64, how pgx.NamedArgs,
) (after domain.Calendar, created bool, err error) {
	if err := domain.Join(c.Check(), newTexts(ctx, q, c)); err != nil {
		return after, false, err
	}
	days, err := json.Marshal(c.Days)
	if err != nil {
		return after, false, fmt.Errorf("encode days: %w", err)
	}
	if len(c.Days) == 0 {
		days = []byte("[]")
	}
	if err := checkCost(ctx, q, calendarID(c.Name), costOf(string(days))); err != nil {
		return after, false, err
	}
	by := actorOf(ctx)
	trace, ended := traceparent.Event(ctx, string(domain.CalendarUpdated))
	args := pgx.NamedArgs{
		"id": calendarID(c.Name), "name": c.Name, "description": c.Description, "days": string(days),
		"version": version, "most": maxCalendars, "alone": how["alone"], "ring": how["ring"],
		"actor": textOrNull([]byte(by.name)), "reason": textOrNull([]byte(by.reason)), "trace": trace,
	}
	put := putCalendar
	if c.Source != nil {
		put, args["source"] = withSource(), *c.Source
	}
	written, err := postgres.Collect(ctx, q, func(row pgx.CollectableRow) (v int64, err error) {
		var at time.Time
		return v, row.Scan(&v, &at, nil)
	}, put, args)
	ended(err)
	if err != nil {
		return after, false, fmt.Errorf("write calendar: %w", err)
	}
	after, err = GetCalendar(ctx, q, c.Name)
	missing := errors.Is(err, domain.ErrCalendarNotFound)
	switch {
	case missing && version == 0 && len(written) == 0:
		return after, false, errTooManyCalendars
	case err == nil && len(written) == 0 && version != 0 && after.Version != version:
		return after, false, domain.ErrCalendarStale
	}
	return after, err == nil && len(written) > 0 && after.CreatedAt.Equal(after.UpdatedAt), err
}

// DeleteCalendar deletes a calendar, in the caller's transaction. It returns domain.ErrCalendarInUse if a schedule uses
// the calendar.
func DeleteCalendar(ctx context.Context, tx pgx.Tx, name string) error {
	return endCalendar(ctx, tx, deleteCalendar, name, int64(0))
}

const (
	deleteCalendar = `select outcome, users from tactus.delete_calendar($1, $2)`
	// The event of deleteCalendarSoon names the role of the session as its actor, on behalf of $3.
	deleteCalendarSoon = `
select d.outcome, d.users from (
    select set_config('lock_timeout', '250ms', true) || set_config('tactus.actor', $3, true)
        || set_config('tactus.reason', $4, true) as said offset 0
) l, lateral tactus.delete_calendar($1, case when l.said is not null then $2::bigint end) d`
)

func endCalendar(ctx context.Context, q Querier, sql string, args ...any) error {
	type answer struct {
		Outcome string
		Users   []string
	}
	found, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[answer], sql, args...)
	if err != nil {
		return fmt.Errorf("delete calendar: %w", err)
	}
	switch a := found[0]; a.Outcome {
	case "not_found":
		return domain.ErrCalendarNotFound
	case domain.ErrCalendarStale.Code:
		return domain.ErrCalendarStale
	case domain.ErrCalendarInUse.Code:
		e := *domain.ErrCalendarInUse
		e.Message = fmt.Sprintf("schedules use the calendar (%s): take it out of them first", strings.Join(a.Users, ", "))
		return &e
	}
	return nil
}

// known refuses a definition that names a calendar which does not exist, or a target that is another's.
func (w writer) known(ctx context.Context, d domain.Definition, id domain.ID) error {
	return domain.Join(unknownCalendars(ctx, w.q, d), w.neighbours(ctx, d, id))
}

const livingCalendars = `select name from tactus.calendars where name = any ($1::text[]) and deleted_at is null`

// unknownCalendars returns a fault for each calendar of a definition that does not exist.
func unknownCalendars(ctx context.Context, q Querier, d domain.Definition) error {
	member, names := d.Calendars()
	if len(names) == 0 {
		return nil
	}
	living, err := postgres.Collect(ctx, q, pgx.RowTo[string], livingCalendars, names)
	if err != nil {
		return fmt.Errorf("look for calendars: %w", err)
	}
	var faults domain.Faults
	for i, name := range names {
		if !slices.Contains(living, name) {
			faults = append(faults, &domain.Error{
				Kind: domain.Invalid, Code: domain.CodeCalendarUnknown, Field: fmt.Sprintf("/%s/%d", member, i),
				Message: fmt.Sprintf("there is no calendar %s: make it first", name),
			})
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return faults
}

// SetsOf returns the compiled calendars that definitions name, for domain.Schedule. It leaves out calendars that are
// gone or cannot be read.
func SetsOf(ctx context.Context, q Querier, definitions ...domain.Definition) (domain.CalendarSets, error) {
	var wanted []string
	for _, d := range definitions {
		_, names := d.Calendars()
		wanted = append(wanted, names...)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	found, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[writtenDays], daysByName, slices.Compact(slices.Sorted(slices.Values(wanted))))
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	sets := domain.CalendarSets{}
	for _, c := range found {
		if set, err := compiled.Compile([]byte(c.Days)); err == nil {
			sets[c.Name] = set
		}
	}
	return sets, nil
}

const daysByName = `select name, days::text from tactus.calendars where name = any ($1::text[]) and deleted_at is null`

// writtenDays is a row of daysByName.
type writtenDays struct{ Name, Days string }

// SetOf returns the compiled set of a calendar.
func (s *Store) SetOf(c domain.Calendar) (*calendar.Set, error) {
	if c.Unreadable != "" {
		return nil, errors.New(c.Unreadable)
	}
	days, err := json.Marshal(c.Days)
	if err != nil {
		return nil, fmt.Errorf("encode days: %w", err)
	}
	return compiled.Compile(days)
}

// compiled keeps the compiled calendars that were asked for last, which are all of them unless they need more room.
var compiled = calendar.NewCache(maxCalendarBytes)

// maxCalendarBytes is how much memory compiled calendars take at most, in bytes.
const maxCalendarBytes = 96 << 20

// Sets returns the compiled calendars that a definition names, or a fault for each that does not exist.
func (s *Store) Sets(ctx context.Context, d domain.Definition) (domain.CalendarSets, error) {
	if err := unknownCalendars(ctx, s.pool, d); err != nil {
		return nil, err
	}
	return SetsOf(ctx, s.pool, d)
}

// maxCalendarUsers is how many of the schedules that use a calendar are counted at most.
const maxCalendarUsers = 10_000

// Calendar returns the calendar with a name, and how many schedules use it, or domain.ErrCalendarNotFound.
func (s *Store) Calendar(ctx context.Context, name string) (c domain.Calendar, usedBy int64, err error) {
	if c, err = GetCalendar(ctx, s.pool, name); err != nil && c.Unreadable == "" {
		return c, 0, err
	}
	users, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], calendarUsersSQL, name, maxCalendarUsers)
	if err != nil {
		return c, 0, fmt.Errorf("count the users of calendar %s: %w", name, err)
	}
	return c, users[0], nil
}

// PageOfCalendars returns a page of the calendars, sorted by name, and their total number. Unreadable ones are
// included.
func (s *Store) PageOfCalendars(
	ctx context.Context, limit, offset int,
) (some []domain.Calendar, total int64, err error) {
	some, err = postgres.Collect(ctx, s.pool, calendarRow, pageOfCalendars, limit, offset)
	if err != nil {
		return nil, 0, fmt.Errorf("read calendars: %w", err)
	}
	counts, err := postgres.Collect(ctx, s.pool, pgx.RowTo[int64], countCalendars)
	if err != nil {
		return nil, 0, fmt.Errorf("count calendars: %w", err)
	}
	return some, counts[0], nil
}

// PutCalendar creates a calendar, or replaces it if it has the version (0: any).
func (s *Store) PutCalendar(
	ctx context.Context, c domain.Calendar, version int64,
) (after domain.Calendar, created bool, err error) {
	err = s.patientlyOfCalendar(ctx, c.Name, func() error {
		return postgres.Ringing(func(ring bool) error {
			after, created, err = writeCalendar(ctx, s.pool, c, version, pgx.NamedArgs{"alone": true, "ring": ring})
			return err
		})
	})
	return after, created, err
}

// DeleteCalendar deletes a calendar if it has the version (0: any) and no schedule uses it.
func (s *Store) DeleteCalendar(ctx context.Context, name string, version int64) error {
	by := actorOf(ctx)
	err := s.patientlyOfCalendar(ctx, name, func() error {
		return endCalendar(ctx, s.pool, deleteCalendarSoon, name, version, by.name, by.reason)
	})
	if err == nil {
		_ = Ring(ctx, s.pool) // what it would tell is found by polling
	}
	return err
}

func (s *Store) patientlyOfCalendar(ctx context.Context, name string, write func() error) error {
	return s.lines.patiently(ctx, "calendar "+name, lockedErrorOf(domain.ErrCalendarLocked, fmt.Sprintf("the calendar %q", name)), write)
}
