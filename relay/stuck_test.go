package relay_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// stuck is a sink that takes nothing until it is mended, and notes what the relay's Stats say about it meanwhile.
type stuck struct {
	relay.Sink
	mended atomic.Bool
	stats  atomic.Pointer[relay.Relay]
	tries  atomic.Int64
	well   atomic.Int64 // tries after the first at which it was reported as served
}

func (s *stuck) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if s.mended.Load() {
		return s.Sink.Append(ctx, at, entries)
	}
	if r := s.stats.Load(); r != nil && s.tries.Add(1) > 1 && r.Stats()[0].Problem == nil {
		s.well.Add(1)
	}
	return relay.Mark{}, errors.New("it takes nothing")
}

// TestStuckSinkIsNeverReady has a sink that fails each time. It is reported as not served between two tries as well.
func TestStuckSinkIsNeverReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	route := w.events()
	sink := &stuck{Sink: route.Sink}
	route.Sink = sink
	r, _ := w.relay(t, relay.Config{}, route)
	sink.stats.Store(r)
	w.put(t, "a", 3)
	testenv.Eventually(t, "five tries", func() error {
		if n := sink.tries.Load(); n < 5 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	if n := sink.well.Load(); n > 0 {
		t.Errorf("at %d of %d tries it was reported as served", n, sink.tries.Load())
	}
	sink.mended.Store(true)
	w.awaitEvents(t)
	testenv.Eventually(t, "served", func() error { return r.Stats()[0].Problem })
}

// TestNothingToPublishIsServed lets a relay reach its sink again while nothing waits to be published.
func TestNothingToPublishIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	route := w.events()
	away := &unreadable{Sink: route.Sink}
	route.Sink = away
	w.put(t, "a", 1)
	r, _ := w.relay(t, relay.Config{}, route)
	w.awaitEvents(t)
	away.gone.Store(true)
	testenv.Eventually(t, "the trouble is told", func() error {
		if r.Stats()[0].Problem == nil {
			return errors.New("it is not")
		}
		return nil
	})
	away.gone.Store(false)
	testenv.Eventually(t, "served", func() error { return r.Stats()[0].Problem })
}

// unreadable is a sink that sometimes fails to return its mark.
type unreadable struct {
	relay.Sink
	gone atomic.Bool
}

func (s *unreadable) Mark(ctx context.Context) (relay.Mark, error) {
	if s.gone.Load() {
		return relay.Mark{}, errors.New("it does not answer")
	}
	return s.Sink.Mark(ctx)
}
