package results

import (
	"log/slog"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// How long what is locked is left alone while nothing else is heard.
const (
	firstHeld = 500 * time.Millisecond
	lastHeld  = 10 * time.Second
)

// mostHeld bounds the answers that are kept; what is beyond is left to the sweeps.
const mostHeld = 4096

// held are answers about runs whose rows somebody else had locked. They are recorded with what is heard next, or after pauses
// that grow, so that nobody else waits.
type held struct {
	log   *slog.Logger
	of    gathered
	pause time.Duration // zero while there is none
}

// again fires when it is time to try again; never while there is none.
func (h *held) again() <-chan time.Time {
	if h.pause == 0 {
		return nil
	}
	return time.After(h.pause)
}

// then is what was held, and what was heard after it.
func (h *held) then(heard gathered) gathered {
	for _, a := range heard.all() {
		h.of.add(a)
	}
	return h.of
}

// keep holds the answers about locked runs, and reports whether it has all of them.
func (h *held) keep(answers gathered, locked []domain.ID) (all bool) {
	h.of = gathered{}
	for _, id := range locked[:min(len(locked), mostHeld)] {
		h.of.add(answers.answers[id])
	}
	switch {
	case len(locked) == 0 && h.pause > 0:
		h.log.Info("the runs that were locked are recorded")
		h.pause = 0
	case len(locked) > 0 && h.pause == 0:
		h.log.Warn("runs are locked by somebody: their results are recorded later", "runs", len(locked), "run_id", locked[0])
		h.pause = firstHeld
	case len(locked) > 0:
		h.pause = min(2*h.pause, lastHeld)
	}
	return len(locked) <= mostHeld
}
