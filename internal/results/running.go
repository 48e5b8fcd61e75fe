package results

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// running holds, for each worker, the runs that have started and not ended according to its events, with the times of
// their starts by the worker's clock. A task that raises Ignore ends without a result and without an event. Such an end
// is concluded from the worker being idle.
type running map[string]map[domain.ID]time.Time

// afterwards is how long after the start of a run its worker must be idle: a worker holds task events back for a
// moment, but not heartbeats.
const afterwards = 5 * time.Second

// most is the most runs of one worker that are remembered. Other runs become unknown after Config.Timeout.
const most = 10_000

// hear notes an event of a worker.
func (r running) hear(worker string, a answer) {
	switch runs := r[worker]; {
	case a.status != domain.Started:
		if delete(runs, a.run); len(runs) == 0 {
			delete(r, worker)
		}
	case a.started.IsZero(): // the start by the worker's clock is not known
	case runs == nil:
		r[worker] = map[domain.ID]time.Time{a.run: a.started}
	case len(runs) < most:
		runs[a.run] = a.started
	}
}

// ended concludes, from a worker that was idle at a time, that the runs it had started before have ended.
func (r running) ended(worker string, idle time.Time) (answers []answer) {
	for run, started := range r[worker] {
		if idle.Sub(started) < afterwards {
			continue
		}
		answers = append(answers, answer{
			run: run, status: domain.Unknown, final: true, worker: worker,
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
