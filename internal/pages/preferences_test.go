package pages_test

import (
	"log/slog"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/pages"
)

// TestPreferencesGoBackHere posts addresses to return to that browsers take for another server's.
func TestPreferencesGoBackHere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for back, want := range map[string]string{
		"/runs?page=2": "/runs?page=2", "//evil.example": "/", "/\\evil.example": "/", "/\t/evil.example": "/", "https://evil.example": "/",
	} {
		if got := s.do(t, "POST", "/preferences", url.Values{"tactus_lang": {"ja"}, "back": {back}}).header.Get("Location"); got != want {
			t.Errorf("%q: %q, want %q", back, got, want)
		}
	}
}

// TestLargeFormsAreRefused posts preferences that are too large, and some while the budget of all bodies is used up.
func TestLargeFormsAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if got := s.do(t, "POST", "/preferences", url.Values{"back": {strings.Repeat("x", bodies.SmallForm)}}).status; got != 413 {
		t.Errorf("%d, want 413", got)
	}
	site := pages.New(pages.Config{
		Bodies: bodies.NewBudget(1), Store: s.store, Catalog: catalog.New(s.pool), Keys: access.NewKeys(s.pool), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	for _, path := range []string{"/preferences", "/schedules/bulk"} {
		request := httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader("back=%2F"))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, request)
		if answer.Code != 503 || answer.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}
