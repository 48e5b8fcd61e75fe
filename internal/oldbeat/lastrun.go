package oldbeat

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// LastRun is the last run from which Celery's beat is to go on when it is in charge again, so that it sends nothing that was settled: the
// last run, wherever it was, or a later time when Celery would send at once what was settled without a run. Nil stays nil: then
// Celery counts from its own start.
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
