package telemetry

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/internal/bodies"
)

// lastBodies is how long the bodies of requests may still take when the server begins to shut down, and what a handler
// has left unread once it has answered. It is less than closeTimeout, so that clients are answered.
const lastBodies = 5 * time.Second

// arriving has bodies that have not arrived soon after the server begins to shut down end with bodies.ErrStopping.
func arriving(closing <-chan struct{}, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == nil || r.Body == http.NoBody {
			handler.ServeHTTP(w, r)
			return
		}
		b := &arrival{ReadCloser: r.Body, closing: closing, control: http.NewResponseController(w)}
		r.Body = b
		answered := make(chan struct{})
		go func() {
			select {
			case <-closing:
				b.hurry()
			case <-answered:
			}
		}()
		handler.ServeHTTP(w, r)
		close(answered)
		if b.unread() && w.Header().Get("Connection") != "close" { // the server reads on, up to 256 KiB
			b.hurry()
		}
	})
}

// arrival is a body that is being read.
type arrival struct {
	io.ReadCloser
	closing <-chan struct{}
	control *http.ResponseController

	mu    sync.Mutex
	ended bool
	last  time.Time // the deadline, once it is set
}

// Read reads some of the body.
func (b *arrival) Read(into []byte) (int, error) {
	select {
	case <-b.closing:
		b.hurry() // a handler may have set a later deadline since
	default:
	}
	n, err := b.ReadCloser.Read(into)
	if err == nil {
		return n, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	switch {
	case b.last.IsZero():
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = bodies.ErrStopping
	default: // the server listens whether the client hangs up
		_ = b.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// hurry sets the deadline, the same however often it is called.
func (b *arrival) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return
	}
	if b.last.IsZero() {
		b.last = time.Now().Add(lastBodies)
	}
	_ = b.control.SetReadDeadline(b.last) // fails only when the client is gone
}

func (b *arrival) unread() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.ended
}
