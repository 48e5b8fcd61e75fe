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
	r.MustRegister(zones)
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

// Serve serves requests to the given hosts on the listener, except those for pages of other origins, until ctx ends.
// Then it finishes the requests in progress.
func Serve(ctx context.Context, l net.Listener, hosts Hosts, handler http.Handler) error {
	server := &http.Server{
		Handler: hosts.only(sameOrigin(handler)), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), draining{}, ctx.Done())
		},
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		err := server.Shutdown(last)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}
