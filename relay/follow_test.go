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

// serves returns the one of two relays that serves the sink while the other follows, with that other one.
func serves(a, b *relay.Relay) (serving, following *relay.Relay, ok bool) {
	switch af, bf := a.Stats()[0].Follows, b.Stats()[0].Follows; {
	case bf && !af:
		return a, b, true
	case af && !bf:
		return b, a, true
	}
	return nil, nil, false
}

// untilOneFollows writes changes until one of two relays follows the other.
func (w *world) untilOneFollows(t *testing.T, a, b *relay.Relay) (serving, following *relay.Relay) {
	t.Helper()
	testenv.Eventually(t, "one relay that follows the other", func() error {
		w.put(t, "raced", 1)
		var ok bool
		if serving, following, ok = serves(a, b); !ok {
			return errNotYet
		}
		return nil
	})
	return serving, following
}

// TestOneRelayServesASink has two relays share a sink. A slow machine may have them change places now and then, so the
// test ends as soon as 50 changes were carried by one of them alone.
func TestOneRelayServesASink(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.relay(t, relay.Config{}, w.events())
	b, _ := w.relay(t, relay.Config{}, w.events())
	testenv.Eventually(t, "50 changes that one relay alone has carried", func() error {
		serving, following := w.untilOneFollows(t, a, b)
		before, idle := serving.Stats()[0], following.Stats()[0]
		w.put(t, "carried", 50)
		w.awaitEvents(t)
		after, now := serving.Stats()[0], following.Stats()[0]
		switch {
		case now.Batches != idle.Batches || now.Published != idle.Published:
			return fmt.Errorf("the one that follows has read: %+v, then %+v", idle, now)
		case after.Published-before.Published < 50:
			return fmt.Errorf("the one that serves has carried %d", after.Published-before.Published)
		case now.Problem != nil || !now.Unpublished.IsZero():
			return fmt.Errorf("the one that follows tells of %+v", now)
		}
		return nil
	})
}

// heldUp is a sink that takes nothing while it is held, like one of a relay that was stopped.
type heldUp struct {
	relay.Sink
	until atomic.Pointer[chan struct{}] // closed when it goes on; nil while it is not held
}

func (s *heldUp) hold() (release func()) {
	until := make(chan struct{})
	s.until.Store(&until)
	return func() {
		s.until.Store(nil)
		close(until)
	}
}

func (s *heldUp) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if until := s.until.Load(); until != nil {
		select {
		case <-*until:
		case <-ctx.Done():
			return relay.Mark{}, ctx.Err()
		}
	}
	return s.Sink.Append(ctx, at, entries)
}

// TestFollowerTakesOver has the relay that serves a sink stop in the middle of an append, and later go on: the other
// one carries what was changed meanwhile, and nothing is appended twice.
func TestFollowerTakesOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	routes := [2]relay.Route{w.events(), w.events()}
	var sinks [2]*heldUp
	var relays [2]*relay.Relay
	for i := range routes {
		sinks[i] = &heldUp{Sink: routes[i].Sink}
		routes[i].Sink = sinks[i]
		relays[i], _ = w.relay(t, relay.Config{}, routes[i])
	}
	for range 3 {
		serving, _ := w.untilOneFollows(t, relays[0], relays[1])
		held := sinks[0]
		if serving == relays[1] {
			held = sinks[1]
		}
		release := held.hold()
		w.put(t, "changed meanwhile", 3)
		w.awaitEvents(t)
		release()
		w.put(t, "changed afterwards", 3)
		w.awaitEvents(t)
	}
}

// TestFollowerFindsALoss has the relay that serves a sink end, and the sink lose all that it had.
func TestFollowerFindsALoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, stopA := w.relay(t, relay.Config{}, w.events())
	b, stopB := w.relay(t, relay.Config{}, w.events())
	serving, following := w.untilOneFollows(t, a, b)
	w.awaitEvents(t)
	if serving == a {
		stopA()
	} else {
		stopB()
	}
	if err := w.redis.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	w.put(t, "changed afterwards", 3)
	w.awaitEvents(t)
	if s := following.Stats()[0]; s.Follows || s.Problem != nil && !errors.Is(s.Problem, context.Canceled) {
		t.Errorf("the one that is left: %+v", s)
	}
}
