package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestProfiles has a process serve profiles of itself at an address of their own, where none but this machine's names
// lead, and which does not tell the command line. Its other address has none.
func TestProfiles(t *testing.T) {
	t.Parallel()
	database := "--database-url=" + testenv.DatabaseURL(t)
	p := testenv.Program{}.Start(t, "api", database, "--http-addr=127.0.0.1:0", "--pprof-addr=127.0.0.1:0")
	at := p.AwaitLog(`"?pprof"?[:=]"?(http://[^"\s]+)`)[1]
	for _, c := range []struct {
		url, host string
		want      int
	}{
		{at + "heap?debug=1", "", http.StatusOK},
		{at + "goroutine", "", http.StatusOK},
		{at + "heap?debug=1", "evil.example", http.StatusMisdirectedRequest},
		{at + "cmdline", "", http.StatusNotFound},
		{p.URL() + "/debug/pprof/heap", "", http.StatusNotFound},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = c.host
		if status, body := send(t, request); status != c.want {
			t.Errorf("%s as %q: %d, want %d: %.200s", c.url, c.host, status, c.want, body)
		}
	}
	if code := p.Stop(); code != 0 {
		t.Errorf("it stopped with %d: %s", code, p.Log())
	}
	for _, beyond := range []string{"0.0.0.0:0", ":6060", "192.168.0.1:6060", "example.org:6060", "6060"} {
		got := tactus(t, "api", database, "--http-addr=127.0.0.1:0", "--pprof-addr="+beyond)
		if got.code != exitUsage || !strings.Contains(got.problems, "TACTUS_PPROF_ADDR") {
			t.Errorf("%s: exit code %d, %s", beyond, got.code, got.problems)
		}
	}
}
