package pages

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

// bell tells open pages that something may have changed, so that they fetch themselves again. However many pages are
// open, it asks the database once a second, and never while no page is open.
type bell struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	mu        sync.Mutex
	listeners map[chan struct{}]string // the client that each belongs to
	stop      context.CancelFunc
}

const (
	maxListeners = 256
	maxOfOne     = 32 // for each client
	pulsePause   = time.Second
	ringAnyway   = 15 * time.Second // for changes that no pulse shows, such as a beat that is gone
	silence      = 15 * time.Second
	sendTimeout  = 10 * time.Second
)

func newBell(c *catalog.Catalog, log *slog.Logger) *bell {
	return &bell{catalog: c, log: log, listeners: map[chan struct{}]string{}}
}

// listen returns a channel on which the bell rings for a client until leave is called. ok is false if too many listen.
func (b *bell) listen(client string) (rings <-chan struct{}, leave func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	theirs := 0
	for _, other := range b.listeners {
		if other == client {
			theirs++
		}
	}
	if len(b.listeners) >= maxListeners || theirs >= maxOfOne {
		return nil, nil, false
	}
	mine := make(chan struct{}, 1)
	b.listeners[mine] = client
	if len(b.listeners) == 1 {
		ctx, cancel := context.WithCancel(context.Background())
		b.stop = cancel
		go b.watch(ctx)
	}
	return mine, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.listeners, mine)
		if len(b.listeners) == 0 {
			b.stop()
		}
	}, true
}

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		select {
		case l <- struct{}{}:
		default: // a ring is waiting there already
		}
	}
}

func (b *bell) watch(ctx context.Context) {
	var last string
	rung := time.Now()
	for {
		asked, cancel := context.WithTimeout(ctx, requestTimeout)
		pulse, err := b.catalog.Pulse(asked)
		cancel()
		if err != nil && ctx.Err() == nil {
			b.log.Debug("no pulse", "err", err) // the pages show it when they are fetched
		}
		if last != "" && pulse != last || time.Since(rung) > ringAnyway {
			rung = time.Now()
			b.ring()
		}
		last = pulse
		select {
		case <-ctx.Done():
			return
		case <-time.After(pulsePause):
		}
	}
}

// live sends the rings as Server-Sent Events until the client is gone or logged out, or the server shuts down. The
// browser reconnects by itself.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	if err := mayRead.Demand(r.Context()); err != nil {
		access.Answer(w, err)
		return
	}
	rings, leave, ok := s.bell.listen(access.Client(r))
	if !ok {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer leave()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no") // keeps nginx from buffering the events
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // the recorder of a test does not support it
	text := "retry: 2000\n\n"
	for {
		_ = control.SetWriteDeadline(time.Now().Add(sendTimeout))
		if _, err := fmt.Fprint(w, text); err != nil || control.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-telemetry.Draining(r.Context()):
			return
		case <-rings:
			text = "event: pulse\ndata: now\n\n"
		case <-time.After(silence):
			text = ": still here\n\n"
		}
		if domain.FaultsOf(access.StillIn(r.Context())) != nil { // an outage is no such fault: the browser would not reconnect after it
			return
		}
	}
}
