package api_test

import (
	"strings"
	"testing"
)

// TestForeignPagesReachNothing sends what browsers send for pages of other origins, and what others send.
func TestForeignPagesReachNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	own := strings.TrimSuffix(s.url, "/api/v1")
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
		for _, request := range [][2]string{{"GET", "/events"}, {"GET", "/schedules"}, {"POST", "/schedules/preview"}, {"GET", "/nothing/"}} {
			headers := []string{}
			if c.site != "" {
				headers = append(headers, "Sec-Fetch-Site", c.site)
			}
			if c.origin != "" {
				headers = append(headers, "Origin", c.origin)
			}
			body, status := "", c.status
			if request[0] == "POST" {
				body = `{"cron_expression":"30 2 * * *"}`
			}
			if status == 200 && request[1] == "/nothing/" {
				status = 404
			}
			if status == 403 && request[1] == "/events" {
				headers = append(headers, "Accept", "text/event-stream")
			}
			got := s.do(t, request[0], request[1], body, headers...)
			if got.status != status {
				t.Errorf("%s: %s %s: %d, want %d", c.name, request[0], request[1], got.status, status)
			}
			if got.status == 403 && (got.header.Get("Content-Type") != "application/problem+json" || got.member(t, "errors.0.code") != "cross_origin") {
				t.Errorf("%s: %v %s", c.name, got.header, got.body)
			}
		}
	}
}
