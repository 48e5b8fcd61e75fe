package telemetry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// look is one evaluation of all conditions. Whoever reaches the port may ask for it, without a key and as often as they
// like, and it costs statements. So there is one at a time, which serves all who ask while it is under way, and for a
// while after it has ended.
type look struct {
	ended   chan struct{}
	failing map[string]string // the reasons of what fails, by name; set when it ends
	at      time.Time         // when it ended
}

const (
	// checkTimeout is how long a condition may take.
	checkTimeout = 3 * time.Second
	// freshFor is how long a look serves those who ask.
	freshFor = time.Second
	// mostWaiting is how many requests wait for a look at most. Beyond them the one before serves, while it is no older
	// than staleFor: longer than one that hangs takes.
	mostWaiting = 64
	staleFor    = freshFor + 2*checkTimeout
)

var (
	departing = map[string]string{"stopping": "the process was told to stop, and answers only what still comes"}
	crowded   = map[string]string{"readyz": "more requests wait to be told than may: ask again"}
)

// Ready returns the reasons of the conditions that fail, by name, as they were within the last second.
func (h *Health) Ready(ctx context.Context) map[string]string {
	return maps.Clone(h.ready(ctx)) // a look is shared
}

// Keep looks every so often until ctx ends, whether or not somebody asks: a condition may do something about what it
// finds.
func (h *Health) Keep(ctx context.Context, every time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
			h.Ready(ctx)
		}
	}
}

func (h *Health) ready(ctx context.Context) map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := func(age time.Duration) bool { return h.last != nil && time.Since(h.last.at) < age }
	switch {
	case h.stopping:
		return departing
	case known(freshFor):
		return h.last.failing
	case h.now == nil:
		return h.look(context.WithoutCancel(ctx)) // it is for the others, too, when this one goes away
	case h.waiting < mostWaiting:
		return h.wait(ctx, h.now)
	case known(staleFor):
		return h.last.failing
	}
	return crowded
}

// look evaluates the conditions. It is called with the lock, and gives it back meanwhile.
func (h *Health) look(ctx context.Context) map[string]string {
	l, checks := &look{ended: make(chan struct{})}, slices.Clone(h.checks)
	h.now = l
	h.mu.Unlock()
	l.failing = evaluate(ctx, checks)
	h.mu.Lock()
	if h.now, l.at = nil, time.Now(); len(checks) == len(h.checks) { // else a condition has been added since
		h.last = l
	}
	close(l.ended)
	return l.failing
}

// wait waits for a look. It is called with the lock, and gives it back meanwhile.
func (h *Health) wait(ctx context.Context, l *look) map[string]string {
	h.waiting++
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		h.waiting--
	}()
	select {
	case <-l.ended:
		return l.failing
	case <-ctx.Done():
		return crowded // nobody reads it
	}
}

// evaluate evaluates conditions at once, each with a deadline of its own, so that a slow condition cannot make others
// fail.
func evaluate(ctx context.Context, checks []check) map[string]string {
	reasons := make([]error, len(checks))
	var asked sync.WaitGroup
	for i, c := range checks {
		asked.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTimeout)
			defer cancel()
			reasons[i] = c.ready(ctx)
		})
	}
	asked.Wait()
	failing := map[string]string{}
	for i, c := range checks {
		switch reason := reasons[i]; {
		case reason == nil:
		case failing[c.name] != "":
			failing[c.name] += "; " + reason.Error()
		default:
			failing[c.name] = reason.Error()
		}
	}
	return failing
}
