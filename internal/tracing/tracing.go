package tracing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Config says where traces go and which. Everything else that the standard defines (headers, time limits,
// certificates, the sizes of batches, what a process is called) the libraries read from the environment.
type Config struct {
	Process string // api, relay, beat or dev
	Version string
	GRPC    bool   // by gRPC, else by HTTP
	Sampler string // in the words of OTEL_TRACES_SAMPLER; empty for its default
	Ratio   string // OTEL_TRACES_SAMPLER_ARG
	To      string // the host that takes them, for the log
	Log     *slog.Logger
}

// Traces records spans. A nil Traces records none.
type Traces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	sampler  sdktrace.Sampler
}

// Open begins to record. It connects to nobody: a collector that is away keeps nothing from starting.
func Open(ctx context.Context, c Config) (*Traces, error) {
	sampler, fault := samplerOf(c.Sampler, c.Ratio)
	if fault != "" {
		c.Log.Warn("a setting of traces is left out", "reason", fault)
	}
	useLog(c.Log)
	client := otlptracehttp.NewClient()
	if c.GRPC {
		client = otlptracegrpc.NewClient()
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("open traces: %w", err)
	}
	of, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "tactus-"+c.Process), attribute.String("service.version", c.Version),
	), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(fmt.Errorf("open traces: describe the process: %w", err), exporter.Shutdown(ctx))
	}
	if err != nil {
		c.Log.Warn("a setting of traces is left out", "reason", "OTEL_RESOURCE_ATTRIBUTES: want key=value,key=value")
	}
	return open(sampler, of, sdktrace.WithBatcher(&outlet{SpanExporter: exporter, to: c.To, log: c.Log})), nil
}

func open(sampler sdktrace.Sampler, of *resource.Resource, to sdktrace.TracerProviderOption) *Traces {
	sampler = spread{sampler}
	provider := sdktrace.NewTracerProvider(to, sdktrace.WithSampler(sampler), sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithResource(of))
	return &Traces{provider, provider.Tracer("github.com/tactus-dev/tactus"), sampler}
}

// closing is how long a process that stops waits for a collector to take what is left.
const closing = 3 * time.Second

// Close sends what is left, if that does not take long.
func (t *Traces) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // the outlet has told of it
}

// span is something that has been done.
type span struct {
	name         string
	kind         trace.SpanKind
	began, ended time.Time
	failed       string
}

// record records a span as a child of what a context has.
func (t *Traces) record(ctx context.Context, s span, attributes ...attribute.KeyValue) {
	_, made := t.tracer.Start(ctx, s.name, trace.WithSpanKind(s.kind), trace.WithTimestamp(s.began),
		trace.WithAttributes(attributes...))
	if s.failed != "" {
		made.SetStatus(codes.Error, s.failed)
	}
	made.End(trace.WithTimestamp(s.ended))
}

// samplerOf returns the sampler of a name. Where the setting is wrong it returns the default and what is wrong, as the
// standard demands.
func samplerOf(name, ratio string) (_ sdktrace.Sampler, fault string) {
	name, of := strings.ToLower(strings.TrimSpace(name)), sdktrace.TraceIDRatioBased(1)
	if strings.HasSuffix(name, "traceidratio") && ratio != "" {
		var share float64
		if _, err := fmt.Sscanf(strings.TrimSpace(ratio), "%g", &share); err != nil || !(share >= 0 && share <= 1) {
			fault = fmt.Sprintf("OTEL_TRACES_SAMPLER_ARG %q: want a share of traces from 0 to 1, such as 0.01; all "+
				"are sampled", ratio)
		} else {
			of = sdktrace.TraceIDRatioBased(share)
		}
	}
	switch name {
	case "always_on":
		return sdktrace.AlwaysSample(), fault
	case "always_off":
		return sdktrace.NeverSample(), fault
	case "traceidratio":
		return of, fault
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample()), fault
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(of), fault
	case "", "parentbased_always_on":
	default:
		fault = fmt.Sprintf("OTEL_TRACES_SAMPLER %q: want always_on, always_off, traceidratio or one of these after "+
			"parentbased_; it is parentbased_always_on", name)
	}
	return sdktrace.ParentBased(sdktrace.AlwaysSample()), fault
}
