package telemetry

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Health holds the conditions for a process to be ready.
type Health struct {
	mu     sync.Mutex
	checks []check
	facts  map[string]string
	notes  map[string]string
	said   map[string]func() string
}

type check struct {
	name  string
	ready func(context.Context) error
}

// Add adds a condition of readiness. Each request to /readyz evaluates the condition, so it must return soon.
func (h *Health) Add(name string, ready func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, check{name, ready})
}

// Fact adds a fact that /readyz?verbose shows.
func (h *Health) Fact(name, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.facts == nil {
		h.facts = map[string]string{}
	}
	h.facts[name] = value
}

// Note adds a fact that /readyz always shows, for facts that a reader must not miss.
func (h *Health) Note(name, value string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notes == nil {
		h.notes = map[string]string{}
	}
	h.notes[name] = value
}

// Say adds a detail that /readyz shows while say returns one. It does not make the process unready.
func (h *Health) Say(name string, say func() string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.said == nil {
		h.said = map[string]func() string{}
	}
	h.said[name] = say
}

const checkTimeout = 3 * time.Second

// Ready evaluates all conditions at once, each with a deadline of its own, so that a slow condition cannot make others
// fail. It returns the reasons of those that fail, by name.
func (h *Health) Ready(ctx context.Context) map[string]string {
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()
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

// Mount serves /livez and /readyz.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		body, status := map[string]any{"status": "ready"}, http.StatusOK
		if failing := h.Ready(r.Context()); len(failing) > 0 {
			body, status = map[string]any{"status": "not ready", "failing": failing}, http.StatusServiceUnavailable
		}
		h.mu.Lock()
		for name, value := range h.notes {
			body[name] = value
		}
		for name, say := range h.said {
			if text := say(); text != "" {
				body[name] = text
			}
		}
		h.mu.Unlock()
		if r.URL.Query().Has("verbose") {
			h.mu.Lock()
			body["facts"] = maps.Clone(h.facts)
			h.mu.Unlock()
		}
		writeJSON(w, status, body)
	})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client is gone
}
