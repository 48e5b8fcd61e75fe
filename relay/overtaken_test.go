package relay_test

import (
	"context"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// overtaken is a sink that another relay serves while this one asks for its mark.
type overtaken struct {
	relay.Sink
	once sync.Once
	by   func()
}

func (s *overtaken) Mark(ctx context.Context) (relay.Mark, error) {
	s.once.Do(s.by)
	return s.Sink.Mark(ctx)
}

// TestAnotherRelayIsNoNewEpoch makes another relay publish a batch after this one has read the ledger and before it
// reads the mark. The sink is then ahead of what was read, but not ahead of the ledger.
func TestAnotherRelayIsNoNewEpoch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "first", 1)
	stop := w.carry(t, w.events())
	w.awaitEvents(t)
	stop()
	before, err := ledger.ReadState(t.Context(), w.pool, eventSink)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	slow := w.events()
	slow.Sink = &overtaken{Sink: slow.Sink, by: func() {
		stop := w.carry(t, w.events())
		defer stop()
		w.put(t, "second", 1)
		w.awaitEvents(t)
		close(served)
	}}
	w.carry(t, slow)
	<-served
	w.put(t, "third", 1)
	w.awaitEvents(t)
	after, err := ledger.ReadState(t.Context(), w.pool, eventSink)
	if err != nil {
		t.Fatal(err)
	}
	if after.Epoch != before.Epoch {
		t.Errorf("epoch %s after %s", after.Epoch, before.Epoch)
	}
}
