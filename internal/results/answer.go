package results

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// answer is what one source says about a run: its result, an event, or its silence.
type answer struct {
	run       domain.ID
	status    domain.RunStatus
	final     bool
	shown     bool            // whether it comes from an event, whose result is a text for people
	result    json.RawMessage // nil when there is none
	err       string
	traceback string
	worker    string
	reason    string    // why the collector concluded this; empty for a worker's answer
	started   time.Time // zero when not known
	finished  time.Time
}

// statuses maps Celery's states to ours. Any other state is one of the task's own, which means that the task runs.
var statuses = map[celery.State]domain.RunStatus{
	celery.Retry: domain.Retrying, celery.Success: domain.Succeeded, celery.Failure: domain.Failed,
	celery.Revoked: domain.Revoked,
}

// fromResult converts a result that was heard now. It returns false for a result that says nothing about a run.
func fromResult(r celery.Result, now time.Time) (answer, bool) {
	run, err := domain.ParseID(r.TaskID)
	if err != nil || r.Status == celery.Pending {
		return answer{}, false
	}
	a := answer{
		run: run, status: cmp.Or(statuses[r.Status], domain.Started), err: clip(r.Exception.String(), maxError),
		traceback: clipFront(r.Traceback, maxTraceback), worker: clip(r.Worker, maxError),
		finished: plausible(r.DoneAt, now),
	}
	if r.Expired() {
		a.status = domain.Expired
	}
	if a.status == domain.Succeeded {
		a.result = clipJSON(r.Value)
	}
	a.final = a.status != domain.Started && a.status != domain.Retrying
	a.worded()
	return a, true
}

// fromEvent converts an event that was heard now. It returns false for an event that says nothing about a run.
func fromEvent(e celery.Event, now time.Time) (answer, bool) {
	run, err := domain.ParseID(e.TaskID)
	if err != nil {
		return answer{}, false
	}
	at := plausible(e.Time, now)
	a := answer{run: run, shown: true, worker: clip(e.Hostname, maxError)}
	switch e.Type {
	case "task-started":
		a.status, a.started = domain.Started, at
	case "task-retried":
		a.status, a.err, a.traceback = domain.Retrying, e.Exception, e.Traceback
	case "task-succeeded":
		a.status, a.started = domain.Succeeded, startedAt(at, e.Runtime)
		quoted, _ := json.Marshal(e.Result) // strings always encode
		a.result = clipJSON(quoted)
	case "task-failed":
		a.status, a.err, a.traceback = domain.Failed, e.Exception, e.Traceback
	case "task-revoked":
		a.status = domain.Revoked
		if e.Expired {
			a.status = domain.Expired
		}
	case "task-rejected":
		if e.Requeue {
			return answer{}, false
		}
		a.status, a.err = domain.Failed, "rejected by the task"
	default:
		return answer{}, false
	}
	a.err, a.traceback = clip(a.err, maxError), clipFront(a.traceback, maxTraceback)
	if a.final = a.status != domain.Started && a.status != domain.Retrying; a.final {
		a.finished = at
		a.worded()
	}
	return a, true
}

// worded gives a run that did not succeed an error if it has none, since failed runs are found by their errors.
func (a *answer) worded() {
	switch {
	case a.err != "":
	case a.status == domain.Failed:
		a.err = "nothing is known of its exception"
	case a.status == domain.Revoked, a.status == domain.Expired:
		a.err = "TaskRevokedError: " + string(a.status) // as the result says it
	}
}

// mostAhead is how far a worker's clock may be ahead of ours.
const mostAhead = 24 * time.Hour

// plausible returns a time that a worker reports, or zero when it is too far ahead to be true.
func plausible(t, now time.Time) time.Time {
	if t.After(now.Add(mostAhead)) {
		return time.Time{}
	}
	return t
}

// longestRuntime is the longest runtime of a task that a worker's event is trusted with.
const longestRuntime = 10 * 365 * 24 * time.Hour

// startedAt returns when a task started that ended at end, given its runtime in seconds. It returns zero when the start
// is not known.
func startedAt(end time.Time, runtime float64) time.Time {
	if end.IsZero() || !(runtime >= 0 && runtime <= longestRuntime.Seconds()) { // NaN satisfies neither
		return time.Time{}
	}
	return end.Add(-time.Duration(runtime * float64(time.Second)))
}

// ours reports whether a task is a run and not one of another application. Our ids are UUIDv7; those that Celery makes
// are not.
func ours(task domain.ID) bool { return task[6]>>4 == 7 }

// then combines two answers about one run, the second heard after the first. A conclusion of the collector gives way to
// any answer that ends the run.
func (a answer) then(b answer) answer {
	if a.final && (!b.final || a.reason == "" && (b.shown || b.reason != "")) {
		a, b = b, a
	}
	b.worker = cmp.Or(b.worker, a.worker)
	if !a.started.IsZero() && (b.started.IsZero() || a.started.Before(b.started)) {
		b.started = a.started
	}
	return b
}

// gathered holds one answer for each run, in the order in which the runs were first heard of.
type gathered struct {
	order   []domain.ID
	answers map[domain.ID]answer
}

// combine adds an answer to those about the same run.
func (g *gathered) combine(a answer) {
	if g.answers == nil {
		g.answers = map[domain.ID]answer{}
	}
	before, known := g.answers[a.run]
	if !known {
		g.order = append(g.order, a.run)
		g.answers[a.run] = a
		return
	}
	g.answers[a.run] = before.then(a)
}

func (g *gathered) all() []answer {
	all := make([]answer, len(g.order))
	for i, id := range g.order {
		all[i] = g.answers[id]
	}
	return all
}
