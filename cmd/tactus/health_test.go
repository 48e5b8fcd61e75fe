package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	var sick telemetry.Health
	sick.Add("redis", func(context.Context) error { return errors.New("no route") })
	sick.Add("postgres", func(context.Context) error { return errors.New("no schema") })
	for _, c := range []struct {
		name          string
		handler       http.Handler
		code          int
		out, problems string
	}{
		{"ready", mux(&telemetry.Health{}), exitOK, "ready\n", ""},
		{
			"not ready", mux(&sick), exitFailure, "",
			"tactus: not ready: postgres: no schema\n  not ready: redis: no route\n",
		},
		{"something else", http.NotFoundHandler(), exitFailure, "", "tactus: not ready: 404 Not Found\n"},
		{"an empty refusal", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("{}")) // the client is ours
		}), exitFailure, "", "tactus: not ready: 503 Service Unavailable\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.handler)
			defer server.Close()
			var out, problems bytes.Buffer
			if code := run([]string{"health", server.URL + "/"}, &out, &problems); code != c.code ||
				out.String() != c.out || problems.String() != c.problems {
				t.Errorf("exit %d, %q, %q", code, out.String(), problems.String())
			}
		})
	}
	well := httptest.NewServer(mux(&telemetry.Health{}))
	defer well.Close()
	cmd := exec.CommandContext(t.Context(), testenv.Binary(t, ""), "health")
	cmd.Env = []string{"TACTUS_URL=" + well.URL}
	if told, err := cmd.CombinedOutput(); err != nil || string(told) != "ready\n" {
		t.Errorf("by TACTUS_URL: %s, %v", told, err)
	}
	var out, problems bytes.Buffer
	if code := run([]string{"health", "http://127.0.0.1:1"}, &out, &problems); code != exitFailure ||
		problems.Len() == 0 {
		t.Errorf("nobody there: exit %d, %q", code, problems.String())
	}
}

// TestHealthSendsTheKey asks a process that tells its reasons only to the holder of a key. With a bad key, the command
// prints what a stranger is told.
func TestHealthSendsTheKey(t *testing.T) {
	t.Parallel()
	var sick telemetry.Health
	sick.Add("redis", func(context.Context) error { return errors.New("no route") })
	sick.Tell(func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer good" }, slog.New(slog.DiscardHandler))
	process := mux(&sick)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer bad" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		process.ServeHTTP(w, r)
	}))
	defer server.Close()
	for token, want := range map[string]string{"good": "redis: no route\n", "bad": "redis: the log says why", "": "redis: the log says why"} {
		if got := tactus(t, "health", server.URL, "--token="+token); got.code != exitFailure || !strings.Contains(got.problems, want) {
			t.Errorf("with the key %q: %+v", token, got)
		}
	}
}

// TestHealthOfThisContainer asks as the image's health check does, which has only the environment of the process,
// whichever process it is.
func TestHealthOfThisContainer(t *testing.T) {
	t.Parallel()
	program := testenv.Binary(t, "")
	check := func(env ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "health", "--here")
		cmd.Env = env
		said, err := cmd.CombinedOutput()
		return string(said), err
	}
	plain, secured := httptest.NewServer(mux(&telemetry.Health{})), httptest.NewTLSServer(mux(&telemetry.Health{}))
	defer plain.Close()
	defer secured.Close()
	_, port, err := net.SplitHostPort(plain.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	const elsewhere = "TACTUS_URL=http://127.0.0.1:1" // the server that other commands ask
	for _, address := range []string{"127.0.0.1:" + port, "0.0.0.0:" + port, "[::]:" + port, ":" + port} {
		if said, err := check("TACTUS_HTTP_ADDR="+address, elsewhere); err != nil || said != "ready\n" {
			t.Errorf("at %s: %s, %v", address, said, err)
		}
	}
	on := "TACTUS_HTTP_ADDR=" + secured.Listener.Addr().String()
	if said, err := check(on, "TACTUS_TLS_CERT=/tls.crt"); err != nil || said != "ready\n" {
		t.Errorf("over TLS: %s, %v", said, err)
	}
	if said, err := check(on); err == nil {
		t.Errorf("without TLS, at a process with it: %s", said)
	}
	for _, address := range []string{"127.0.0.1:1", "8000"} {
		if said, err := check("TACTUS_HTTP_ADDR=" + address); err == nil {
			t.Errorf("at %s: %s", address, said)
		}
	}
}

// TestHealthFindsTheRole checks that health finds a process at the default ports of api, relay and beat, in this order.
// It skips ports that are taken on this machine.
func TestHealthFindsTheRole(t *testing.T) {
	for _, address := range []string{beatAddr, relayAddr, apiAddr} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("somebody else listens at %s", address)
			continue
		}
		defer listener.Close()
		found, err := hereFlags{}.address(t.Context())
		if err != nil || found > address {
			t.Errorf("with a process at %s: %q, %v", address, found, err)
		}
	}
}

func mux(h *telemetry.Health) http.Handler {
	m := http.NewServeMux()
	h.Mount(m)
	return m
}
