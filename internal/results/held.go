package results

import (
	"log/slog"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// The pauses between attempts to record the answers about locked runs while nothing else is heard.
const (
	firstHeld = 500 * time.Millisecond
	lastHeld  = 10 * time.Second
)

// mostHeld is the most answers that are held. The sweeps find the rest.
const mostHeld = 4096

// held holds answers about runs whose rows another transaction had locked. They are recorded together with the answers
// that are heard next, or after growing pauses, so that no other answer waits for the lock.
type held struct {
	log   *slog.Logger
	of    gathered
	pause time.Duration // zero while nothing is held
}

// retryAt returns a channel that fires when it is time to try again. It is nil while nothing is held.
func (h *held) retryAt() <-chan time.Time {
	if h.pause == 0 {
		return nil
	}
	return time.After(h.pause)
}

// then returns the held answers together with those heard after them.
func (h *held) then(heard gathered) gathered {
	for _, a := range heard.all() {
		h.of.combine(a)
	}
	return h.of
}

// keep holds the answers about locked runs, and reports whether there was room for all.
func (h *held) keep(answers gathered, locked []domain.ID) (all bool) {
	h.of = gathered{}
	for _, id := range locked[:min(len(locked), mostHeld)] {
		h.of.combine(answers.answers[id])
	}
	switch {
	case len(locked) == 0 && h.pause > 0:
		h.log.Info("recorded the results of runs that were locked")
		h.pause = 0
	case len(locked) > 0 && h.pause == 0:
		h.log.Warn("runs are locked by another session; recording their results later", "runs", len(locked), "run_id",
			locked[0])
		h.pause = firstHeld
	case len(locked) > 0:
		h.pause = min(2*h.pause, lastHeld)
	}
	return len(locked) <= mostHeld
}
