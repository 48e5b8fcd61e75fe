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
	trigger, _ := domain.Schedule{Definition: d}.Trigger()
	if every := everyOf(d); every > 0 {
		if due, ok := lastDue(d, settled); ok && !last.Add(every).After(settled) {
			return &due
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

// SettledRun returns the last run that Celery's beat is to continue from when, by what it has noted itself, it would
// send at once a due time that tactus has settled.
func SettledRun(d domain.Definition, settled time.Time) time.Time {
	if due, ok := lastDue(d, settled); ok {
		return due
	}
	return settled
}

// lastDue returns the last due time of an interval until an instant.
func lastDue(d domain.Definition, until time.Time) (due time.Time, ok bool) {
	every := everyOf(d)
	if every == 0 {
		return due, false
	}
	trigger, anchor := domain.Schedule{Definition: d}.Trigger()
	recurrence, err := trigger.Recurrence(anchor)
	if err != nil {
		return due, false
	}
	due, ok = recurrence.Next(until.Add(-every))
	return due, ok && !due.After(until)
}

func everyOf(d domain.Definition) time.Duration {
	return time.Duration(d.IntervalSeconds) * time.Second
}
