package tracing

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/tactus-dev/tactus/internal/results"
	"github.com/tactus-dev/tactus/internal/traceparent"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// recording returns traces that are sampled as the settings say, and what they record.
func recording(t *testing.T, sampler, ratio string) (*Traces, *tracetest.InMemoryExporter) {
	t.Helper()
	of, fault := samplerOf(sampler, ratio)
	if fault != "" {
		t.Fatal(fault)
	}
	to := tracetest.NewInMemoryExporter()
	return open(of, nil, sdktrace.WithSyncer(to)), to
}

// TestShareOfRuns has a share of all runs sampled, although a part of their ids is the same.
func TestShareOfRuns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sampler, ratio string
		least, most    int
	}{
		{"", "", 10_000, 10_000},
		{"always_off", "", 0, 0},
		{"traceidratio", "0", 0, 0},
		{"traceidratio", "0.1", 800, 1_200},
		{"parentbased_traceidratio", "0.4", 3_700, 4_300},
		{"parentbased_traceidratio", "0.7", 6_700, 7_300},
	} {
		traces, _ := recording(t, c.sampler, c.ratio)
		sampled := 0
		for range 10_000 {
			if traces.Samples(outbox.NewID()) {
				sampled++
			}
		}
		if sampled < c.least || sampled > c.most {
			t.Errorf("%s %s: %d of 10,000 runs are sampled, want %d to %d", c.sampler, c.ratio, sampled, c.least, c.most)
		}
	}
}

// handed are runs that a relay has handed over.
func handed(n int) relay.Published {
	p := relay.Published{Sink: "celery", Tasks: true}
	for range n {
		row := outbox.Row{Aggregate: outbox.NewID(), Version: 1}
		p.Rows, p.Entries = append(p.Rows, row), append(p.Entries, relay.Entry{Message: message.NewMessage("", []byte(`{"headers":{"task":"a"}}`))})
	}
	return p
}

// TestNothingIsAllocated holds that runs whose traces are not sampled cost no memory, and neither does a process that
// records nothing.
func TestNothingIsAllocated(t *testing.T) {
	off, _ := recording(t, "always_off", "")
	rare, to := recording(t, "parentbased_traceidratio", "0.0000000001")
	runs, ended := handed(1000), results.Ended{Run: outbox.NewID()}
	for name, do := range map[string]func(){
		"off":             func() { off.Published(runs); off.Ended(ended) },
		"a small share":   func() { rare.Published(runs); rare.Ended(ended) },
		"an event":        func() { _, end := traceparent.Event(context.Background(), "schedule.created"); end(nil) },
		"a row":           func() { (*Traces)(nil).Traced(runs.Rows[0]) },
		"a run's context": func() { off.firing(ended.Run) },
	} {
		if n := testing.AllocsPerRun(10, do); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if spans := to.GetSpans(); len(spans) > 0 {
		t.Errorf("recorded %v", spans)
	}
	handler := http.NewServeMux()
	if (*Traces)(nil).Requests(handler) != http.Handler(handler) {
		t.Error("requests go through something that records nothing")
	}
}

// TestContextsOfRuns holds a run's context to its id, and to what its row says otherwise.
func TestContextsOfRuns(t *testing.T) {
	t.Parallel()
	traces, to := recording(t, "", "")
	run := outbox.NewID()
	bare := strings.ReplaceAll(run.String(), "-", "")
	own := "00-" + bare + "-" + bare[16:] + "-01"
	const other = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	for headers, want := range map[string]string{
		``: `{"traceparent":"` + own + `"}`, `null`: `{"traceparent":"` + own + `"}`, `{}`: `{"traceparent":"` + own + `"}`,
		`{"actor":"key:a"}`:               `{"traceparent":"` + own + `","actor":"key:a"}`,
		`{"traceparent":"` + other + `"}`: `{"traceparent":"` + other + `"}`,
	} {
		got := string(traces.Traced(outbox.Row{Aggregate: run, Headers: json.RawMessage(headers)}).Headers)
		if got != want || !json.Valid([]byte(got)) {
			t.Errorf("%s becomes %s, want %s", headers, got, want)
		}
	}
	for text, sampled := range map[string]bool{own: true, other: false, "01" + own[2:] + "-more": true} {
		if c, ok := parse(text); !ok || c.IsSampled() != sampled || !strings.Contains(text, textOf(c)[3:52]) {
			t.Errorf("%s is read as %+v, %v", text, c, ok)
		}
	}
	for _, text := range []string{"", "00", own[:54], "ff" + own[2:], strings.ToUpper("00-abcdefabcdefabcdefabcdefabcdefab-abcdefabcdefabcd-01"), "00-00000000000000000000000000000000" + own[35:], strings.ReplaceAll(own, "-", "_")} {
		if c, ok := parse(text); ok {
			t.Errorf("%q is read as %+v", text, c)
		}
	}
	p := handed(2)
	p.Rows[0].Headers = json.RawMessage(`{"traceparent":"` + other + `"}`) // not sampled
	traces.Published(p)
	spans := to.GetSpans()
	if len(spans) != 1 || spans[0].SpanContext.TraceID() != trace.TraceID(p.Rows[1].Aggregate) || spans[0].Parent.SpanID() != trace.SpanID(p.Rows[1].Aggregate[8:]) {
		t.Errorf("recorded %+v", spans)
	}
}

// refusing is an exporter whose collector is away while away is true.
type refusing struct {
	sdktrace.SpanExporter
	away bool
}

func (r *refusing) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	if r.away {
		return &url.Error{Op: "Post", URL: "http://ann:SECRET@collector/v1/traces", Err: errors.New("connection refused")}
	}
	return nil
}

// TestCollectorAway holds that trouble is told once, and its end, and that nothing of the address is.
func TestCollectorAway(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	from := &refusing{away: true}
	o := &outlet{SpanExporter: from, to: "collector", log: slog.New(slog.NewTextHandler(&text, nil))}
	send := func() {
		t.Helper()
		if err := o.ExportSpans(t.Context(), make([]sdktrace.ReadOnlySpan, 3)); err != nil {
			t.Fatal(err)
		}
	}
	told := func(lines int, what string) {
		t.Helper()
		if got := text.String(); strings.Count(got, "\n") != lines || !strings.Contains(got, what) || strings.Contains(got, "SECRET") {
			t.Errorf("the log says %s; want %d lines, with %q", got, lines, what)
		}
		text.Reset()
	}
	send()
	told(1, "connection refused")
	send()
	send()
	told(0, "")
	from.away = false
	send()
	told(1, "lost=9")
	send()
	told(0, "")
	from.away = true
	send()
	told(1, "nobody takes the traces")
}

// TestLibrariesTellNoSecrets has the libraries find fault with settings.
func TestLibrariesTellNoSecrets(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	s := sink{slog.New(slog.NewTextHandler(&text, nil))}
	s.Error(errors.New("missing '=' SECRET"), "parse headers", "input", "SECRET")
	s.Error(errors.New(`invalid URL escape "%SECRET"`), "escape header value", "value", "SECRET")
	s.Error(errors.New("no such file"), "read tls ca cert file", "file", "/ca.pem")
	if got := text.String(); strings.Contains(got, "SECRET") || !strings.Contains(got, "parse headers") || !strings.Contains(got, "no such file") {
		t.Errorf("the log says %s", got)
	}
}

func TestWrongSamplers(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"sometimes", ""}, {"traceidratio", "half"}, {"parentbased_traceidratio", "2"}, {"traceidratio", "-1"}, {"traceidratio", "NaN"}} {
		if of, fault := samplerOf(c[0], c[1]); of == nil || !strings.Contains(fault, "OTEL_TRACES_SAMPLER") {
			t.Errorf("%v: %v, %q", c, of, fault)
		}
	}
}

// TestRequests has a request write an event, and another one ask whether the process is ready.
func TestRequests(t *testing.T) {
	t.Parallel()
	traces, to := recording(t, "", "")
	handler := traces.Requests(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			return
		}
		parent, end := traceparent.Event(r.Context(), "schedule.created")
		end(nil)
		if parent == nil {
			t.Error("what is written is part of no trace")
		}
	}))
	for _, path := range []string{"/readyz", "/api/v1/schedules"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil))
	}
	spans := to.GetSpans()
	if len(spans) != 2 || spans[0].Name != "event schedule.created" || spans[0].Parent.SpanID() != spans[1].SpanContext.SpanID() {
		t.Errorf("recorded %+v", spans)
	}
}
