package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// calendarPast is a version of a calendar, which was in force from an instant on.
type calendarPast struct {
	from time.Time
	set  *calendar.Set
}

const readCalendarEvents = `
select data, ` + sqlexpr.OccurredAt + ` from tactus.outbox where topic = 'schedule' and type = 'calendar.updated' order by position`

// readCalendarEvents reads all versions of each calendar. Due times that calendars move are checked by the version of
// that time. Due times that calendars skip have rows of their own, so no calendar is needed to check them.
func (c *checker) readCalendarEvents(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, readCalendarEvents)
	if err != nil {
		return fmt.Errorf("read what calendars have been: %w", err)
	}
	c.calendars = map[string][]calendarPast{}
	var data json.RawMessage
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&data, &at}, func() error {
		var told domain.Calendar
		if json.Unmarshal(data, &told) == nil {
			if set, err := calendar.Compile(told.Days); err == nil {
				c.calendars[told.Name] = append(c.calendars[told.Name], calendarPast{at, set})
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what calendars have been: %w", err)
	}
	return nil
}

// changeTakes is how long a change of a calendar may take to be committed. Until then due times fire by the version
// before.
const changeTakes = 10 * time.Minute

// byCalendars splits the chains of a schedule at each change of a calendar that moves the schedule's due times. From
// there they count anew, as after an edit.
func (c *checker) byCalendars(chains []chain) (parted []chain) {
	for _, ch := range chains {
		rule := ch.policy.Calendars
		if rule == nil || rule.Skips() {
			parted = append(parted, ch)
			continue
		}
		var changes []time.Time
		for _, name := range rule.Names() {
			for _, p := range c.calendars[name] {
				if p.from.After(ch.effective) && ch.lasts(p.from) {
					changes = append(changes, p.from)
				}
			}
		}
		slices.SortFunc(changes, time.Time.Compare)
		for _, at := range changes {
			part := ch
			part.end, part.movedUntil = at, at.Add(changeTakes)
			parted = append(parted, c.moved(part))
			ch.effective = at
		}
		parted = append(parted, c.moved(ch))
	}
	return parted
}

// moved returns a chain with its due times where the calendars at its beginning have moved them.
func (c *checker) moved(ch chain) chain {
	sets := domain.CalendarSets{}
	for _, name := range ch.policy.Calendars.Names() {
		for _, p := range c.calendars[name] {
			if !p.from.After(ch.effective) {
				sets[name] = p.set
			}
		}
	}
	if moved, err := ch.policy.Calendars.Moved(ch.recurrence, sets); err == nil {
		ch.recurrence = moved
	}
	return ch
}
