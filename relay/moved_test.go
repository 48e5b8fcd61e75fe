package relay_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// elsewhere is a sink that another relay moves before each append.
type elsewhere struct{ counting }

func (s *elsewhere) Append(context.Context, relay.Mark, []relay.Entry) (relay.Mark, error) {
	s.appends.Add(1)
	return relay.Mark{}, &relay.Mismatch{Real: relay.Mark{Epoch: "another"}}
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) with(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// TestMovedSinkIsTold has a sink that is never where the relay has moved it. This is logged, but not each time.
func TestMovedSinkIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "n", 1)
	route := w.events()
	sink := &elsewhere{counting{Sink: route.Sink}}
	route.Sink = sink
	var log lines
	r, err := relay.New(w.pool, []relay.Route{route}, relay.Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	testenv.Eventually(t, "the sink was moved again and again", func() error {
		if n := sink.appends.Load(); n < 5 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	cancel()
	running.Wait()
	if n, attempts := log.with(`msg="sink was moved"`), int(sink.appends.Load()); n == 0 || n >= attempts {
		t.Errorf("told %d times of %d", n, attempts)
	}
}
