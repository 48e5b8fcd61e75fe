package beat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// calendars is what the beat has heard of calendars. Their events only tell that one has changed: those that schedules
// in memory use are then compared by their versions, and what differs is read. Memory moves the schedules that go by
// it, in slices between which the beat fires.
type calendars struct {
	wanted bool // they are to be compared
	anew   bool // whatever version memory has
	more   bool // there are more than one step compiles
}

// changedCalendarsSQL reads the calendars that memory has in another version.
const changedCalendarsSQL = `
select c.name, c.version, c.updated_at, c.days::text
from unnest(@names::text[], @versions::bigint[]) k (name, version)
join tactus.calendars c on c.name = k.name and c.version <> k.version
where c.deleted_at is null
order by c.name limit @most::bigint`

// calendarRow is a row of changedCalendarsSQL.
type calendarRow struct {
	Name    string
	Version int64
	Updated time.Time
	Days    string
}

// syncCalendars reads what has changed of the calendars that schedules in memory use.
func (b *Beat) syncCalendars(ctx context.Context) error {
	if !b.calendars.wanted && !b.memory.LacksCalendars() {
		return nil
	}
	rows, err := b.readCalendars(ctx, b.memory, b.calendars.anew)
	if err != nil {
		return err
	}
	for _, c := range rows {
		b.log.Info("a calendar has changed", "calendar", c.Name, "version", c.Version)
	}
	more := !b.calendars.anew && len(rows) == calendarsAtOnce
	b.calendars = calendars{wanted: more, more: more}
	return nil
}

// calendarsAtOnce is how many calendars a step compiles, each of which takes some 50 ms at most.
const calendarsAtOnce = 4

// readCalendars makes a memory have the calendars that its schedules use.
func (b *Beat) readCalendars(ctx context.Context, m *memory.Memory, anew bool) ([]calendarRow, error) {
	used := m.CalendarsInUse()
	if len(used) == 0 {
		return nil, nil
	}
	names, versions := make([]string, len(used)), make([]int64, len(used))
	for i, c := range used {
		if names[i] = c.Name; !anew {
			versions[i] = c.Version
		}
	}
	most := calendarsAtOnce
	if anew {
		most = len(used)
	}
	rows, err := b.pool.Query(ctx, changedCalendarsSQL, planned, named{"names": names, "versions": versions, "most": most})
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowToStructByPos[calendarRow])
	if err != nil {
		return nil, fmt.Errorf("read calendars: %w", err)
	}
	for _, c := range changed {
		set, err := c.compile()
		if err != nil { // only a hand can have written it
			b.log.Error("a calendar cannot be read: schedules that use it are due on every day, or on none", "calendar", c.Name, "err", err)
		}
		m.SetCalendar(c.Name, c.Version, c.Updated.UnixMicro(), set)
	}
	return changed, nil
}

// compile returns the set of a calendar; an empty one when its days cannot be read.
func (c calendarRow) compile() (*calendar.Set, error) {
	var items []calendar.Item
	err := json.Unmarshal([]byte(c.Days), &items)
	if err == nil {
		set, faults := calendar.Compile(items)
		if err = faults; err == nil {
			return set, nil
		}
	}
	empty, failed := calendar.Compile(nil)
	return empty, errors.Join(err, failed)
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
	b.log.Debug("schedules moved by a calendar", "schedules", moved, "took", time.Since(began))
	return nil
}
