package telemetry_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

// readiness counts what /readyz answers to many at once.
type readiness struct {
	handler http.Handler
	mu      sync.Mutex
	answers map[int]int
}

func newReadiness(h *telemetry.Health) *readiness {
	mux := http.NewServeMux()
	h.Mount(mux)
	return &readiness{handler: mux, answers: map[int]int{}}
}

// ask sends a request, and answers its status.
func (r *readiness) ask(ctx context.Context) int {
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[w.Code]++
	return w.Code
}

func (r *readiness) answered(status int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answers[status]
}

// TestOneLookServesAll has strangers ask more often than the conditions are looked at.
func TestOneLookServesAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h telemetry.Health
		var looks atomic.Int64
		var broken atomic.Bool
		h.Add("postgres", func(context.Context) error {
			looks.Add(1)
			time.Sleep(10 * time.Millisecond)
			if broken.Load() {
				return errors.New("it is away")
			}
			return nil
		})
		r := newReadiness(&h)
		for range 50 {
			go r.ask(t.Context())
		}
		synctest.Wait()
		if n := looks.Load(); n != 1 {
			t.Fatalf("50 requests at once had %d looks, want 1", n)
		}
		time.Sleep(11 * time.Millisecond)
		synctest.Wait()
		if n := r.answered(http.StatusOK); n != 50 {
			t.Fatalf("%d of 50 were answered 200", n)
		}
		broken.Store(true)
		for range 9_000 { // in 900 ms
			time.Sleep(100 * time.Microsecond)
			if status := r.ask(t.Context()); status != http.StatusOK {
				t.Fatalf("%d within a second of the look", status)
			}
		}
		if n := looks.Load(); n != 1 {
			t.Errorf("9,000 requests within a second had %d more looks", n-1)
		}
		time.Sleep(time.Second)
		if status, n := r.ask(t.Context()), looks.Load(); status != http.StatusServiceUnavailable || n != 2 {
			t.Errorf("a second later: %d, by %d looks", status, n)
		}
		broken.Store(false)
		time.Sleep(2 * time.Second)
		if status := r.ask(t.Context()); status != http.StatusOK {
			t.Errorf("%d when it is well again", status)
		}
	})
}

// TestLookThatHangs has strangers ask while a look hangs: a bounded number waits for it, who goes away ends it for
// nobody, and the others are told what the look before it has found.
func TestLookThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h telemetry.Health
		var looks atomic.Int64
		var hangs atomic.Bool
		h.Add("postgres", func(ctx context.Context) error {
			looks.Add(1)
			if hangs.Load() {
				<-ctx.Done()
			}
			return ctx.Err()
		})
		r := newReadiness(&h)
		gone, leave := context.WithCancel(t.Context())
		hangs.Store(true)
		go r.ask(gone)
		synctest.Wait()
		leave()
		for range 1_000 {
			go r.ask(t.Context())
		}
		synctest.Wait()
		if n := r.answered(http.StatusServiceUnavailable); n < 900 || n > 960 {
			t.Errorf("%d of 1,000 do not wait for the first look, want most", n)
		}
		hangs.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n, asked := looks.Load(), r.answered(http.StatusServiceUnavailable); n != 1 || asked != 1_001 {
			t.Errorf("%d looks, and %d answers of 503, want 1 and 1,001", n, asked)
		}

		if status := r.ask(t.Context()); status != http.StatusOK {
			t.Fatalf("%d when it is well", status)
		}
		hangs.Store(true)
		time.Sleep(1500 * time.Millisecond)
		for range 1_000 {
			go r.ask(t.Context())
		}
		synctest.Wait()
		if n := r.answered(http.StatusOK); n < 900 || n > 960 {
			t.Errorf("%d of 1,000 are told what was found a second ago, want most, and not all", n)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if status, n := r.ask(t.Context()), looks.Load(); status != http.StatusServiceUnavailable || n != 3 {
			t.Errorf("after a look that hung: %d, by %d looks", status, n)
		}
	})
}

// TestLooksWhenNobodyAsks counts the looks of a minute.
func TestLooksWhenNobodyAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h telemetry.Health
		looks := 0
		h.Add("a", func(context.Context) error { looks++; return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		if err := h.Keep(ctx, 5*time.Second); err != nil || looks != 12 {
			t.Errorf("%d looks, %v", looks, err)
		}
	})
}
