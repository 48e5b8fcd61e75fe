package results

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// running holds, for each worker, the runs that have started and not ended according to its events, with the times of
// their starts by the worker's clock. A task that raises Ignore ends without a result and without an event. Such an end
// is concluded from the worker being idle.
type running map[process]map[domain.ID]time.Time

// process is a worker. Its node name alone does not tell it from another: two projects on one host are both
// celery@host, as are the old worker of a rolling restart, which still ends what it has begun, and the new one.
type process struct {
	node string
	pid  int
}

// afterwards is how long after the start of a run its worker must be idle: a worker holds task events back for a
// moment, but not heartbeats.
const afterwards = 5 * time.Second

// The most runs of one worker, and the most workers, that are remembered. Other runs become unknown after
// Config.Timeout.
const (
	most        = 10_000
	mostWorkers = 2_000
)

// note notes what an event of a worker says of a run.
func (r running) note(worker process, a answer) {
	switch runs := r[worker]; {
	case a.status != domain.Started:
		if delete(runs, a.run); len(runs) == 0 {
			delete(r, worker)
		}
	case a.started.IsZero(): // the start by the worker's clock is not known
	case runs == nil:
		for forgotten := range r {
			if len(r) < mostWorkers {
				break
			}
			delete(r, forgotten)
		}
		r[worker] = map[domain.ID]time.Time{a.run: a.started}
	case len(runs) < most:
		runs[a.run] = a.started
	}
}

// ended concludes, from a worker that was idle at a time, that the runs it had started before have ended.
func (r running) ended(worker process, idle time.Time) (answers []answer) {
	for run, started := range r[worker] {
		if idle.Sub(started) < afterwards {
			continue
		}
		answers = append(answers, answer{
			run: run, status: domain.Unknown, final: true, worker: worker.node,
			reason: "its worker has done with it and left neither a result nor an event: the task raised Ignore, or " +
				"the event was lost",
		})
		delete(r[worker], run)
	}
	if len(r[worker]) == 0 {
		delete(r, worker)
	}
	return answers
}
