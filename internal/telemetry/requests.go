package telemetry

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// requests are the figures of what a server answers. They are by route, which is the pattern of an address with its
// names left out, so that strangers cannot make series.
type requests struct {
	answered *prometheus.CounterVec
	took     *prometheus.HistogramVec
	open     prometheus.Gauge
}

func newRequests(r prometheus.Registerer) *requests {
	m := &requests{
		answered: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tactus_http_requests_total",
			Help: "Requests answered, by the route that answered them (empty when they were refused before) and status, or aborted",
		}, []string{"method", "route", "code"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:                        "tactus_http_request_duration_seconds",
			Help:                        "How long requests took until they were answered, endless streams left out",
			Buckets:                     []float64{.003, .01, .03, .1, .3, 1, 3, 10},
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100,
		}, []string{"method", "route"}),
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tactus_http_requests_in_flight", Help: "Requests that are being answered, endless streams included",
		}),
	}
	r.MustRegister(m.answered, m.took, m.open)
	return m
}

// Measured counts the requests that a handler answers, and how long they take. The handler says by Routed which route
// it was.
func Measured(r prometheus.Registerer, handler http.Handler) http.Handler {
	m := newRequests(r)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.open.Inc()
		defer m.open.Dec()
		var of request
		answer := &status{ResponseWriter: w}
		began, code := time.Now(), "aborted"
		defer func() { // a handler that panics aborts its answer
			method, route, _ := strings.Cut(of.route, " ")
			m.answered.WithLabelValues(method, route, code).Inc()
			if w.Header().Get("Content-Type") != "text/event-stream" {
				of.observe(m.took.WithLabelValues(method, route), time.Since(began))
			}
		}()
		handler.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), requestKey{}, &of)))
		code = strconv.Itoa(answer.orOK())
	})
}

type requestKey struct{}

// request is what its handler says of it.
type request struct {
	route string // method and pattern; "" before it is known, and when nobody answers
	trace string // the id of the trace that it is part of; "" when that is not recorded
}

// observe notes how long the request took, with its trace as an example of requests that take so long.
func (r request) observe(took prometheus.Observer, by time.Duration) {
	if with, ok := took.(prometheus.ExemplarObserver); ok && r.trace != "" {
		with.ObserveWithExemplar(by.Seconds(), prometheus.Labels{"trace_id": r.trace})
		return
	}
	took.Observe(by.Seconds())
}

// Route returns the method and the pattern of a request that Measured has passed on and Routed has served; "" before.
func Route(ctx context.Context) string {
	if of, ok := ctx.Value(requestKey{}).(*request); ok {
		return of.route
	}
	return ""
}

// Traced notes for Measured the trace that a request is part of.
func Traced(ctx context.Context, trace string) {
	if of, ok := ctx.Value(requestKey{}).(*request); ok {
		of.trace = trace
	}
}

// Routed serves requests by a mux and notes for Measured which pattern served them. Where a mux stands within another
// one, the inner pattern counts.
func Routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			of, ok := r.Context().Value(requestKey{}).(*request)
			if ok && of.route == "" && strings.Contains(r.Pattern, " ") {
				of.route = r.Pattern
			}
		}()
		mux.ServeHTTP(w, r)
	})
}

// status remembers the status of an answer.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	if s.code == 0 && code >= http.StatusOK { // those below announce an answer
		s.code = code
	}
	s.ResponseWriter.WriteHeader(code)
}

func (s *status) orOK() int {
	if s.code == 0 {
		return http.StatusOK
	}
	return s.code
}

// Unwrap is for http.ResponseController.
func (s *status) Unwrap() http.ResponseWriter { return s.ResponseWriter }
