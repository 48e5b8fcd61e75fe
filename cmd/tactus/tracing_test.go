package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestWhereTracesGo(t *testing.T) {
	t.Parallel()
	at := func(text string) secret { return secretOf(text) }
	for _, c := range []struct {
		flags tracingFlags
		on    bool
		host  string // or a part of the error
	}{
		{tracingFlags{}, false, ""},
		{tracingFlags{Headers: at("a=b"), Sampler: "always_on", Service: "x"}, false, ""},
		{tracingFlags{To: at("http://collector:4318")}, true, "collector:4318"},
		{tracingFlags{To: at("https://ann:pass@collector/base")}, true, "collector"},
		{tracingFlags{To: at("http://a:1"), TracesTo: at("http://b:2/v1/traces")}, true, "b:2"},
		{tracingFlags{To: at("http://a:1"), Exporter: "none"}, false, ""},
		{tracingFlags{Exporter: "otlp"}, true, "localhost:4318"},
		{tracingFlags{Exporter: "otlp", Protocol: "grpc"}, true, "localhost:4317"},
		{tracingFlags{Exporter: "zipkin"}, false, ""},
		{tracingFlags{To: at("http://a:1"), Exporter: "zipkin"}, true, "a:1"},
		{tracingFlags{To: at("collector:4318")}, true, "OTEL_EXPORTER_OTLP_ENDPOINT: want http://HOST:PORT"},
		{tracingFlags{TracesTo: at("http:///v1")}, true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: want http://HOST:PORT"},
	} {
		on, fault := c.flags.wanted()
		if on != c.on || (fault != "") != (c.flags.Exporter == "zipkin") {
			t.Errorf("%+v: %v, %q", c.flags, on, fault)
		}
		if !on {
			continue
		}
		host, err := c.flags.host()
		if err != nil {
			host = err.Error()
		}
		if !strings.HasPrefix(host, c.host) || strings.Contains(host, "pass") {
			t.Errorf("%+v: %s, want %s", c.flags, host, c.host)
		}
	}
}

// TestCollectorIsAway has an api that sends its traces to an address where nothing listens, with passwords in all
// settings; one of these settings is broken.
func TestCollectorIsAway(t *testing.T) {
	t.Parallel()
	headers := filepath.Join(t.TempDir(), "headers")
	if err := os.WriteFile(headers, []byte("x-key=SECRET,SECRET,y=%SECRET"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testenv.Program{Env: []string{
		"DATABASE_URL=" + testenv.DatabaseURL(t), "OTEL_EXPORTER_OTLP_ENDPOINT=http://ann:SECRET@127.0.0.1:1/?key=SECRET",
		"OTEL_EXPORTER_OTLP_HEADERS_FILE=" + headers, "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_TRACES_SAMPLER=sometimes",
	}}.Start(t, "api", "--http-addr=127.0.0.1:0")
	p.AwaitReady()
	p.AwaitLog(`traces are sent" to=127.0.0.1:1\b`)
	p.AwaitLog(`OTEL_TRACES_SAMPLER`)
	p.AwaitLog(`parse headers`)
	for range 20 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL()+"/api/v1/schedules", nil)
		if err != nil {
			t.Fatal(err)
		}
		if status, body := send(t, request); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
		p.AwaitLog(`nobody takes the traces`)
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	if text := p.Log(); strings.Contains(text, "SECRET") || strings.Count(text, "nobody takes the traces") != 1 {
		t.Errorf("it has logged:\n%s", text)
	}
	for _, text := range []string{"SECRET", "collector:SECRET", "http://a:SECRET%zz@h", "unix://SECRET@h/x"} {
		got := tactus(t, "doctor", "--database-url=", "--otel-exporter-otlp-endpoint="+text)
		if got.code != exitUsage || strings.Contains(got.out+got.problems, "SECRET") {
			t.Errorf("%s: %+v", text, got)
		}
	}
}
