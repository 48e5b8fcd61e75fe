package tracing

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"math/rand/v2"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// firing returns the context of the span that fires a run.
func (t *Traces) firing(run domain.ID) trace.SpanContext {
	c := trace.SpanContextConfig{TraceID: trace.TraceID(run), SpanID: trace.SpanID(run[8:]), Remote: true}
	if t.Samples(run) {
		c.TraceFlags = trace.FlagsSampled
	}
	return trace.NewSpanContext(c)
}

// Samples reports whether the trace of a run that fires is recorded. It allocates nothing.
func (t *Traces) Samples(run domain.ID) bool {
	return t.sampler.ShouldSample(sdktrace.SamplingParameters{
		ParentContext: context.Background(), TraceID: trace.TraceID(run), Name: fireSpan, Kind: trace.SpanKindProducer,
	}).Decision == sdktrace.RecordAndSample
}

// spread has the sampler of a share of all traces look at bits of their ids that are random. It takes those after the
// eighth byte for a number, of which the first two are the same in every run's id (a UUIDv7): it would sample none, or
// all. Runs, and what else looks like one, are judged by these bytes moved by two bits.
type spread struct{ sdktrace.Sampler }

// ShouldSample implements sdktrace.Sampler.
func (s spread) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	if id := &p.TraceID; id[6]>>4 == 7 && id[8]>>6 == 2 {
		binary.BigEndian.PutUint64(id[8:], bits.RotateLeft64(binary.BigEndian.Uint64(id[8:]), 2))
	}
	return s.Sampler.ShouldSample(p)
}

type runKey struct{}

// asRun returns a context in which the next root span is that which fires a run.
func asRun(run domain.ID) context.Context {
	return context.WithValue(context.Background(), runKey{}, run)
}

// ids makes the ids of traces and spans: those of runs from the runs', and random ones otherwise.
type ids struct{}

// NewIDs implements sdktrace.IDGenerator.
func (ids) NewIDs(ctx context.Context) (of trace.TraceID, root trace.SpanID) {
	if run, ok := ctx.Value(runKey{}).(domain.ID); ok {
		return trace.TraceID(run), trace.SpanID(run[8:])
	}
	for !of.IsValid() {
		binary.BigEndian.PutUint64(of[:8], rand.Uint64())
		binary.BigEndian.PutUint64(of[8:], rand.Uint64())
	}
	return of, ids{}.NewSpanID(ctx, of)
}

// NewSpanID implements sdktrace.IDGenerator.
func (ids) NewSpanID(context.Context, trace.TraceID) (id trace.SpanID) {
	for !id.IsValid() {
		binary.BigEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// Traced returns the row of a run with the context that its task goes on with, which is that of its own trace unless
// the row has another one.
func (t *Traces) Traced(row outbox.Row) outbox.Row {
	if t == nil || headerOf(row.Headers) != "" {
		return row
	}
	own := []byte(`{"traceparent":"` + textOf(t.firing(row.Aggregate)) + `"}`)
	if before := bytes.TrimSpace(row.Headers); len(before) > 2 && before[0] == '{' {
		own = append(append(own[:len(own)-1], ','), before[1:]...)
	}
	row.Headers = own
	return row
}

// headerOf returns the trace context that the headers of an event have; "" when there is none.
func headerOf(headers json.RawMessage) string {
	if !bytes.Contains(headers, []byte(`"traceparent"`)) {
		return ""
	}
	var h struct {
		TraceParent string `json:"traceparent"`
	}
	if json.Unmarshal(headers, &h) != nil { // somebody wrote them by hand
		return ""
	}
	return h.TraceParent
}

// textOf returns a context as W3C's header has it.
func textOf(c trace.SpanContext) string {
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-" + c.TraceFlags().String()
}

// parse reads a context as W3C's header has it. Later versions of the header may have more behind it.
func parse(text string) (c trace.SpanContext, ok bool) {
	if len(text) < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-' || text[:2] == "ff" {
		return c, false
	}
	of, err := trace.TraceIDFromHex(text[3:35])
	if err != nil {
		return c, false
	}
	parent, err := trace.SpanIDFromHex(text[36:52])
	if err != nil {
		return c, false
	}
	var flags trace.TraceFlags
	switch text[54] {
	case '1', '3', '5', '7', '9', 'b', 'd', 'f':
		flags = trace.FlagsSampled
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: of, SpanID: parent, TraceFlags: flags, Remote: true,
	}), true
}

// under returns a context whose spans are children of another process' span.
func under(parent trace.SpanContext) context.Context {
	return trace.ContextWithRemoteSpanContext(context.Background(), parent)
}
