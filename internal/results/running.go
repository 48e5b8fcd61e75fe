package results

import (
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// running has the runs of each worker that have started, as its events tell, and not ended, with when they started by the
// worker's clock. A task that raises Ignore ends without a word: no result, no event. Its worker is then seen to be idle.
type running map[string]map[domain.ID]time.Time

// afterwards is how much later than the start of a run its worker must be idle: events of tasks are held back for a moment,
// heartbeats are not.
const afterwards = 5 * time.Second

// most is how many runs of one worker are remembered; of others only their silence tells.
const most = 10_000

// hear notes what an event of a worker says.
func (r running) hear(worker string, a answer) {
	switch runs := r[worker]; {
	case a.status != domain.Started:
		if delete(runs, a.run); len(runs) == 0 {
			delete(r, worker)
		}
	case a.started.IsZero(): // by its worker's clock nothing is known
	case runs == nil:
		r[worker] = map[domain.ID]time.Time{a.run: a.started}
	case len(runs) < most:
		runs[a.run] = a.started
	}
}

// ended concludes of a worker that was idle at a time that what it had started before has ended.
func (r running) ended(worker string, idle time.Time) (answers []answer) {
	for run, started := range r[worker] {
		if idle.Sub(started) < afterwards {
			continue
		}
		answers = append(answers, answer{
			run: run, status: domain.Unknown, final: true, worker: worker,
			reason: "its worker has done with it and left neither a result nor an event: the task raised Ignore, or the event was lost",
		})
		delete(r[worker], run)
	}
	if len(r[worker]) == 0 {
		delete(r, worker)
	}
	return answers
}
