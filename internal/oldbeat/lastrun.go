package oldbeat

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// LastRun returns the last run that Celery's beat is to continue from when it takes over again. settled is the instant
// up to which tactus has settled all due times. Usually the result is last, the latest run under either beat. It is a
// later time when Celery, continuing from last, would send at once a due time that tactus has settled without a run. A
// nil last stays nil: Celery then counts from its own start.
func LastRun(d domain.Definition, last *time.Time, settled time.Time) *time.Time {
	if last == nil {
		return nil
	}
	trigger, anchor := domain.Schedule{Definition: d}.Trigger()
	if every := time.Duration(d.IntervalSeconds) * time.Second; every > 0 {
		if recurrence, err := trigger.Recurrence(anchor); err == nil && !last.Add(every).After(settled) {
			if due, ok := recurrence.Next(settled.Add(-every)); ok && !due.After(settled) {
				return &due
			}
		}
		return last
	}
	if theirs, err := Crontab(trigger); err == nil {
		if due, ok := theirs.Next(*last); ok && !due.After(settled) {
			return &settled
		}
	}
	return last
}
