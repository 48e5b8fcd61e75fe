package shadow

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// whyNotSent guesses why the old beat did not send a task that tactus would have fired.
func (c *comparison) whyNotSent(w *would) string {
	s := w.row.schedule
	if s != nil && s.CronExpression != "" {
		if err := oldbeat.Accepts(s.CronExpression); err != nil {
			return fmt.Sprintf("Celery refuses the crontab, and its beat never runs it (%v)", err)
		}
	}
	if s != nil && isDue(s, w.Due) && !isDue(withoutCalendars(s), w.Due) {
		return "its calendars move it to this time here: the old beat knows none"
	}
	if s != nil {
		if theirs, ok := celerys(s); ok && !due(theirs, w.Due) {
			return "the clocks change: the old beat's schedule is not due then"
		}
	}
	heard := false
	for _, other := range c.sent {
		if other.twin == w {
			return apart(other.At.Sub(w.Fires))
		}
		heard = heard || other.Task == w.Task
	}
	if !heard {
		return "the old beat never sent this task while it was watched: it is not there, disabled, or expired" +
			sundays(s)
	}
	return "the old beat sent this task at other times only: compare the two (tactus adopt --dry-run)"
}

// sundays returns a guess about a crontab that names Sunday: tactus stores 0 for Sunday even if the user wrote 7.
func sundays(s *domain.Schedule) string {
	if s == nil {
		return ""
	}
	fields := strings.Fields(s.CronExpression)
	if len(fields) == 0 || !strings.Contains(fields[len(fields)-1], "0") {
		return ""
	}
	return "; or its crontab has 7 for Sunday, which Celery refuses"
}

// whyNotFired guesses why tactus would not have fired a task that the old beat sent.
func (c *comparison) whyNotFired(row *Row, sent *sent) string {
	s := row.schedule
	switch {
	case s == nil:
		return "no schedule here runs this task: it was not brought over, or an application sent it"
	case !s.DeletedAt.IsZero():
		return "it was deleted here, at " + s.DeletedAt.UTC().Format(time.RFC3339)
	case s.InvalidReason != "":
		return "it is invalid here: " + s.InvalidReason
	case !s.IsEnabled():
		return "it is disabled here"
	case sent.At.Before(s.EffectiveFrom):
		return "it counts from " + s.EffectiveFrom.UTC().Format(time.RFC3339) +
			" here: it was made, enabled or edited then"
	}
	p := s.Policy()
	switch {
	case !p.EndsAt.IsZero() && sent.At.After(p.EndsAt):
		return "it has expired here, at " + s.EndsAt
	case sent.At.Before(p.StartsAt):
		return "it starts later here, at " + s.StartsAt
	}
	for _, d := range c.skipped {
		if d.Fate == Skipped && d.Schedule == s.ID && sent.At.Sub(d.Fires).Abs() <= c.tolerance.Early+c.tolerance.Late {
			return "it would be skipped here: " + d.Reason
		}
	}
	if sent.twin != nil {
		return apart(sent.At.Sub(sent.twin.Fires))
	}
	at := sent.At.Truncate(time.Minute)
	if isDue(withoutCalendars(s), at) && !isDue(s, at) {
		return "its calendars exclude that time here: the old beat knows none"
	}
	if theirs, ok := celerys(s); ok && due(theirs, at) && !isDue(s, at) {
		return "the clocks change: tactus is not due then"
	}
	return "it is not due here then: compare the two (tactus adopt --dry-run)"
}

// apart guesses why the old beat sent a task earlier or later than tactus would have. A positive late means later.
func apart(late time.Duration) string {
	text := late.Abs().Round(time.Second).String()
	quarter := late.Abs().Round(15 * time.Minute)
	switch {
	case quarter > 0 && (late.Abs()-quarter).Abs() <= 10*time.Second:
		direction := " earlier"
		if late > 0 {
			direction = " later"
		}
		return "the old beat sent it " + quarter.String() + direction + ": another time zone, or the clocks change"
	case late > 0:
		return "the old beat sent it " + text + " later: it was late (--late says how much may be)"
	default:
		return "the old beat sent it " + text + " earlier"
	}
}

// celerys returns when Celery's crontab, or RedBeat's rule, is due. ok is false for a schedule that the old beat runs
// as neither.
func celerys(s *domain.Schedule) (theirs domain.Recurrence, ok bool) {
	if s.RRule == "" && (s.CronExpression == "" || oldbeat.Accepts(s.CronExpression) != nil) {
		return nil, false
	}
	trigger, _ := s.Trigger()
	theirs, err := oldbeat.Crontab(trigger)
	return theirs, err == nil
}

// isDue reports whether a schedule is due at an instant, by its calendars if it has any.
func isDue(s *domain.Schedule, at time.Time) bool {
	enabled, on := true, *s
	on.Enabled, on.EffectiveFrom = &enabled, time.Time{}
	next, ok := on.Next(at.Add(-1))
	return ok && next.Equal(at)
}

// withoutCalendars returns a schedule as the old beat knows it.
func withoutCalendars(s *domain.Schedule) *domain.Schedule {
	plain := *s
	plain.Sets = nil
	return &plain
}

// due reports whether a recurrence is due at an instant.
func due(r domain.Recurrence, at time.Time) bool {
	next, ok := r.Next(at.Add(-1))
	return ok && next.Equal(at)
}
