package results

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// running holds what the events of workers say of the runs that have started and not ended. A task that raises Ignore
// ends without a result and without an event. Such an end is concluded from the worker being idle.
//
// That takes proof that the worker which is idle is the one that has started the run. Neither its node name nor its
// process number tells it from another: in two containers both may be celery@app, with process 1. Heartbeats do:
//
//   - Of one worker the clock rises, the number of tasks that it has begun does not fall, and heartbeats are as far
//     apart as they say. Two workers that both send heartbeats break this within three of them.
//   - From one heartbeat to the next, the number of tasks rises by as many as were heard to start between them. A
//     worker that sends heartbeats beside another one that sends none, because its task blocks it, counts its own.
//
// Where that is broken, all that is known of the worker is dropped, and nothing is believed until heartbeats have been
// those of one worker for a while. Without proof nothing is concluded, and the run becomes unknown after
// Config.Timeout.
type running struct {
	workers map[process]*worker
	heard   int64 // events so far, by which it is known which worker was heard of longest ago
}

func newRunning() running { return running{workers: map[process]*worker{}} }

// process is what workers call themselves.
type process struct {
	node string
	pid  int
}

// worker is what is known of a worker, or of several that call themselves the same.
type worker struct {
	heard  int64
	last   *beat
	doubts int     // how many heartbeats of one worker must follow before they are believed
	beats  []beat  // that are believed: those of a while, and one before
	starts []int64 // the clocks of the starts since the first of beats, in order
	runs   map[domain.ID]begun
}

// beat is a heartbeat.
type beat struct {
	at    time.Time
	clock int64
	celery.Heartbeat
}

// follows reports whether one worker may have sent a heartbeat after another one.
func (b beat) follows(last beat) bool {
	return b.clock > last.clock && b.Processed >= last.Processed && b.Every == last.Every &&
		b.at.Sub(last.at).Seconds() >= b.Every*3/4
}

// begun is a run that a worker has begun.
type begun struct {
	at    time.Time
	clock int64
}

const (
	// afterwards is how long after the start of a run its worker must be idle: a worker holds task events back for a
	// moment, but not heartbeats.
	afterwards = 5 * time.Second
	// settled is after how long all starts before a heartbeat have been heard of.
	settled = 2 * afterwards
	// doubtful is how many heartbeats must be those of one worker after they were not.
	doubtful = 30
)

// The most starts of one worker, and the most workers, that are remembered. Other runs become unknown after
// Config.Timeout.
const (
	most        = 10_000
	mostWorkers = 2_000
)

// note notes what an event about a task says of its worker. a is what it says of a run of ours, if it is one.
func (r *running) note(by process, e celery.Event, a answer) {
	w := r.workers[by]
	if w == nil {
		return // without a heartbeat before it, nothing is concluded of the task
	}
	r.touch(w)
	if delete(w.runs, a.run); e.Type != "task-started" || len(w.beats) == 0 || e.Clock <= w.beats[0].clock {
		return
	}
	if len(w.starts) >= most {
		w.forget()
		return
	}
	place, _ := slices.BinarySearch(w.starts, e.Clock)
	w.starts = slices.Insert(w.starts, place, e.Clock)
	if a.status == domain.Started && !a.started.IsZero() {
		w.runs[a.run] = begun{a.started, e.Clock}
	}
}

func (r *running) touch(w *worker) {
	r.heard++
	w.heard = r.heard
}

// meet adds a worker, in the place of the one that was heard of longest ago if there are too many.
func (r *running) meet(by process) *worker {
	if len(r.workers) >= mostWorkers {
		var longest process
		for other, w := range r.workers {
			if was := r.workers[longest]; was == nil || w.heard < was.heard {
				longest = other
			}
		}
		delete(r.workers, longest)
	}
	w := &worker{runs: map[domain.ID]begun{}}
	r.workers[by] = w
	return w
}

func (w *worker) forget() {
	w.doubts, w.beats, w.starts = doubtful, nil, nil
	clear(w.runs)
}

// beats notes a heartbeat, and concludes from it which runs have ended.
func (r *running) beats(by process, e celery.Event, at time.Time) (answers []answer) {
	w := r.workers[by]
	if w == nil {
		w = r.meet(by)
	}
	r.touch(w)
	b, last := beat{at, e.Clock, *e.Heartbeat}, w.last
	w.last = &b
	switch {
	case at.IsZero(), last != nil && !b.follows(*last):
		w.forget()
		return nil
	case w.doubts > 0:
		w.doubts--
		return nil
	}
	if w.beats = append(w.beats, b); last != nil && last.Active == 0 && b.Active == 0 {
		answers = w.ended(by, last.clock, at)
	}
	w.settle(at)
	return answers
}

// ended concludes which runs had ended when the worker was idle, as it was by an earlier clock, too.
func (w *worker) ended(by process, earlier int64, idle time.Time) (answers []answer) {
	for i := range w.beats[1:] {
		if !w.hasAll(i) {
			return nil
		}
	}
	for run, start := range w.runs {
		if idle.Sub(start.at) < afterwards || start.clock > earlier {
			continue
		}
		answers = append(answers, answer{
			run: run, status: domain.Unknown, final: true, worker: by.node,
			reason: "its worker has done with it and left neither a result nor an event: the task raised Ignore, or " +
				"the event was lost",
		})
		delete(w.runs, run)
	}
	return answers
}

// hasAll reports whether the worker has begun as many tasks from a heartbeat to the next as were heard to start.
func (w *worker) hasAll(i int) bool {
	b, next := w.beats[i], w.beats[i+1]
	from, _ := slices.BinarySearch(w.starts, b.clock+1)
	to, _ := slices.BinarySearch(w.starts, next.clock+1)
	return int64(to-from) == next.Processed-b.Processed
}

// settle drops the heartbeats before which nothing will be heard of any more.
func (w *worker) settle(now time.Time) {
	for len(w.beats) > 1 && now.Sub(w.beats[1].at) > settled {
		if !w.hasAll(0) {
			w.forget()
			return
		}
		w.beats = w.beats[1:]
		n, _ := slices.BinarySearch(w.starts, w.beats[0].clock+1)
		w.starts = slices.Delete(w.starts, 0, n)
	}
}
