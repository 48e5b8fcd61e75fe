package importer

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	wire "github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// RowKinds are the kinds of differences that only rows of adopted tables have.
var RowKinds = []string{"invalid"}

// TableRow is a row of an adopted table, with what tactus would make of it.
type TableRow struct {
	Definition   domain.Definition // what the row defines
	OwnZone      bool              // whether the row names its time zone
	Route        domain.Route      // the route of its task in the database; empty when there is none
	DefaultQueue string            // the queue of tasks for which neither their row nor a route names one
}

// Compare returns how the application's beat would run a row differently from tactus, each difference with a remedy.
// The message of a row comes from the application's own code, as where a beat reads the tables: first the row's
// columns, then the options of the task, then the routes.
func (a Application) Compare(r TableRow, now time.Time) (differences []oldbeat.Difference) {
	differ := func(kind, message string) {
		differences = append(differences, oldbeat.Difference{Code: kind, Message: message})
	}
	a.zone(r, now, differ)
	if why := oldbeat.Interval(a.Timezone, now); r.Definition.IntervalSeconds != 0 && why != "" {
		differ("dst", why)
	}
	if why := a.misfit(r.Definition); why != "" {
		differ("celery_refuses", fmt.Sprintf("Celery's beat never sends it, because its arguments do not fit %s (%s); "+
			"tactus does", r.Definition.TaskName, why))
	}
	theirs, known, unknown := a.sends(r.Definition)
	if unknown != "" {
		differ("queue", unknown)
		return differences
	}
	for _, d := range known {
		differ(d.Kind, d.Message)
	}
	byRoutes := map[string]bool{}
	with := theirs.asRoute("")
	r.compare(with, theirs, func(kind, _ string) { byRoutes[kind] = true })
	r.compare(r.Route, theirs, func(kind, message string) {
		if !byRoutes[kind] {
			message += " (mend: tactus import routes)"
		}
		differ(kind, message)
	})
	return differences
}

// Unknown returns the difference of a row of which only the application knows where its task goes: neither the row nor
// a route here names a queue.
func (r TableRow) Unknown() []oldbeat.Difference {
	task := r.Route.Apply(r.Definition.Task())
	if task.Queue != "" || task.Through() || task.Stream != "" {
		return nil
	}
	return []oldbeat.Difference{{
		Code: "queue",
		Message: fmt.Sprintf("neither it nor a route here names a queue, and only the application knows "+
			"where its task goes: tactus sends it to %s (mend: --application FILE)", r.DefaultQueue),
	}}
}

// compare compares a message of the application with the one that tactus would send by a route. Arguments and headers
// are left out, because both take them from the row.
func (r TableRow) compare(route domain.Route, theirs sent, differ func(kind, message string)) {
	ours, err := sentBy(r.Definition.Name, route.Apply(r.Definition.Task()), wire.Config{DefaultQueue: r.DefaultQueue})
	if err != nil {
		differ("args", fmt.Sprintf("tactus cannot send it: %v", err))
		return
	}
	theirs.Args, theirs.Kwargs, theirs.Headers = ours.Args, ours.Kwargs, ours.Headers
	if theirs.Queue == nil && theirs.Exchange != "" {
		theirs.Queue = ours.Queue
	}
	theirs.compare(ours, differ)
}

// sends returns the message that the application sends for a row's task, and the ways in which tactus cannot do the
// same. unknown is the reason when the message is not known.
func (a Application) sends(d domain.Definition) (s sent, differences []told, unknown string) {
	known, registered := a.tasks[d.TaskName]
	if !registered {
		known.sent, unknown = a.unregistered(d.TaskName)
	}
	if unknown == "" {
		unknown = a.looksAtArguments(d)
	}
	s = known.sent
	if d.Queue != "" || d.Task().Through() {
		unknown = ""
	}
	if own := (destination{d.Queue, d.Exchange, d.RoutingKey}); own != (destination{}) {
		s.Queue, s.Exchange, s.RoutingKey = a.sendsTo(own.over(s.routed()))
	}
	if _, declared := a.queues[d.Queue]; d.Queue != "" && !declared && !a.makesQueues {
		known.Differences = append(known.Differences,
			told{"queue", "the application has no queue " + d.Queue +
				" and makes none: Celery's beat cannot send it"})
	}
	if d.Priority != nil {
		s.Priority = d.Priority
	}
	if d.ExpiresSeconds != 0 {
		seconds := float64(d.ExpiresSeconds)
		s.Expires = &seconds
	}
	return s, known.Differences, unknown
}

// routed returns what the task's options and its route name of where the message goes.
func (s sent) routed() (d destination) {
	switch {
	case s.Routed != nil:
		d = *s.Routed
	case s.Queue != nil:
		d.Queue = *s.Queue
	}
	return d
}

// over returns the destination with what it leaves out taken from another.
func (d destination) over(other destination) destination {
	return destination{
		cmp.Or(d.Queue, other.Queue), cmp.Or(d.Exchange, other.Exchange), cmp.Or(d.RoutingKey, other.RoutingKey),
	}
}

// sendsTo returns where Celery sends a message by all that its options and routes name together, as its
// AMQP.send_task_message does. The queue is nil when it is whichever is bound to the exchange; and when it is none,
// which is what a route has that names an exchange alone.
func (a Application) sendsTo(d destination) (queue *string, exchange, key string) {
	if d.Queue == "" && d.Exchange == "" {
		d.Queue = a.DefaultQueue
	}
	if d.Queue != "" {
		queue = &d.Queue
	}
	declared := a.queues[d.Queue]
	switch {
	case declared.Exchange == "" && (d.Exchange == "" || d.RoutingKey == ""): // a direct one is addressed by its queue
		return queue, "", ""
	case d.Exchange == "":
		return queue, declared.Exchange, cmp.Or(d.RoutingKey, declared.RoutingKey)
	default:
		return nil, d.Exchange, d.RoutingKey
	}
}

// unregistered returns the message for a task that the application does not have itself: by its patterns, or to its
// default queue.
func (a Application) unregistered(name string) (s sent, unknown string) {
	const mend = ": run the script with the name of the task as well, python3 script.py project.celery:app TASK"
	if why, asked := a.NotAsked[name]; asked {
		return s, "it is not known where the application sends it, because it cannot be sent without arguments (" +
			why + "): name the queue in the row"
	}
	if len(a.Left) > 0 {
		return s, "the application does not have the task " + name + ", and its router " + strings.Join(a.Left, ", ") +
			" was not asked where the task goes" + mend
	}
	if pattern, found := a.firstOf(name); found {
		return a.patterns[pattern], ""
	}
	s.Queue = &a.DefaultQueue
	return s, ""
}

// zone compares the time zones in which the application's beat and tactus read a row's crontab.
func (a Application) zone(r TableRow, now time.Time, differ func(kind, message string)) {
	theirs := zone.Link(a.Timezone)
	mend := "--celery-timezone " + theirs
	switch {
	case r.Definition.CronExpression == "":
		return
	case a.rowsTimezone != "":
		theirs = zone.Link(a.rowsTimezone)
		mend = "give its crontab the timezone " + theirs
	case r.OwnZone:
		return
	case theirs == "" && r.Definition.Timezone != "UTC":
		return // --celery-timezone has named the zone
	case zoneFault(theirs) != "":
		differ("zone", "it names no time zone, and "+zoneFault(
			theirs)+"; if it is "+r.Definition.Timezone+", --accept zone")
		return
	}
	there := r.Definition
	there.Timezone = theirs
	if their, our, parted := part(nextDue(there, now), nextDue(r.Definition, now)); parted {
		differ("zone", fmt.Sprintf("the application's beat sends it at %s, tactus at %s (mend: %s)",
			oldbeat.At(their, theirs), oldbeat.At(our, r.Definition.Timezone), mend))
	}
}

// nextDue returns the next due times of a schedule, or none when it is never due.
func nextDue(d domain.Definition, now time.Time) []time.Time {
	const compared = 20
	s := domain.Schedule{Definition: d}
	recurrence, err := s.Recurrence()
	if err != nil {
		return nil // the preview reports the error
	}
	return dueTimes(s.Policy(), recurrence, now, compared)
}
