package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tactus-dev/tactus/domain/zone"
)

// NewRegistry returns a registry with the metrics of the process itself.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	zones := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tactus_zone_data_info", Help: "1, with the release of the time zone data and where it comes from",
		ConstLabels: prometheus.Labels{"version": zone.Version(), "place": zone.Place()},
	})
	zones.Set(1)
	r.MustRegister(zones, buildInfo())
	return r
}

// Mux returns a handler for health and metrics.
func Mux(h *Health, r *prometheus.Registry) *http.ServeMux {
	mux := http.NewServeMux()
	h.Mount(mux)
	mux.Handle("GET /metrics", promhttp.HandlerFor(r, promhttp.HandlerOpts{Registry: r}))
	return mux
}

const (
	headerTimeout = 10 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 2 * time.Minute // from the end of the request; streaming handlers set their own
	idleTimeout   = 2 * time.Minute
	closeTimeout  = 10 * time.Second
)

type draining struct{}

// Draining returns a channel that is closed when the request's server begins to shut down. Endless responses must end
// then.
func Draining(request context.Context) <-chan struct{} {
	done, _ := request.Value(draining{}).(<-chan struct{})
	return done // nil on another server: never closed
}

// Drain says how a server leaves: Health is no longer ready at once, requests are answered for a while longer, so that
// whoever balances load has time to see it and sends no more, and only then the listener closes.
type Drain struct {
	Health *Health
	For    time.Duration
}

// Serve serves requests to the given hosts on the listener, except those for pages of other origins, until ctx ends and
// the server has drained. Then it finishes the requests in progress; whose bodies do not arrive within seconds are
// refused (bodies.ErrStopping).
func Serve(ctx context.Context, l net.Listener, hosts Hosts, handler http.Handler, drain Drain) error {
	closing := make(chan struct{})
	server := &http.Server{
		Handler: leaving(ctx, arriving(closing, hosts.only(sameOrigin(handler)))), ReadHeaderTimeout: headerTimeout,
		ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), draining{}, (<-chan struct{})(closing))
		},
	}
	stopped, failed := make(chan error, 1), make(chan struct{})
	go func() {
		<-ctx.Done()
		drain.Health.Stop()
		select {
		case <-time.After(drain.For):
		case <-failed:
		}
		close(closing)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err := server.Shutdown(last)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		close(failed)
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}

// leaving has clients open another connection for their next request once ctx has ended. Connections are not closed
// under them: a request may be on its way.
func leaving(ctx context.Context, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ctx.Err() != nil {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}
