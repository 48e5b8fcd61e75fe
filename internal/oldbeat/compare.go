package oldbeat

import (
	"fmt"
	"iter"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// Difference is one way in which a schedule will run differently under tactus.
type Difference struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Comparison says when each beat fires a schedule next, and where the two differ. A nil time means never.
type Comparison struct {
	Next        *time.Time   `json:"next" doc:"When tactus fires it."`
	NextCelery  *time.Time   `json:"next_celery" doc:"When Celery's beat would have sent it."`
	Differences []Difference `json:"differences,omitempty"`

	// FromStart says that Celery's beat would send it one interval after the beat starts, whenever that is.
	FromStart bool `json:"next_celery_from_start,omitempty"`
}

func (c *Comparison) differ(code, format string, args ...any) {
	c.Differences = append(c.Differences, Difference{code, fmt.Sprintf(format, args...)})
}

// Compare compares how tactus and Celery's beat run a schedule, as adopted or imported. typed is the cron expression as
// its author wrote it, release is that of Celery, and lastRun is the last run that Celery's beat recorded, or zero.
func Compare(s domain.Schedule, typed string, release Release, lastRun, now time.Time) (c Comparison, err error) {
	recurrence, err := s.Recurrence()
	if err != nil {
		return c, err
	}
	c.Next = next(s, recurrence, now)
	if s.RunAt == "" && s.IntervalSeconds == 0 && s.RRule == "" {
		return c, c.crontab(s, typed, release, lastRun, now)
	}
	c.NextCelery = c.Next
	if s.RRule != "" {
		return c, c.rule(s, lastRun, now)
	}
	at, _ := recurrence.Next(time.Time{})
	switch starts := heldUntil(s, now); {
	case !s.Runnable():
	case s.RunAt != "" && !starts.IsZero():
		if !at.After(starts) {
			c.atStart(s, starts, at)
		}
	case s.RunAt != "" && !at.After(now):
		c.NextCelery = &now
		c.differ("past", "its time, %s, has passed without a run: Celery's beat would send it at once, tactus never "+
			"does", s.RunAt)
	case s.IntervalSeconds != 0 && !lastRun.IsZero():
		c.interval(s, lastRun, now)
	case s.IntervalSeconds != 0:
		c.begins(s, starts, now)
	}
	c.window(s, now)
	return c, nil
}

// Next returns the first time after an instant at which tactus fires a schedule, or nil if it never does.
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

// begins says when Celery's beat sends an interval that never ran, which begins when the beat reads it.
func (c *Comparison) begins(s domain.Schedule, starts, now time.Time) {
	due := now.Add(everyOf(s.Definition))
	if !starts.IsZero() && !due.After(starts) {
		c.atStart(s, starts, due)
		return
	}
	c.NextCelery, c.FromStart = nil, true
	if !starts.IsZero() {
		c.differ("instants", "it never ran, and its start_time, %s, is less than its interval ahead: older releases of "+
			"django-celery-beat send it one interval after their start, newer ones at its start_time; tactus at %s",
			starts.UTC().Format(time.RFC3339Nano), said(c.Next))
	}
}

// interval computes the next time of an interval as Celery does, from its last run. Celery sends an overdue task at
// once.
func (c *Comparison) interval(s domain.Schedule, lastRun, now time.Time) {
	due := lastRun.Add(everyOf(s.Definition)).UTC()
	c.ahead(lastRun, now)
	if starts := heldUntil(s, now); !due.After(starts) {
		c.atStart(s, starts, due)
		return
	}
	if due.Before(now) {
		due = now
		c.differ("overdue", "it is overdue: Celery's beat would send it at once, tactus at its next due time")
	}
	c.NextCelery = &due
}

// ahead records that the last run lies in the future, as a clock that was wrong leaves it: Celery's beat counts from
// there.
func (c *Comparison) ahead(lastRun, now time.Time) {
	if lastRun.After(now) {
		c.differ("instants", "its last run, %s, lies ahead: Celery's beat sends nothing until after that, tactus at the next "+
			"due time", lastRun.UTC().Format(time.RFC3339))
	}
}

// window records that a schedule has expired.
func (c *Comparison) window(s domain.Schedule, now time.Time) {
	if ends := s.Policy().EndsAt; !ends.IsZero() && ends.Before(now) {
		c.NextCelery, c.FromStart = nil, false
		c.differ("expired", "it expired at %s: neither beat fires it", s.EndsAt)
	}
}

// crontab compares a schedule with Celery's crontab, which has no cadence: a due time in a gap is sent after the gap,
// and a repeated hour counts once.
func (c *Comparison) crontab(s domain.Schedule, typed string, release Release, lastRun, now time.Time) error {
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
	sent := theirs
	if rolling, ok := rolloverOf(theirs, typed, s.Timezone, now); ok && release.rollsOver() {
		if c.rolls(s, release, rolling, lastRun, now); release != "" {
			sent = rolling
		}
	}
	c.local(s, sent, lastRun, now)
	c.transitions(s, ours, theirs, now)
	c.window(s, now)
	return nil
}

// rule compares a schedule with RedBeat's recurrence rule, which has one offset for ever. Where the schedule has a zone
// whose clocks change, it is compared like a crontab.
func (c *Comparison) rule(s domain.Schedule, lastRun, now time.Time) error {
	trigger, _ := s.Trigger()
	ours, err := trigger.Recurrence(time.Time{})
	if err != nil {
		return err
	}
	theirs, err := Crontab(trigger)
	if err != nil {
		return err
	}
	c.local(s, theirs, lastRun, now)
	c.transitions(s, ours, theirs, now)
	c.window(s, now)
	return nil
}

// local says when Celery's beat sends a trigger of local times, which goes on from its last run.
func (c *Comparison) local(s domain.Schedule, theirs domain.Recurrence, lastRun, now time.Time) {
	c.NextCelery = next(s, theirs, now)
	if starts := heldUntil(s, now); !starts.IsZero() {
		c.held(s, theirs, starts, lastRun, now)
		return
	}
	if lastRun.IsZero() {
		return
	}
	c.ahead(lastRun, now)
	switch due, ok := theirs.Next(lastRun); {
	case ok && due.After(now):
		c.NextCelery = next(s, theirs, lastRun)
	case ok && due.Before(now) && s.Runnable():
		c.NextCelery = &now
		c.differ("overdue", "it was due at %s and has not run: Celery's beat would send it at once, tactus at its "+
			"next due time", due.UTC().Format(time.RFC3339))
	}
}

// Crontab returns the recurrence of Celery's crontab, or of RedBeat's rule, which have no cadence.
func Crontab(t domain.Trigger) (domain.Recurrence, error) {
	t.Gap, t.Overlap = "run_after", "first"
	return t.Recurrence(time.Time{})
}

// year is how many days ahead we look for changes of a zone's clocks. One may be a little more than a year away.
const year = 400

// transitions compares the due times around each change of the zone's offset, and records the first difference.
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
		c.differ("dst", "the clocks of %s change: Celery's beat sends it at %s, tactus at %s", s.Timezone,
			At(their, s.Timezone), At(own, s.Timezone))
		return
	}
}

// changeDays yields the days before each change of a zone's offset within a year.
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

// At formats an instant for people, by the clock of a zone, and names the zone. The zero time is "never".
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

// Interval describes how Celery's beat counts an interval differently when the clocks of its zone change within a year:
// it adds the interval to the local time. Interval returns an empty text when the clocks do not change.
func Interval(timezone string, now time.Time) string {
	location, err := zone.Load(zone.Link(timezone))
	if err != nil {
		return ""
	}
	for day := range changeDays(location, now) {
		_, change := day.In(location).ZoneBounds()
		return fmt.Sprintf("the clocks change at %s, and Celery's intervals follow them: the one that spans the "+
			"change is longer or shorter; "+
			"tactus counts the time that passes", At(change, timezone))
	}
	return ""
}

// parting returns the first due times in (from, to] at which two recurrences differ. A time is zero when its recurrence
// has no more due times.
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

// SpacesOfTask is the difference of a task whose name has spaces around it at its source, which are left out here.
func SpacesOfTask(theirs, ours string) Difference {
	return Difference{
		Code:    "celery_refuses",
		Message: fmt.Sprintf("Celery's beat sends a task %q, with spaces that no worker has in it; tactus sends %s", theirs, ours),
	}
}
