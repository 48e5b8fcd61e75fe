package main

import (
	"cmp"
	"context"
	"log/slog"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/internal/tracing"
)

// tracingFlags are those of OpenTelemetry's standard settings that decide whether traces are sent, where, and which.
// The libraries read them from the environment, together with many others.
type tracingFlags struct {
	To       secret `name:"exporter-otlp-endpoint" env:"EXPORTER_OTLP_ENDPOINT" help:"${otel_to}"`
	TracesTo secret `name:"exporter-otlp-traces-endpoint" env:"EXPORTER_OTLP_TRACES_ENDPOINT" help:"${otel_traces_to}"`
	Headers  secret `name:"exporter-otlp-headers" env:"EXPORTER_OTLP_HEADERS" help:"${otel_headers}"`
	Protocol string `name:"exporter-otlp-protocol" env:"EXPORTER_OTLP_PROTOCOL" help:"${otel_protocol}"`
	Exporter string `name:"traces-exporter" env:"TRACES_EXPORTER" help:"${otel_exporter}"`
	Sampler  string `name:"traces-sampler" env:"TRACES_SAMPLER" help:"${otel_sampler}"`
	Ratio    string `name:"traces-sampler-arg" env:"TRACES_SAMPLER_ARG" help:"${otel_ratio}"`
	Service  string `name:"service-name" env:"SERVICE_NAME" help:"${otel_service}"`
	Resource string `name:"resource-attributes" env:"RESOURCE_ATTRIBUTES" help:"${otel_resource}"`
}

// tracingHelp has the help text of each flag.
var tracingHelp = map[string]string{
	"otel_to": "Where traces are sent (OTLP), such as http://127.0.0.1:4318; none are recorded while this is not " +
		"set; or OTEL_EXPORTER_OTLP_ENDPOINT_FILE, a file with it.",
	"otel_traces_to": "The same for traces alone, with its path: http://127.0.0.1:4318/v1/traces; or " +
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT_FILE, a file with it.",
	"otel_headers": "Headers of what is sent there, such as a key: name=value,name=value; or " +
		"OTEL_EXPORTER_OTLP_HEADERS_FILE, a file with it.",
	"otel_protocol": "How it is sent: http/protobuf (the default), http/json or grpc.",
	"otel_exporter": "otlp sends traces even where no address is set, to this machine; none sends none.",
	"otel_sampler": "Which traces are recorded: parentbased_always_on (the default), parentbased_traceidratio, or " +
		"another of the standard's.",
	"otel_ratio":    "The share of traces that traceidratio records, from 0 to 1.",
	"otel_service":  "What the process is called in traces (default tactus- and its name, such as tactus-api).",
	"otel_resource": "What else is said of the process: key=value,key=value.",
}

// wanted reports whether traces are to be sent. fault says what is wrong with a setting that is therefore ignored.
func (f tracingFlags) wanted() (on bool, fault string) {
	on = f.To.isSet() || f.TracesTo.isSet()
	switch strings.TrimSpace(f.Exporter) {
	case "":
	case "otlp":
		on = true
	case "none":
		on = false
	default:
		fault = "OTEL_TRACES_EXPORTER: want otlp or none"
	}
	return on && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), fault
}

var tracingProtocols = []string{"", "http/protobuf", "http/json", "grpc"}

// protocol returns how traces are sent.
func (f tracingFlags) protocol() string {
	return cmp.Or(os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), f.Protocol)
}

// host returns the host that takes the traces.
func (f tracingFlags) host() (string, error) {
	for _, to := range []struct {
		name string
		url  secret
	}{{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f.TracesTo}, {"OTEL_EXPORTER_OTLP_ENDPOINT", f.To}} {
		if !to.url.isSet() {
			continue
		}
		at, err := url.Parse(to.url.reveal())
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
			return "", usage("%s: want http://HOST:PORT or https://HOST:PORT", to.name)
		}
		return at.Host, nil
	}
	if f.protocol() == "grpc" {
		return "localhost:4317", nil
	}
	return "localhost:4318", nil
}

// setEnv copies the settings to the environment, where the libraries look for them.
func (f tracingFlags) setEnv() error {
	for name, value := range map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": f.To.reveal(), "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f.TracesTo.reveal(),
		"OTEL_EXPORTER_OTLP_HEADERS": f.Headers.reveal(), "OTEL_EXPORTER_OTLP_PROTOCOL": f.Protocol,
		"OTEL_SERVICE_NAME": f.Service, "OTEL_RESOURCE_ATTRIBUTES": f.Resource,
	} {
		if value != os.Getenv(name) {
			if err := os.Setenv(name, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// traces begins to record traces if they are wanted, and otherwise returns nil. The caller closes the result.
func (f tracingFlags) traces(ctx context.Context, process string, log *slog.Logger) (*tracing.Traces, error) {
	on, fault := f.wanted()
	if on && !slices.Contains(tracingProtocols, f.protocol()) {
		log.Warn("a setting of traces is left out", "reason", "OTEL_EXPORTER_OTLP_PROTOCOL: want http/protobuf, "+
			"http/json or grpc; it is http/protobuf")
	}
	if fault != "" {
		log.Warn("a setting of traces is left out", "reason", fault)
	}
	if !on {
		return nil, nil
	}
	host, err := f.host()
	if err != nil {
		return nil, err
	}
	if err := f.setEnv(); err != nil {
		return nil, err
	}
	version := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	traces, err := tracing.Open(ctx, tracing.Config{
		Process: process, Version: version, GRPC: f.protocol() == "grpc", Sampler: f.Sampler, Ratio: f.Ratio, To: host,
		Log: log,
	})
	if err == nil {
		log.Info("traces are sent", "to", host)
	}
	return traces, err
}
