package pages_test

import (
	"net/url"
	"testing"
)

// TestPreferencesGoBackHere has a form lead to addresses that browsers take for another server's.
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
