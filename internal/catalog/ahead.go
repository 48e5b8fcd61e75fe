package catalog

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// The due times in lists, agendas and calendars agree with what the beat fires, because all of them follow from the
// trigger, the policy, the calendars that it names, the instant from which due times count, and a skip.

// aheadRow has the columns from which the due times of a schedule follow.
type aheadRow struct {
	ID        domain.ID
	Trigger   string
	Policy    string
	Anchor    *time.Time
	Effective time.Time // from when on due times count, or the end of a skip if that is later
}

// timetable computes the due times to come of a schedule.
type timetable struct {
	rule   domain.Recurrence // the due times of the trigger, without those that calendars exclude
	base   domain.Recurrence // the trigger alone
	policy domain.Policy
	after  time.Time
}

// next returns the first due time after an instant. The zero timetable has none.
func (a timetable) next(after time.Time) (time.Time, bool) {
	if a.rule == nil {
		return time.Time{}, false
	}
	return a.policy.Next(a.rule, latestOf(after, a.after))
}

// fires returns when a due time of a schedule fires. Like the beat it computes jitter by the trigger alone, where due
// times that calendars skip count as due times.
func (a timetable) fires(id domain.ID, due time.Time) time.Time {
	return a.policy.FireAt(id, a.seen(), due)
}

func (a timetable) seen() domain.Recurrence {
	if a.policy.Calendars.Skips() {
		return a.base
	}
	return a.rule
}

// hasRunsLeft is true for schedules s that are not completed, neither by a beat nor by their runs n of schedule_counts.
var hasRunsLeft = `s.completed_at is null and (n.fired is null
    or coalesce(n.fired < case when s.trigger = '{"once":true}' then 1 else ` + sqlexpr.PolicyMaxRuns + ` end, true))`

// compiled keeps compiled triggers and policies, and what calendars leave of them, each once. Most schedules share
// theirs with others.
type compiled struct {
	rules    map[string]domain.Recurrence
	policies map[string]domain.Policy
	left     map[string]domain.Recurrence // nil if a calendar does not exist any more
	sets     *setsReader
}

func newCompiled(tx pgx.Tx) compiled {
	return compiled{
		map[string]domain.Recurrence{},
		map[string]domain.Policy{},
		map[string]domain.Recurrence{},
		&setsReader{tx: tx, sets: domain.CalendarSets{}},
	}
}

// plain compiles a row without its calendars. It returns false for a row that cannot be read, such as one that somebody
// changed by hand.
func (c compiled) plain(row aheadRow) (a timetable, ok bool) {
	var anchor time.Time
	if row.Anchor != nil {
		anchor = *row.Anchor
	}
	key := row.Trigger + anchor.String()
	rule, known := c.rules[key]
	if !known {
		if trigger, err := domain.ParseTrigger(row.Trigger); err == nil {
			rule, _ = trigger.Recurrence(anchor)
		}
		c.rules[key] = rule
	}
	policy, known := c.policies[row.Policy]
	if !known {
		var err error
		if policy, err = domain.ParsePolicy(row.Policy); err != nil {
			return timetable{}, false
		}
		c.policies[row.Policy] = policy
	}
	return timetable{rule, rule, policy, row.Effective}, rule != nil
}

// of compiles a row with its calendars. It reads the calendars, so no other rows may be open on the connection. It
// returns false for a row that cannot be read or whose calendar does not exist any more; a beat reports both.
func (c compiled) of(ctx context.Context, row aheadRow) (a timetable, ok bool, err error) {
	if a, ok = c.plain(row); !ok || a.policy.Calendars == nil {
		return a, ok, nil
	}
	calendars := a.policy.Calendars
	sets, err := c.sets.of(ctx, domain.Definition{ExcludeCalendars: calendars.Exclude, OnlyCalendars: calendars.Only})
	if err != nil {
		return a, false, err
	}
	key := row.Trigger + row.Policy
	if row.Anchor != nil {
		key += row.Anchor.String()
	}
	left, known := c.left[key]
	if !known {
		left, _ = calendars.Left(a.base, sets)
		c.left[key] = left
	}
	a.rule = left
	return a, left != nil, nil
}
