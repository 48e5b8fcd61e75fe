package telemetry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

// TestForeignPagesReachNothing sends requests as browsers send them for pages of other origins, and as other clients
// do.
func TestForeignPagesReachNothing(t *testing.T) {
	t.Parallel()
	asked := 0
	mux := telemetry.Mux(&telemetry.Health{}, telemetry.NewRegistry())
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) { asked++ })
	address, _, _ := serve(t, mux)
	own := "http://" + address
	for _, c := range []struct {
		name, site, origin string
		status             int
	}{
		{"another site", "cross-site", "https://evil.example", 403},
		{"an image of another site", "cross-site", "", 403},
		{"another port or name of this machine", "same-site", "http://evil.localhost:8000", 403},
		{"an old browser", "", "https://evil.example", 403},
		{"a page without an origin", "", "null", 403},
		{"a word of later browsers", "x-site", "", 403},
		{"its own page", "same-origin", own, 200},
		{"its own page in an old browser", "", own, 200},
		{"an address that was typed", "none", "", 200},
		{"no browser", "", "", 200},
	} {
		for _, target := range [][2]string{{"GET", "/livez"}, {"GET", "/readyz?verbose"}, {"GET", "/metrics"}, {"GET", "/api/v1/events"}, {"POST", "/api/v1/schedules"}, {"OPTIONS", "/"}} {
			before := asked
			request, err := http.NewRequestWithContext(t.Context(), target[0], own+target[1], nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Origin": c.origin} {
				if value != "" {
					request.Header.Set(name, value)
				}
			}
			status, header, body := answer(t, request)
			if status != c.status || header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v: %d %v, want %d", c.name, target, status, header, c.status)
			}
			if status != http.StatusForbidden {
				continue
			}
			var problem struct{ Errors []struct{ Code string } }
			if err := json.Unmarshal(body, &problem); err != nil || header.Get("Content-Type") != "application/problem+json" || problem.Errors[0].Code != "cross_origin" {
				t.Errorf("%s: %v: %v %s, %v", c.name, target, header, body, err)
			}
			if asked > before {
				t.Errorf("%s: %v reached the handler", c.name, target)
			}
		}
	}
}

// TestLinksFromElsewhereAreFollowed follows links of other pages, and does otherwise with them.
func TestLinksFromElsewhereAreFollowed(t *testing.T) {
	t.Parallel()
	mux := telemetry.Mux(&telemetry.Health{}, telemetry.NewRegistry())
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
	address, _, _ := serve(t, mux)
	for _, c := range []struct {
		method, path, mode, dest string
		status                   int
	}{
		{"GET", "/schedules", "navigate", "document", 200},
		{"GET", "/schedules", "navigate", "iframe", 403},
		{"GET", "/schedules", "no-cors", "image", 403},
		{"POST", "/schedules", "navigate", "document", 403},
		{"GET", "/api/v1/events", "navigate", "document", 403},
		{"GET", "/metrics", "navigate", "document", 403},
		{"GET", "/readyz", "navigate", "document", 403},
	} {
		request, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Sec-Fetch-Site", "cross-site")
		request.Header.Set("Sec-Fetch-Mode", c.mode)
		request.Header.Set("Sec-Fetch-Dest", c.dest)
		if status, _, _ := answer(t, request); status != c.status {
			t.Errorf("%v: %d", c, status)
		}
	}
}

func answer(t *testing.T, request *http.Request) (status int, header http.Header, body []byte) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(response.Body); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, body
}
