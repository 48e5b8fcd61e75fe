package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
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
	tells  func(*http.Request) bool
	log    *slog.Logger
	logged map[string]logged

	now, last *look // the one that is under way, and the one before it; nil when there is none
	waiting   int   // requests that wait for the one that is under way

	stopping bool
}

// logged is the reason of a condition that was put into the log, and when.
type logged struct {
	reason string
	at     time.Time
}

type check struct {
	name  string
	ready func(context.Context) error
}

// Add adds a condition of readiness. Each look evaluates it, at most once a second, and all who ask meanwhile wait for
// it: so it must end with its context, and share nothing with requests that could keep it waiting.
func (h *Health) Add(name string, ready func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks, h.last = append(h.checks, check{name, ready}), nil
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

// Tell has /readyz give reasons and facts only to requests that tells lets through; without it everybody gets them.
// Others are given the names of what fails, and the reasons are put into the log.
func (h *Health) Tell(tells func(*http.Request) bool, log *slog.Logger) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tells, h.log = tells, log
}

// Stop makes the process not ready for good, because it is about to end. A nil Health has nobody to tell.
func (h *Health) Stop() {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stopping = true
}

// Mount serves /livez and /readyz.
func (h *Health) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "alive"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		failing := h.Ready(r.Context())
		h.mu.Lock()
		told := h.tells == nil || h.tells(r)
		body := h.report(failing, told)
		if told && r.URL.Query().Has("verbose") {
			body["facts"] = maps.Clone(h.facts)
		}
		h.mu.Unlock()
		status := http.StatusOK
		if len(failing) > 0 {
			status = http.StatusServiceUnavailable
		}
		writeJSON(w, status, body)
	})
}

// withheld stands for the reasons that a stranger is not told: errors name servers, databases and roles.
const withheld = "the log says why, and so does this answer to a caller who may read everything"

// report returns what /readyz answers, with the reasons and details if they may be told.
func (h *Health) report(failing map[string]string, told bool) map[string]any {
	body := map[string]any{"status": "ready"}
	for name, value := range h.notes {
		body[name] = value
	}
	if told {
		for name, say := range h.said {
			if text := say(); text != "" {
				body[name] = text
			}
		}
	} else {
		h.logReasons(failing)
		for name := range failing {
			failing[name] = withheld
		}
	}
	if len(failing) > 0 {
		body["status"], body["failing"] = "not ready", failing
	}
	return body
}

const logPause = 10 * time.Second

// logReasons logs reasons that are new, those of one condition at most once in a while: strangers decide how often they
// ask.
func (h *Health) logReasons(failing map[string]string) {
	if h.logged == nil {
		h.logged = map[string]logged{}
	}
	for name, reason := range failing {
		if last := h.logged[name]; last.reason != reason && time.Since(last.at) >= logPause {
			h.log.Warn("the process is not ready", "condition", name, "err", reason)
			h.logged[name] = logged{reason, time.Now()}
		}
	}
	for name, last := range h.logged {
		if failing[name] == "" && last.reason != "" {
			h.logged[name] = logged{at: last.at}
		}
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client is gone
}
