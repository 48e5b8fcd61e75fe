package beat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/tablelocks"
)

// calendars is what the beat has heard of calendars. Their events only tell that one has changed: those that schedules
// in memory use are then compared by their versions, and what differs is read. So they are with each poll, because a
// hand leaves no event. Memory moves the schedules that go by
// it, in slices between which the beat fires.
type calendars struct {
	wanted bool // they are to be compared
	more   bool // there may be more than one step compiles
}

// changedCalendarsSQL reads the calendars that memory has in another version, those included that are gone.
const changedCalendarsSQL = `
select k.name, c.version, c.updated_at, c.days::text
from unnest(@names::text[], @versions::bigint[]) k (name, version)
left join tactus.calendars c on c.name = k.name and c.deleted_at is null
where coalesce(c.version, @gone::bigint) <> k.version
order by c.created_at, k.name limit @most::bigint`

// gone is the version of a calendar that there is none of.
const gone = -1

// calendarRow is a row of changedCalendarsSQL.
type calendarRow struct {
	Name    string
	Version *int64 // nil when there is none
	Updated *time.Time
	Days    *string
}

// syncCalendars reads what has changed of the calendars that schedules in memory use.
func (b *Beat) syncCalendars(ctx context.Context) error {
	if !b.calendars.wanted && !b.memory.LacksCalendars() {
		return nil
	}
	var rows []calendarRow
	err := b.beside.Read(ctx, "tactus.calendars", func() (err error) {
		rows, err = b.readCalendars(ctx)
		return err
	})
	if _, locked := errors.AsType[*tablelocks.Locked](err); locked { // what goes by them waits, and nothing else
		b.calendars = calendars{wanted: true}
		return nil
	}
	if err != nil {
		return err
	}
	more := len(rows) == calendarsAtOnce
	b.calendars = calendars{wanted: more, more: more}
	return nil
}

// refuseUnknown refuses a calendar that there is none of: a hand has deleted it under the schedules.
func (b *Beat) refuseUnknown(name string) {
	b.log.Error("a calendar is gone: schedules that use it are invalid", "calendar", name)
	b.memory.RefuseCalendar(name, gone, memory.Never, &domain.Error{
		Kind: domain.Invalid, Code: "calendar_unknown",
		Message: fmt.Sprintf("there is no calendar %s: put it, and then this schedule", name),
	})
}

// calendarsAtOnce is how many calendars a step compiles: it takes some 50 ms at most.
const calendarsAtOnce = 1

// readCalendars makes memory have some of the calendars that its schedules use and it has in another version.
func (b *Beat) readCalendars(ctx context.Context) ([]calendarRow, error) {
	m := b.memory
	used := m.CalendarsInUse()
	if len(used) == 0 {
		return nil, nil
	}
	names, versions := make([]string, len(used)), make([]int64, len(used))
	for i, c := range used {
		names[i], versions[i] = c.Name, c.Version
	}
	rows, err := b.pool.Query(ctx, changedCalendarsSQL, planned, named{
		"names": names, "versions": versions, "most": calendarsAtOnce, "gone": gone,
	})
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[calendarRow])
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	for _, c := range changed {
		if c.Version == nil {
			b.refuseUnknown(c.Name)
			continue
		}
		version, since := *c.Version, c.Updated.UnixMicro()
		set, err := c.compile(calendar.MaxCost - m.CalendarCost(c.Name))
		if err != nil { // only a hand, or an earlier release, can have written it
			b.log.Error("a calendar is refused: schedules that use it are invalid", "calendar", c.Name, "err", err)
			m.RefuseCalendar(c.Name, version, since, err)
			continue
		}
		m.SetCalendar(c.Name, version, since, set)
		b.log.Info("read a calendar", "calendar", c.Name, "version", version)
	}
	return changed, nil
}

// compile returns the set of a calendar, which may cost so much. The error tells what to do.
func (c calendarRow) compile(most int) (*calendar.Set, error) {
	var items []calendar.Item
	err := json.Unmarshal([]byte(*c.Days), &items)
	if err == nil {
		var set *calendar.Set
		if set, err = calendar.CompileWithin(items, max(most, 0)); err == nil {
			return set, nil
		}
	}
	code, why := "calendar_unreadable", fmt.Sprintf("cannot be read (%v)", err)
	if most < calendar.MaxWork && errors.Is(err, &calendar.Error{Code: calendar.CodeTooLarge}) {
		code, why = calendar.CodeTooLargeTogether, "is one too many: all calendars together have too many days and ranges"
	}
	return nil, &domain.Error{
		Kind: domain.Invalid, Code: code,
		Message: fmt.Sprintf("the calendar %s %s: put it again, and then this schedule", c.Name, why),
	}
}

// sweepBudget is what a step spends on moving schedules by calendars: some milliseconds, so that what is due meanwhile
// fires hardly later.
const sweepBudget = 100_000

// sweepCalendars moves some of the schedules that a change of a calendar moves.
func (b *Beat) sweepCalendars(context.Context, memory.Micros) error {
	if !b.memory.Sweeping() {
		return nil
	}
	began := time.Now()
	moved := b.memory.Sweep(sweepBudget)
	for _, r := range b.memory.TakeRefused() {
		b.invalid.found[r.ID] = unreadable{r.Version, r.Err}
	}
	if !b.memory.Sweeping() {
		b.noteAllSpent()
	}
	b.log.Debug("schedules moved by a calendar", "schedules", moved, "took", time.Since(began))
	return nil
}
