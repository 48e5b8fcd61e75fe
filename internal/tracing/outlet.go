package tracing

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// outlet sends spans, and tells once that nobody takes them, and when somebody does again.
type outlet struct {
	sdktrace.SpanExporter
	to   string
	log  *slog.Logger
	lost atomic.Int64 // spans since the last that were taken
}

// ExportSpans implements sdktrace.SpanExporter. It returns no error, since all has been said of it.
func (o *outlet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := o.SpanExporter.ExportSpans(ctx, spans)
	if err == nil {
		if lost := o.lost.Swap(0); lost > 0 {
			o.log.Info("traces are taken again", "to", o.to, "lost", lost)
		}
		return nil
	}
	if o.lost.Add(int64(len(spans))) == int64(len(spans)) {
		o.log.Warn("nobody takes the traces: they are dropped until somebody does", "to", o.to, "err", withoutURL(err))
	}
	return nil
}

// withoutURL returns an error of sending without the address, which may have a password.
func withoutURL(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		return of.Err
	}
	return err
}

// useLog has the libraries of OpenTelemetry log as the process does, and not to its standard error as they please.
func useLog(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces: something went wrong", "err", withoutURL(err))
	}))
	otel.SetLogger(logr.New(sink{log}))
}

// sink logs what the libraries say of their settings, without what these hold: headers are passwords.
type sink struct{ log *slog.Logger }

func (sink) Init(logr.RuntimeInfo)            {}
func (sink) Enabled(level int) bool           { return false }
func (sink) Info(int, string, ...any)         {}
func (s sink) WithValues(...any) logr.LogSink { return s }
func (s sink) WithName(string) logr.LogSink   { return s }
func (s sink) Error(err error, what string, _ ...any) {
	if !strings.Contains(what, "tls") { // which names files
		err = nil
	}
	s.log.Warn("a setting of traces (OTEL_*) is left out, because it cannot be read", "setting", what, "err", err)
}
