package tracing

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/traceparent"
)

// Requests records the requests that a handler answers, and gives what they write its trace. It stands within
// telemetry.Measured, which knows the route. What looks at the process itself is not recorded.
func (t *Traces) Requests(handler http.Handler) http.Handler {
	if t == nil {
		return handler
	}
	within := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		of := trace.SpanFromContext(r.Context())
		if c := of.SpanContext(); c.IsSampled() {
			telemetry.Traced(r.Context(), c.TraceID().String())
		}
		handler.ServeHTTP(w, r.WithContext(t.writing(r.Context())))
		if route := telemetry.Route(r.Context()); route != "" {
			of.SetName(route)
			_, address, _ := strings.Cut(route, " ")
			of.SetAttributes(attribute.String("http.route", address))
		}
	})
	return otelhttp.NewHandler(within, "", otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithMeterProvider(noop.NewMeterProvider()), otelhttp.WithPropagators(propagation.TraceContext{}),
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method }),
		otelhttp.WithFilter(func(r *http.Request) bool {
			return r.URL.Path != "/livez" && r.URL.Path != "/readyz" && r.URL.Path != "/metrics"
		}))
}

// writing returns a context whose writes are part of its trace, each by a span of its own.
func (t *Traces) writing(ctx context.Context) context.Context {
	return traceparent.With(ctx, textOf(trace.SpanContextFromContext(ctx)), func(event string) (string, func(error)) {
		_, s := t.tracer.Start(ctx, "event "+event, trace.WithSpanKind(trace.SpanKindProducer))
		return textOf(s.SpanContext()), func(err error) {
			if err != nil {
				s.SetStatus(codes.Error, "it was not written")
			}
			s.End()
		}
	})
}
