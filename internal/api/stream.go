package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

const (
	streamPoll      = 250 * time.Millisecond
	streamPollQuiet = time.Second
	streamSilence   = 15 * time.Second // then a comment is sent, which keeps the connection or shows that it is gone
	streamWrite     = 10 * time.Second // how long a client may take to receive what is sent
)

// stream sends events as they are committed (Server-Sent Events), until the client disconnects or may read no more, the
// server shuts down or the database fails. A client that connects again continues where it was.
func (s *server) stream(c huma.Context, f *feed, events []event) {
	r, w := humago.Unwrap(c)
	leave, ok := s.streams.enter(access.Client(r))
	if !ok {
		w.Header().Set("Retry-After", "5")
		writeProblem(w, http.StatusTooManyRequests)
		return
	}
	defer leave()
	out := &eventWriter{w: w, control: http.NewResponseController(w), pause: streamPoll}
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no") // keeps a proxy from buffering
	err := out.control.SetReadDeadline(time.Time{})
	if err == nil {
		err = out.send("retry: 1000\n\n")
	}
	for err == nil {
		if err = out.events(events); err == nil && !f.more {
			err = out.rest(r.Context(), len(events) == 0)
		}
		if err == nil {
			err = access.StillIn(r.Context())
		}
		if err == nil {
			events, err = f.next(r.Context())
		}
	}
	if !errors.Is(err, errOver) && r.Context().Err() == nil {
		s.log.Info("a stream of events ended", "err", err)
	}
}

// errOver ends a stream without an error.
var errOver = errors.New("the stream is over")

type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
	last    time.Time
	pause   time.Duration
}

func (o *eventWriter) events(events []event) error {
	for _, e := range events {
		if err := o.send("id: %s\nevent: %s\ndata: %s\n\n", e.at, e.kind, e.json); err != nil {
			return err
		}
	}
	return nil
}

// rest waits until it is time to read again. It waits longer while there are no events.
func (o *eventWriter) rest(ctx context.Context, quiet bool) error {
	o.pause = min(2*o.pause, streamPollQuiet)
	if !quiet {
		o.pause = streamPoll
	}
	select {
	case <-ctx.Done():
		return errOver
	case <-telemetry.Draining(ctx):
		return errOver
	case <-time.After(o.pause):
	}
	if time.Since(o.last) > streamSilence {
		return o.send(": still here\n\n")
	}
	return nil
}

func (o *eventWriter) send(format string, args ...any) error {
	o.last = time.Now()
	if err := o.control.SetWriteDeadline(o.last.Add(streamWrite)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(o.w, format, args...); err != nil {
		return err
	}
	return o.control.Flush()
}
