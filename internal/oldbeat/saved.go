package oldbeat

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

const (
	// saveEvery is how long Celery's beat keeps a last run to itself (sync_every is three minutes), with some time for
	// a beat that is late. It saves when it sends something, so that what it sent within this time after it saved stays
	// unsaved until something is due again, however much later that is.
	saveEvery = 3*time.Minute + 20*time.Second

	// lateness is how long after it is due a beat may send something.
	lateness = 20 * time.Second
)

// Unsaved is the code of the remark that replaces the difference "overdue" where the old beat may have run a schedule
// and not yet saved that it did.
const Unsaved = "unsaved"

// Saved has a schedule not be called overdue that the old beat may have run. lastRun is its last run that was saved,
// and newest that of all schedules: when the beat saved last, nearly.
//
//	newest        newest + saveEvery      now - saveEvery       now
//	   |--- sent, and unsaved ---|               |--- sent, and ---|
//	                             | whatever is due between has the |
//	                             | beat save all that it has sent  |
func (c *Comparison) Saved(s domain.Schedule, lastRun, newest, now time.Time) error {
	overdue := slices.IndexFunc(c.Differences, func(d Difference) bool { return d.Code == "overdue" })
	if overdue < 0 {
		return nil
	}
	after := func(at time.Time) time.Time { return at.Add(time.Duration(s.IntervalSeconds) * time.Second) }
	if s.IntervalSeconds == 0 {
		trigger, _ := s.Trigger()
		theirs, err := Crontab(trigger)
		if err != nil {
			return err
		}
		after = func(at time.Time) time.Time {
			due, ok := theirs.Next(at)
			if !ok { // nothing is due any more, and so nothing has it save
				return now
			}
			return due
		}
	}
	due, quiet := after(lastRun), newest.Add(saveEvery)
	if lastRun.After(quiet) {
		quiet = lastRun
	}
	recent := now.Add(-saveEvery)
	if !due.After(recent) && (due.Before(newest.Add(-lateness)) || !after(quiet).After(recent)) {
		return nil
	}
	c.Differences[overdue] = Difference{Unsaved, "it was due at " + due.UTC().Format(time.RFC3339) + ", and no run since " +
		"is saved: Celery's beat saves that some minutes late; if it does not run, it would send it at once when it " +
		"starts, tactus at its next due time"}
	next := after(now)
	if s.IntervalSeconds != 0 {
		every := time.Duration(s.IntervalSeconds) * time.Second
		next = due.Add((now.Sub(due)/every + 1) * every)
	}
	next = next.UTC()
	c.NextCelery = &next
	return nil
}
