package results

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// answer is what one source tells of a run: its result, an event, or its silence.
type answer struct {
	run       domain.ID
	status    domain.RunStatus
	final     bool
	shown     bool            // by an event: the result is text for people
	result    json.RawMessage // nil when there is none
	err       string
	traceback string
	worker    string
	reason    string    // of a conclusion of our own
	started   time.Time // zero when it is not told
	finished  time.Time
}

// statuses are Celery's states in our words. Any other one is the task's own, which tells that it runs.
var statuses = map[celery.State]domain.RunStatus{
	celery.Retry: domain.Retrying, celery.Success: domain.Succeeded, celery.Failure: domain.Failed, celery.Revoked: domain.Revoked,
}

// fromResult reads a result that is heard now; false when it tells nothing of a run.
func fromResult(r celery.Result, now time.Time) (answer, bool) {
	run, err := domain.ParseID(r.TaskID)
	if err != nil || r.Status == celery.Pending {
		return answer{}, false
	}
	a := answer{
		run: run, status: cmp.Or(statuses[r.Status], domain.Started), err: clip(r.Exception.String(), maxError),
		traceback: clipFront(r.Traceback, maxTraceback), worker: clip(r.Worker, maxError), finished: believed(r.DoneAt, now),
	}
	if r.Expired() {
		a.status = domain.Expired
	}
	if a.status == domain.Succeeded {
		a.result = clipJSON(r.Value)
	}
	a.final = a.status != domain.Started && a.status != domain.Retrying
	return a, true
}

// fromEvent reads an event that is heard now; false when it tells nothing of a run.
func fromEvent(e celery.Event, now time.Time) (answer, bool) {
	run, err := domain.ParseID(e.TaskID)
	if err != nil {
		return answer{}, false
	}
	at := believed(e.Time, now)
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
	}
	return a, true
}

// mostAhead is how far a worker's clock may be ahead of ours.
const mostAhead = 24 * time.Hour

// believed is a time that a worker tells, or zero when it is too far ahead to be true.
func believed(t, now time.Time) time.Time {
	if t.After(now.Add(mostAhead)) {
		return time.Time{}
	}
	return t
}

// longestRuntime is the longest that a task is believed to have run.
const longestRuntime = 10 * 365 * 24 * time.Hour

// startedAt is when a task started that ended at a time, or zero when that is not known.
func startedAt(end time.Time, runtime float64) time.Time {
	if end.IsZero() || !(runtime >= 0 && runtime <= longestRuntime.Seconds()) { // NaN is neither
		return time.Time{}
	}
	return end.Add(-time.Duration(runtime * float64(time.Second)))
}

// ours tells runs from tasks of others, of which a backend may be full: our ids are UUIDv7, those that Celery makes are not.
func (a answer) ours() bool { return a.run[6]>>4 == 7 }

// then is what two answers of one run tell together, the second heard after the first. A conclusion of our own gives way to
// whatever ends the run.
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

// gathered is one answer a run, in the order in which they were first heard.
type gathered struct {
	order   []domain.ID
	answers map[domain.ID]answer
}

func (g *gathered) add(a answer) {
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
