package pages_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestDocsOfStrangersAreMadeOnce reads the description of the API without a credential, which no limit counts.
func TestDocsOfStrangersAreMadeOnce(t *testing.T) { // not in parallel: it counts allocations
	s := serveGuarded(t)
	ask := func(address string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK || w.Header().Get("Content-Encoding") != "gzip" {
			t.Fatalf("%d %v", w.Code, w.Header())
		}
		return w.Body.String()
	}
	if first := ask("/docs"); first != ask("/docs?"+strings.Repeat("x", 100)) {
		t.Error("it depends on the address")
	}
	if allocated := testing.AllocsPerRun(20, func() { ask("/docs?a") }); allocated > 500 {
		t.Errorf("%v allocations for each request: it is made anew", allocated)
	}
}

// description is one of an API of many parts.
func description() string {
	var tags []string
	for i := range 1000 {
		tags = append(tags, fmt.Sprintf(`{"name":"part %d","description":"about it"}`, i))
	}
	return `{"openapi":"3.1.0","info":{"description":"about all"},"tags":[` + strings.Join(tags, ",") + `]}`
}
