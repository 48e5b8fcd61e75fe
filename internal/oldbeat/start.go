package oldbeat

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// django-celery-beat holds a schedule back until its start_time, and only then asks whether it is due, from its last
// run on. So it sends at the start_time what fell due before, which is not due in tactus. Only its rows have a start.

// heldUntil returns the start of a schedule when it lies ahead, or zero.
func heldUntil(s domain.Schedule, now time.Time) time.Time {
	if starts := s.Policy().StartsAt; s.Runnable() && s.RRule == "" && starts.After(now) {
		return starts
	}
	return time.Time{}
}

// atStart records that Celery's beat sends a schedule at its start, because it falls due before, at due.
func (c *Comparison) atStart(s domain.Schedule, starts, due time.Time) {
	starts = starts.UTC()
	c.NextCelery = &starts
	if c.Next != nil && c.Next.Equal(starts) {
		return
	}
	after := ""
	if s.IntervalSeconds != 0 {
		after = ", and counts its interval from there"
	}
	c.differ("instants", "it is held back until its start_time and falls due before, at %s: Celery's beat sends it at "+
		"its start_time, %s%s; tactus at %s", said(&due), starts.Format(time.RFC3339Nano), after, said(c.Next))
}

// held says when Celery's beat sends a crontab whose start lies ahead.
func (c *Comparison) held(s domain.Schedule, theirs domain.Recurrence, starts, lastRun, now time.Time) {
	from := lastRun
	if lastRun.IsZero() {
		from = now
	}
	c.ahead(from, now)
	due, ok := theirs.Next(from)
	switch {
	case ok && !due.After(starts):
		c.atStart(s, starts, due)
	case lastRun.IsZero():
		c.neverRan(starts)
	default:
		c.NextCelery = next(s, theirs, lastRun)
	}
}

// neverRan records what newer releases of django-celery-beat do with a crontab that never ran and is not due before its
// start.
func (c *Comparison) neverRan(starts time.Time) {
	if c.Next != nil && c.Next.Equal(starts) {
		return
	}
	c.differ("instants", "it never ran: newer releases of django-celery-beat, which take it for long overdue, send it "+
		"at its start_time, %s, besides; tactus at %s", starts.UTC().Format(time.RFC3339Nano), said(c.Next))
}

func said(at *time.Time) string {
	if at == nil {
		return "no time"
	}
	return at.UTC().Format(time.RFC3339)
}

// Began reports whether a schedule has been due, as tactus has it, from its start until an instant.
func Began(d domain.Definition, until time.Time) bool {
	starts := d.Policy().StartsAt
	if starts.IsZero() {
		return true
	}
	recurrence, err := domain.Schedule{Definition: d}.Recurrence()
	if err != nil {
		return true
	}
	due, ok := recurrence.Next(starts.Add(-time.Nanosecond))
	return ok && !due.After(until)
}

// Owes reports whether Celery's beat, counting from an instant, sends a schedule at its start.
func Owes(d domain.Definition, from time.Time) bool {
	starts := d.Policy().StartsAt
	if every := everyOf(d); every > 0 {
		return !from.Add(every).After(starts)
	}
	trigger, _ := domain.Schedule{Definition: d}.Trigger()
	theirs, err := Crontab(trigger)
	if err != nil {
		return false
	}
	due, ok := theirs.Next(from)
	return ok && !due.After(starts)
}
