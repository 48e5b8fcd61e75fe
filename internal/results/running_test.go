package results

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

func TestWhatIdleWorkersSay(t *testing.T) {
	t.Parallel()
	r := running{}
	w, sameName, x := process{"w", 1}, process{"w", 2}, process{"x", 1}
	done, ignored, late, others := outbox.NewID(), outbox.NewID(), outbox.NewID(), outbox.NewID()
	for run, at := range map[domain.ID]time.Time{done: noon, ignored: noon, late: noon.Add(8 * time.Second)} {
		r.note(w, answer{run: run, status: domain.Started, started: at})
	}
	r.note(x, answer{run: others, status: domain.Started, started: noon})
	r.note(w, answer{run: done, status: domain.Succeeded, final: true})
	if early := r.ended(w, noon.Add(time.Second)); len(early) != 0 {
		t.Errorf("events may still come: %+v", early)
	}
	if ended := r.ended(sameName, noon.Add(10*time.Second)); len(ended) != 0 {
		t.Errorf("another worker of the same name is idle: %+v", ended)
	}
	ended := r.ended(w, noon.Add(10*time.Second))
	if len(ended) != 1 || ended[0].run != ignored || ended[0].status != domain.Unknown || !ended[0].final ||
		ended[0].reason == "" {
		t.Errorf("%+v", ended)
	}
	if again := r.ended(w, noon.Add(11*time.Second)); len(again) != 0 {
		t.Errorf("%+v", again)
	}
	if ended = r.ended(w, noon.Add(time.Minute)); len(ended) != 1 || ended[0].run != late || r[w] != nil ||
		len(r[x]) != 1 {
		t.Errorf("%+v, %v", ended, r)
	}
}

// TestWorkersAreBounded hears of ever new workers, as where one is restarted again and again in the middle of a task.
func TestWorkersAreBounded(t *testing.T) {
	t.Parallel()
	r := running{}
	for pid := range 2 * mostWorkers {
		r.note(process{"w", pid}, answer{run: outbox.NewID(), status: domain.Started, started: noon})
	}
	if len(r) != mostWorkers || r[process{"w", 2*mostWorkers - 1}] == nil {
		t.Errorf("%d workers are remembered", len(r))
	}
}
