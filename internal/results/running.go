package results

import (
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// running holds what events of workers say about runs that have started and not ended. A task that raises Ignore ends
// without a result and without an event; the collector concludes its end from the fact that the worker is idle.
//
// For that it needs proof that the idle worker is the one that has started the run. The node name and the process
// number do not identify a worker: two containers may both run celery@app as process 1. Heartbeats do identify it:
//
//   - In the heartbeats of one worker the clock rises, the number of tasks begun does not fall, and the heartbeats are
//     as far apart as they say. If two workers send heartbeats, three of these are enough to violate this.
//   - From one heartbeat to the next, the number of tasks rises by as many tasks as were heard to start in between.
//     This fails if one worker sends heartbeats and another one of the same name sends none because its task blocks it:
//     the number only counts the tasks of the first.
//
// If heartbeats violate this, all knowledge about the worker is dropped, and its heartbeats are not trusted until for a
// while they have been consistent with one worker. Without proof nothing is concluded, and the run becomes unknown
// after Config.Timeout.
type running struct {
	workers map[process]*worker
	heard   int64 // the number of events so far, which says which worker was heard of longest ago
}

func newRunning() running { return running{workers: map[process]*worker{}} }

// process identifies a worker, as the worker says; it need not be unique.
type process struct {
	node string
	pid  int
}

// worker is what is known about a worker, or about several workers with the same process.
type worker struct {
	heard  int64
	last   *beat
	doubts int     // how many consistent heartbeats must follow before heartbeats are trusted
	beats  []beat  // the trusted heartbeats of the last while, and one before
	starts []int64 // the clocks of the starts since the first of beats, in order
	runs   map[domain.ID]begun
}

// beat is a heartbeat.
type beat struct {
	at    time.Time
	clock int64
	celery.Heartbeat
}

// follows reports whether the same worker may have sent both heartbeats, b after last.
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
	// doubtful is how many heartbeats have to be consistent with one worker after some were not.
	doubtful = 30
)

// The most starts of one worker, and the most workers, that are remembered. Other runs become unknown after
// Config.Timeout.
const (
	most        = 10_000
	mostWorkers = 2_000
)

// note notes what an event about a task says about its worker. a is the answer that the event gives about a run, if the
// task is a run of tactus.
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

// beats notes a heartbeat, and returns conclusions about the runs that have ended.
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

// ended returns conclusions about the runs that had ended by the time of two successive idle heartbeats: the first has
// the clock earlier, the second came at the time idle.
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

// hasAll reports whether, between a heartbeat and the next one, the worker has begun as many tasks as were heard to
// start.
func (w *worker) hasAll(i int) bool {
	b, next := w.beats[i], w.beats[i+1]
	from, _ := slices.BinarySearch(w.starts, b.clock+1)
	to, _ := slices.BinarySearch(w.starts, next.clock+1)
	return int64(to-from) == next.Processed-b.Processed
}

// settle drops the heartbeats that are so old that no event from before them can still arrive.
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
