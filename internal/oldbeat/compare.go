package oldbeat

import (
	"fmt"
	"iter"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// Difference is something that will not be as it was.
type Difference struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Comparison is what both beats make of a schedule, from an instant on. A nil time means never.
type Comparison struct {
	Next        *time.Time   `json:"next" doc:"When tactus fires it."`
	NextCelery  *time.Time   `json:"next_celery" doc:"When Celery's beat would have sent it."`
	Differences []Difference `json:"differences,omitempty"`
}

func (c *Comparison) differ(code, format string, args ...any) {
	c.Differences = append(c.Differences, Difference{code, fmt.Sprintf(format, args...)})
}

// Compare compares a schedule, as adopted or imported, with what Celery's beat does by its last run (zero for none) and by
// the cron expression as it was typed.
func Compare(s domain.Schedule, typed string, lastRun, now time.Time) (c Comparison, err error) {
	recurrence, err := s.Recurrence()
	if err != nil {
		return c, err
	}
	c.Next = next(s, recurrence, now)
	if s.RunAt == "" && s.IntervalSeconds == 0 {
		return c, c.crontab(s, typed, lastRun, now)
	}
	c.NextCelery = c.Next
	at, _ := recurrence.Next(time.Time{})
	switch {
	case !s.Runnable():
	case s.RunAt != "" && !at.After(now):
		c.NextCelery = &now
		c.differ("past", "its time, %s, has passed without a run: Celery's beat would send it at once, tactus never does", s.RunAt)
	case s.IntervalSeconds != 0 && !lastRun.IsZero():
		c.interval(s, lastRun, now)
	}
	c.window(s, now)
	return c, nil
}

// Next is when tactus fires a schedule first after an instant; nil when never.
func Next(s domain.Schedule, after time.Time) (*time.Time, error) {
	recurrence, err := s.Recurrence()
	if err != nil {
		return nil, err
	}
	return next(s, recurrence, after), nil
}

func next(s domain.Schedule, r domain.Recurrence, after time.Time) *time.Time {
	if !s.Runnable() {
		return nil
	}
	due, ok := s.Policy().Next(r, after)
	if !ok {
		return nil
	}
	due = due.UTC()
	return &due
}

// interval follows the last run, as Celery does: what is overdue is sent at once.
func (c *Comparison) interval(s domain.Schedule, lastRun, now time.Time) {
	due := lastRun.Add(time.Duration(s.IntervalSeconds) * time.Second).UTC()
	if due.Before(now) {
		due = now
		c.differ("overdue", "it is overdue: Celery's beat would send it at once, tactus at its next due time")
	}
	c.NextCelery = &due
}

// window tells of limits that have been reached.
func (c *Comparison) window(s domain.Schedule, now time.Time) {
	if ends := s.Policy().EndsAt; !ends.IsZero() && ends.Before(now) {
		c.NextCelery = nil
		c.differ("expired", "it expired at %s: neither beat fires it", s.EndsAt)
	}
}

// crontab compares with Celery's crontab, which knows nothing of cadence: a time in a gap is sent after it, and a
// repeated hour counts once.
func (c *Comparison) crontab(s domain.Schedule, typed string, lastRun, now time.Time) error {
	trigger, _ := s.Trigger()
	ours, err := trigger.Recurrence(time.Time{})
	if err != nil {
		return err
	}
	if err := Accepts(typed); err != nil {
		c.differ("celery_refuses", "Celery's beat never runs it (%v); tactus does", err)
		return nil
	}
	theirs, err := Crontab(trigger)
	if err != nil {
		return err
	}
	c.NextCelery = next(s, theirs, now)
	if due, ok := theirs.Next(lastRun); s.Runnable() && !lastRun.IsZero() && ok && due.Before(now) {
		c.NextCelery = &now
		c.differ("overdue", "it was due at %s and has not run: Celery's beat would send it at once, tactus at its next due time", due.UTC().Format(time.RFC3339))
	}
	c.transitions(s, ours, theirs, now)
	c.window(s, now)
	return nil
}

// Crontab is when Celery's crontab is due: it knows nothing of cadence.
func Crontab(t domain.Trigger) (domain.Recurrence, error) {
	t.Gap, t.Overlap = "run_after", "first"
	return t.Recurrence(time.Time{})
}

// year is how far ahead transitions are looked for, in days; one may be a little more than a year away.
const year = 400

// transitions looks at the due times around each change of the zone's offset.
func (c *Comparison) transitions(s domain.Schedule, ours, theirs domain.Recurrence, now time.Time) {
	location, err := zone.Load(s.Timezone)
	if err != nil || !s.Runnable() {
		return
	}
	for day := range changeDays(location, now) {
		from, to := day.AddDate(0, 0, -1), day.AddDate(0, 0, 2)
		own, their, parted := parting(ours, theirs, from, to)
		if !parted {
			continue
		}
		c.differ("dst", "the clocks of %s change: Celery's beat sends it at %s, tactus at %s", s.Timezone, At(their, s.Timezone), At(own, s.Timezone))
		return
	}
}

// changeDays are the days before changes of a zone's offset within a year.
func changeDays(location *time.Location, now time.Time) iter.Seq[time.Time] {
	offset := func(at time.Time) int {
		_, seconds := at.In(location).Zone()
		return seconds
	}
	return func(yield func(time.Time) bool) {
		for n := range year {
			day := now.AddDate(0, 0, n)
			if offset(day) != offset(day.AddDate(0, 0, 1)) && !yield(day) {
				return
			}
		}
	}
}

// At is an instant for people, by the clock of a zone, which it names; zero is never.
func At(t time.Time, timezone string) string {
	location, err := zone.Load(zone.Link(timezone))
	switch {
	case t.IsZero():
		return "never"
	case err != nil || timezone == "":
		return t.UTC().Format(time.RFC3339)
	}
	return t.In(location).Format(time.RFC3339) + " (" + timezone + ")"
}

// Interval tells in which way Celery's beat counts an interval otherwise when the clocks of its zone change within a year, because
// it adds to the local time. Empty when the clocks do not change.
func Interval(timezone string, now time.Time) string {
	location, err := zone.Load(zone.Link(timezone))
	if err != nil {
		return ""
	}
	for day := range changeDays(location, now) {
		_, change := day.In(location).ZoneBounds()
		return fmt.Sprintf("the clocks change at %s, and Celery's intervals follow them: the one that spans the change is longer or shorter; "+
			"tactus counts the time that passes", At(change, timezone))
	}
	return ""
}

// parting returns the due times at which two recurrences part in (from, to]; zero when one of them has no more.
func parting(ours, theirs domain.Recurrence, from, to time.Time) (own, their time.Time, parted bool) {
	next := func(r domain.Recurrence, after time.Time) time.Time {
		at, _ := r.Next(after)
		return at
	}
	for after := from; ; after = own {
		own, their = next(ours, after), next(theirs, after)
		switch {
		case (own.IsZero() || own.After(to)) && (their.IsZero() || their.After(to)):
			return own, their, false
		case !own.Equal(their):
			return own, their, true
		}
	}
}
