package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestProfiles has a process that serves its profiles at an address of their own. This address accepts only this
// machine's names as the host, and does not show the command line; the other address serves no profiles.
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
		{at + "heap?seconds=3600", "", http.StatusBadRequest},
		{at + "heap?seconds=NaN", "", http.StatusBadRequest},
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
	ctx, cancel := context.WithCancel(t.Context())
	var making sync.WaitGroup
	making.Go(func() {
		for ctx.Err() == nil { // repeated, since the profile below may be made first
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"heap?seconds=100", nil)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := http.DefaultClient.Do(request) // until it is cancelled
			if err == nil {
				_ = response.Body.Close()
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("a profile that takes long: %v", err)
				return
			}
		}
	})
	testenv.Eventually(t, "a profile is refused while another is made", func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at+"goroutine", nil)
		if err != nil {
			return err
		}
		if status, _ := send(t, request); status != http.StatusTooManyRequests {
			return fmt.Errorf("it is answered %d", status)
		}
		return nil
	})
	cancel()
	making.Wait()
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
