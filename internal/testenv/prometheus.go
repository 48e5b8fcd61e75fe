package testenv

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
)

// StartPrometheus starts a Prometheus for t with a configuration, and with files that it names.
func StartPrometheus(t testing.TB, configuration string, files map[string]string) *servers.Prometheus {
	t.Helper()
	cfg, err := serverConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := servers.StartPrometheus(t.Context(), configuration, files, cfg)
	if err != nil {
		t.Fatalf("start Prometheus: %v", err)
	}
	t.Cleanup(func() {
		if err := p.Kill(); err != nil {
			t.Errorf("end Prometheus: %v", err)
		}
	})
	return p
}

// Promtool runs Prometheus' tool with an input, in a folder with some files. If it refuses them, t fails with what it
// said.
func Promtool(t testing.TB, input string, files map[string]string, args ...string) {
	t.Helper()
	cfg, err := serverConfig(nil)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := servers.Promtool(t.Context(), cfg, input, files, args...); err != nil {
		t.Errorf("promtool %v: %v\n%s", args, err, said)
	}
}
