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

// calendars says whether calendars are to be compared with the table. An event of a calendar only says that it has
// changed. The beat then compares the versions of the calendars that schedules in memory use, and reads those that
// differ. It does the same at each poll, because an edit by hand leaves no event. Memory then moves the schedules that
// go by a changed calendar, in slices between which the beat fires.
type calendars struct {
	wanted bool // the versions are to be compared
	more   bool // the last step has read as many as one step may: there may be more
}

// changedCalendarsSQL reads the calendars whose version differs from the one in memory, and those that do not exist.
const changedCalendarsSQL = `
select k.name, c.version, c.updated_at, c.days::text
from unnest(@names::text[], @versions::bigint[]) k (name, version)
left join tactus.calendars c on c.name = k.name and c.deleted_at is null
where coalesce(c.version, @gone::bigint) <> k.version
order by c.created_at, k.name limit @most::bigint`

// gone stands for the version of a calendar that does not exist.
const gone = -1

// calendarRow is a row of changedCalendarsSQL.
type calendarRow struct {
	Name    string
	Version *int64 // nil when the calendar does not exist
	Updated *time.Time
	Days    *string
}

// syncCalendars reads the changed calendars among those that schedules in memory use.
func (b *Beat) syncCalendars(ctx context.Context) error {
	if !b.calendars.wanted && !b.memory.LacksCalendars() {
		return nil
	}
	var rows []calendarRow
	err := b.beside.Read(ctx, "tactus.calendars", func() (err error) {
		rows, err = b.readCalendars(ctx)
		return err
	})
	if _, locked := errors.AsType[*tablelocks.Locked](err); locked { // schedules with calendars wait, and nothing else
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

// refuseUnknown refuses a calendar that does not exist, because somebody has deleted its row by hand.
func (b *Beat) refuseUnknown(name string) {
	b.log.Error("a calendar is gone: schedules that use it are invalid", "calendar", name)
	b.memory.RefuseCalendar(name, gone, memory.Never, &domain.Error{
		Kind: domain.Invalid, Code: "calendar_unknown",
		Message: fmt.Sprintf("there is no calendar %s: put it, and then this schedule", name),
	})
}

// calendarsAtOnce is how many calendars a step compiles: each takes some 50 ms at most.
const calendarsAtOnce = 1

// readCalendars reads into memory up to calendarsAtOnce of the changed calendars, and returns them.
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
		if err != nil { // written by hand, or by an earlier release
			b.log.Error("a calendar is refused: schedules that use it are invalid", "calendar", c.Name, "err", err)
			m.RefuseCalendar(c.Name, version, since, err)
			continue
		}
		m.SetCalendar(c.Name, version, since, set)
		b.log.Info("read a calendar", "calendar", c.Name, "version", version)
	}
	return changed, nil
}

// compile compiles a calendar whose set may cost most. The error says how to correct the calendar.
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

// sweepBudget bounds what a step spends on moving schedules by calendars (see memory.Memory.Sweep): some milliseconds,
// so that due times are hardly delayed.
const sweepBudget = 100_000

// sweepCalendars moves some of the schedules whose calendars have changed.
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
