package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestRoutesAreSetWithTheirMoves creates a route that moves a stored schedule, which asks for confirmation, edits the
// route and deletes it.
func TestRoutesAreSetWithTheirMoves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.create(t, domain.Definition{Name: "moved", TaskName: "app.moved", CronExpression: "0 9 * * *"})
	const edit = "/system/routes/edit"
	route := func() (domain.Route, bool) {
		t.Helper()
		all, _, err := s.store.PageOfRoutes(t.Context(), 10, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return domain.Route{}, false
		}
		return all[0].Route, true
	}
	a := s.do(t, http.MethodPost, edit, url.Values{"pattern": {"app.*"}, "priority": {"900"}, "expires_seconds": {"soon"}})
	for _, field := range []string{"priority", "expires_seconds"} {
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="err-`+field+`">✕`) {
			t.Errorf("%d, nothing is said beside %s: %s", a.status, field, a.body)
		}
	}
	form := url.Values{"pattern": {"app.*"}, "queue": {"slow"}}
	a = s.do(t, http.MethodPost, edit, form)
	if _, there := route(); a.status != http.StatusOK || there || !strings.Contains(a.body, "Is that meant?") || !strings.Contains(a.body, "moved") {
		t.Fatalf("it is not asked first: %d %s", a.status, a.body)
	}
	form.Set("sure", "1")
	s.post(t, edit, form)
	if r, _ := route(); r.Queue != "slow" {
		t.Errorf("%+v", r)
	}
	if page := s.get(t, "/system/routes").body; !strings.Contains(page, "app.*") || !strings.Contains(page, "slow") {
		t.Errorf("it is not listed: %s", page)
	}
	page := s.get(t, edit+"?pattern=app.*").body
	form = fields(t, page)
	form.Set("expires_seconds", "60")
	form.Del("sure")
	if a := s.do(t, http.MethodPost, edit, form); a.status == http.StatusOK {
		form.Set("sure", "1")
		s.post(t, edit, form)
	}
	if r, _ := route(); r.Queue != "slow" || r.ExpiresSeconds != 60 {
		t.Errorf("%+v", r)
	}
	a = s.do(t, http.MethodPost, "/system/routes/delete", url.Values{"pattern": {"app.*"}})
	if _, there := route(); a.status != http.StatusOK || !there || !strings.Contains(a.body, "Without it") {
		t.Errorf("it is not asked first: %d %s", a.status, a.body)
	}
	s.post(t, "/system/routes/delete", url.Values{"pattern": {"app.*"}, "sure": {"1"}})
	if _, there := route(); there {
		t.Error("it is still there")
	}
	if a := s.do(t, http.MethodGet, edit+"?pattern=app.*", nil); a.status != http.StatusNotFound {
		t.Errorf("%d", a.status)
	}
}
