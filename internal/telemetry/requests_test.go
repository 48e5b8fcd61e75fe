package telemetry_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

// TestRequestsAreCountedByRoute counts what muxes within muxes answer, what nobody answers, and what ends in a panic.
func TestRequestsAreCountedByRoute(t *testing.T) {
	t.Parallel()
	inner := http.NewServeMux()
	inner.HandleFunc("GET /things/{name}", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("name") {
		case "gone":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusGone)
		case "broken":
			panic(http.ErrAbortHandler)
		}
	})
	inner.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	})
	outer := http.NewServeMux()
	outer.Handle("GET /livez", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	outer.Handle("/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // as a guard does, with another request
		telemetry.Routed(inner).ServeHTTP(w, r.WithContext(r.Context()))
	}))
	registry := prometheus.NewRegistry()
	server := httptest.NewUnstartedServer(telemetry.Measured(registry, telemetry.Routed(outer)))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	defer server.Close()
	for _, path := range []string{"/things/a", "/things/b%20c", "/things/gone", "/stream", "/livez", "/nowhere/" + strings.Repeat("x", 100)} {
		get(t, server.URL+path)
	}
	once := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // another client would ask twice
	if response, err := once.Get(server.URL + "/things/broken"); err == nil {
		response.Body.Close()
		t.Errorf("the broken one answered %s", response.Status)
	}
	server.Close() // waits until the handlers have returned
	if err := testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP tactus_http_requests_total Requests answered, by the route that answered them (empty when they were refused before) and status, or aborted
		# TYPE tactus_http_requests_total counter
		tactus_http_requests_total{code="200",method="GET",route="/livez"} 1
		tactus_http_requests_total{code="200",method="GET",route="/stream"} 1
		tactus_http_requests_total{code="200",method="GET",route="/things/{name}"} 2
		tactus_http_requests_total{code="410",method="GET",route="/things/{name}"} 1
		tactus_http_requests_total{code="aborted",method="GET",route="/things/{name}"} 1
		tactus_http_requests_total{code="404",method="",route=""} 1
		# HELP tactus_http_requests_in_flight Requests that are being answered, endless streams included
		# TYPE tactus_http_requests_in_flight gauge
		tactus_http_requests_in_flight 0
	`), "tactus_http_requests_total", "tactus_http_requests_in_flight"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(gathered{registry}, "tactus_http_request_duration_seconds"); n != 3 {
		t.Errorf("%d routes have durations, want 3: streams have none", n)
	}
}

// TestRequestsHaveExemplars has a handler say which trace its request is part of, and asks it for its route.
func TestRequestsHaveExemplars(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /things/{name}", func(http.ResponseWriter, *http.Request) {})
	registry := prometheus.NewRegistry()
	handler := telemetry.Measured(registry, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		telemetry.Traced(r.Context(), r.Header.Get("Trace"))
		telemetry.Routed(mux).ServeHTTP(w, r.WithContext(r.Context()))
		if route := telemetry.Route(r.Context()); route != "GET /things/{name}" {
			t.Errorf("its route is %q", route)
		}
	}))
	for _, trace := range []string{"", "0af7651916cd43dd8448eb211c80319c"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/things/a", nil)
		r.Header.Set("Trace", trace)
		handler.ServeHTTP(httptest.NewRecorder(), r)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		var seen []string
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, b := range m.GetHistogram().GetBucket() {
					for _, l := range b.GetExemplar().GetLabel() {
						seen = append(seen, l.GetValue())
					}
				}
			}
		}
		if got := strings.Join(seen, " "); got != trace {
			t.Errorf("the exemplars are of %q, want %q", got, trace)
		}
	}
}

// gathered is a registry as a collector.
type gathered struct{ *prometheus.Registry }
