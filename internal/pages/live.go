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

// The bell tells open pages that something may have changed; they fetch what they show, and morph. However many pages
// are open, the database is asked once a second, and not at all while none is.
type bell struct {
	catalog *catalog.Catalog
	log     *slog.Logger

	mu        sync.Mutex
	listeners map[chan struct{}]string // with whose page it is
	stop      context.CancelFunc
}

const (
	maxListeners = 256
	maxOfOne     = 32 // of one client
	pulsePause   = time.Second
	ringAnyway   = 15 * time.Second // what no pulse shows, such as a beat that is gone, is seen by then
	silence      = 15 * time.Second
	sendTimeout  = 10 * time.Second
)

func newBell(c *catalog.Catalog, log *slog.Logger) *bell {
	return &bell{catalog: c, log: log, listeners: map[chan struct{}]string{}}
}

// listen returns a channel of rings for a client until leave is called; ok is false when too many listen.
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
		default: // it has one to hear still
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
			b.log.Debug("no pulse", "err", err) // pages say so themselves when they are fetched
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

// live rings until the client is gone or logged out, or the server shuts down (Server-Sent Events). The browser
// connects again by itself.
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
	w.Header().Set("X-Accel-Buffering", "no") // a proxy shall not hold back what is sent
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // a recorder of tests has none
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
		if domain.FaultsOf(access.StillIn(r.Context())) != nil { // an outage is none: a browser would not come back from it
			return
		}
	}
}
