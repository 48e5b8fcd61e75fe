package oldbeat

import (
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
)

// Release is a version of Celery, such as 5.2.6; empty when it is not known.
type Release string

// Plain is a release whose crontabs are due as their fields say.
const Plain Release = "5.3"

// rollsOver reports whether crontabs of the release leave out days as rollover says: those before 5.3. One that is not
// known is taken to do so.
func (r Release) rollsOver() bool {
	major, rest, _ := strings.Cut(string(r), ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, err := strconv.Atoi(major)
	if err != nil {
		return true
	}
	b, err := strconv.Atoi(minor)
	return err != nil || a < 5 || a == 5 && b < 3
}

// rollover is a crontab of Celery before 5.3 that names days of the month or months. When its time on a day has passed,
// it looks whether the next such day is before its last run, and takes that day's midnight for a time in UTC. West of
// UTC the last run of an evening is later than the midnight of the next day in UTC: that day is left out, and the rest
// of its month with it.
//
//	            month's day 1           2           3
//	New York  --------------|-----*-----|-----------|---   * last run, 21:00
//	UTC       ---------|----------*|-----------|--------   its instant is on day 2: day 2 seems to be over
type rollover struct {
	domain.Recurrence                   // what the fields say
	days              domain.Recurrence // the midnights, as if in UTC, of the days that the fields name, of any weekday
	location          *time.Location
}

// rolloverOf returns the recurrence of a crontab before 5.3, as its author wrote it, or false for one that leaves
// nothing out.
func rolloverOf(theirs domain.Recurrence, typed, timezone string, now time.Time) (r rollover, ok bool) {
	fields := strings.Fields(typed)
	if len(fields) != 5 || fields[2] == "*" && fields[3] == "*" {
		return r, false
	}
	location, err := zone.Load(zone.Link(timezone))
	if err != nil || !west(location, now) {
		return r, false
	}
	d := domain.Definition{CronExpression: "0 0 " + fields[2] + " " + fields[3] + " *", Timezone: "UTC"}
	days, err := domain.Schedule{Definition: d}.Recurrence()
	return rollover{theirs, days, location}, err == nil
}

// west reports whether a zone is west of UTC now or in half a year.
func west(location *time.Location, now time.Time) bool {
	for _, at := range []time.Time{now, now.AddDate(0, 6, 0)} {
		if _, offset := at.In(location).Zone(); offset < 0 {
			return true
		}
	}
	return false
}

// Next returns when the crontab is sent next after a run.
func (r rollover) Next(after time.Time) (time.Time, bool) {
	due, ok := r.Recurrence.Next(after)
	next := r.tomorrow(after)
	if !ok || after.Before(next) || r.tomorrow(due).Equal(next) || !r.names(next) {
		return due, ok
	}
	month := time.Date(next.Year(), next.Month()+1, 1, 0, 0, 0, 0, time.UTC)
	due, ok = r.Recurrence.Next(month.Add(-1))
	for ok && !r.tomorrow(due).After(month) { // an evening of the month before
		due, ok = r.Recurrence.Next(due)
	}
	return due, ok
}

// tomorrow returns the midnight after the local day of an instant, as if it were in UTC.
func (r rollover) tomorrow(at time.Time) time.Time {
	local := at.In(r.location)
	return time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, time.UTC)
}

// names reports whether the fields name a day, which is given by its midnight.
func (r rollover) names(day time.Time) bool {
	due, ok := r.days.Next(day.Add(-1))
	return ok && due.Equal(day)
}

// parts returns the first times from now on that only one of the two beats has: when tactus and when Celery goes on.
// lastRun is zero for what never ran, which Celery takes for having run when its beat starts: now.
func (r rollover) parts(lastRun, now time.Time) (own, their time.Time, parted bool) {
	run := lastRun
	if their, _ = r.Next(run); run.IsZero() || !their.After(now) {
		run = now // Celery sends at once what is overdue
	}
	for from := now; ; from = run { // where tactus goes on, which sends nothing late
		own, _ = r.Recurrence.Next(from)
		if their, _ = r.Next(run); !own.Equal(their) {
			return own, their, true
		}
		if own.IsZero() || own.After(now.AddDate(2, 0, 0)) {
			return own, their, false
		}
		// Only what follows the last run of an evening is another.
		if run = own; run.Before(r.tomorrow(run)) {
			if run, _ = r.Recurrence.Next(r.tomorrow(run).Add(-1)); run.IsZero() {
				return own, their, false
			}
		}
		for !run.Before(r.tomorrow(run)) {
			next, ok := r.Recurrence.Next(run)
			if !ok || !r.tomorrow(next).Equal(r.tomorrow(run)) {
				break
			}
			run = next
		}
	}
}

// rolls tells where a release of Celery that leaves out days, or may be one, parts from what a crontab says.
func (c *Comparison) rolls(s domain.Schedule, release Release, theirs rollover, lastRun, now time.Time) {
	own, their, parted := theirs.parts(lastRun, now)
	if !parted || !s.Runnable() {
		return
	}
	who := "Celery before 5.3"
	if release != "" {
		who = "Celery " + string(release)
	}
	c.differ("instants", "%s takes midnight for that of UTC: after a run in the evening it leaves out the next day "+
		"and the rest of the month, and sends it at %s, tactus at %s", who, At(their, s.Timezone), At(own, s.Timezone))
}
