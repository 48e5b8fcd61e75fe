package pages_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// guardedSite is the pages behind a guard that demands keys.
type guardedSite struct {
	url     string
	keys    *access.Keys
	handler http.Handler
}

func serveGuarded(t *testing.T) guardedSite {
	t.Helper()
	pool := testenv.Database(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	check := handover.Limits{}.Check
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log, prometheus.NewRegistry())
	mux := http.NewServeMux()
	guard.Mount(mux, bodies.NewBudget(bodies.Most))
	keys := access.NewKeys(pool)
	mux.Handle("/", pages.New(pages.Config{
		Store: outbox.NewStore(pool, "UTC", check), Catalog: catalog.New(pool), Timezone: "UTC", Check: check, Log: log, Keys: keys,
		Description: []byte(description()),
	}))
	server := httptest.NewServer(guard.Middleware(mux))
	t.Cleanup(server.Close)
	return guardedSite{server.URL, keys, server.Config.Handler}
}

// browse sends a request with a cookie, and returns the response and the cookie that it sets.
func (s guardedSite) browse(t *testing.T, method, address string, form url.Values, cookie string) (status int, body, set string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "text/html")
	request.Header.Set("Cookie", cookie)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range response.Cookies() {
		set = c.Name + "=" + c.Value
	}
	return response.StatusCode, string(text), set
}

func (s guardedSite) login(t *testing.T, key string) (cookie string) {
	t.Helper()
	status, body, cookie := s.browse(t, "POST", "/login", url.Values{"key": {key}, "next": {"/"}}, "")
	if status != http.StatusSeeOther || cookie == "" {
		t.Fatalf("login: %d %s", status, body)
	}
	return cookie
}

// TestKeysArePutInOrder creates a key in the pages, which show it once, rotates it, and revokes both.
func TestKeysArePutInOrder(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	made, err := s.keys.Create(t.Context(), access.NewKey{Name: "boss", Role: access.Admin})
	if err != nil {
		t.Fatal(err)
	}
	boss := s.login(t, made.Key)
	const address = "/system/keys"
	status, body, _ := s.browse(t, "POST", address, url.Values{"name": {" "}, "role": {"king"}, "scope": {"x"}, "expires_at": {"2001-01-01"}}, boss)
	if status != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", status, body)
	}
	for _, field := range []string{"name", "role", "scope", "expires_at"} {
		if !regexp.MustCompile(`id="err-` + field + `">✕ [^<]+<`).MatchString(body) {
			t.Errorf("nothing is said beside %s", field)
		}
	}
	secret := regexp.MustCompile(`<pre id="secret" tabindex="0">(tactus_[^<]+)</pre>`)
	id := regexp.MustCompile(`href="/system/keys/([0-9a-f-]{36})"`)
	issue := func(address string, form url.Values) (keyID, key string) {
		t.Helper()
		status, body, _ := s.browse(t, "POST", address, form, boss)
		found, of := secret.FindStringSubmatch(body), id.FindStringSubmatch(body)
		if status != http.StatusCreated || found == nil || of == nil {
			t.Fatalf("%s: %d %s", address, status, body)
		}
		return of[1], found[1]
	}
	first, key := issue(address, url.Values{"name": {"deploy <b>"}, "role": {"read"}, "scope": {"tag:a, name:b"}, "expires_at": {"2999-01-31 09:00"}})
	if info, err := s.keys.Get(t.Context(), made.ID); err != nil || info.Name != "boss" {
		t.Fatal(err)
	}
	cookie := s.login(t, key)
	if status, _, _ := s.browse(t, "GET", "/schedules", nil, cookie); status != http.StatusOK {
		t.Errorf("the key is not good: %d", status)
	}
	for _, path := range []string{address, address + "/" + first} {
		if status, body, _ := s.browse(t, "GET", path, nil, cookie); status != http.StatusForbidden || strings.Contains(body, "boss") {
			t.Errorf("%s for a reader: %d", path, status)
		}
		if status, body, _ := s.browse(t, "GET", path, nil, boss); status != http.StatusOK || !strings.Contains(body, "deploy &lt;b&gt;") || strings.Contains(body, key) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if status, _, _ := s.browse(t, "POST", address+"/"+first+"/rotate", url.Values{"overlap": {"-1"}}, boss); status != http.StatusUnprocessableEntity {
		t.Errorf("an overlap of less than nothing: %d", status)
	}
	second, successor := issue(address+"/"+first+"/rotate", url.Values{"overlap": {"1"}})
	if second == first || successor == key {
		t.Error("it has no successor")
	}
	s.login(t, key)
	if status, _, _ := s.browse(t, "POST", address+"/"+second+"/revoke", nil, boss); status != http.StatusSeeOther {
		t.Errorf("it is not revoked: %d", status)
	}
	testenv.Eventually(t, "both keys are refused", func() error {
		if status, body, _ := s.browse(t, "GET", "/schedules", nil, cookie); status != http.StatusSeeOther {
			t.Logf("%d %s", status, body)
			return errStill
		}
		return nil
	})
	if _, body, _ := s.browse(t, "GET", address, nil, boss); strings.Contains(body, "deploy") {
		t.Error("what has ended is among what is good")
	}
	if _, body, _ := s.browse(t, "GET", address+"?ended=1", nil, boss); strings.Count(body, "deploy &lt;b&gt;</a>") != 2 {
		t.Error("what has ended is nowhere")
	}
}

// TestOwnSessionsEnd lists a principal's own sessions and ends one of them. It cannot end another principal's.
func TestOwnSessionsEnd(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	var keys []string
	for _, name := range []string{"mine", "other"} {
		made, err := s.keys.Create(t.Context(), access.NewKey{Name: name, Role: access.Read, Scope: access.Scope{"tag:x"}})
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, made.Key)
	}
	here, there, other := s.login(t, keys[0]), s.login(t, keys[0]), s.login(t, keys[1])
	ids := func(cookie string) (all []string) {
		t.Helper()
		_, body, _ := s.browse(t, "GET", "/sessions", nil, cookie)
		for _, match := range regexp.MustCompile(`<tr id="e-([0-9a-f]+)">`).FindAllStringSubmatch(body, -1) {
			all = append(all, match[1])
		}
		if strings.Count(body, "this one") != 1 {
			t.Errorf("it is not said which is this one: %s", body)
		}
		return all
	}
	mine, theirs := ids(here), ids(other)
	if len(mine) != 2 || len(theirs) != 1 || slices.Contains(mine, theirs[0]) {
		t.Fatalf("%v and %v", mine, theirs)
	}
	for _, id := range []string{mine[0], theirs[0]} { // the newest one of mine remains
		if status, _, _ := s.browse(t, "POST", "/sessions", url.Values{"id": {id}}, here); status != http.StatusSeeOther {
			t.Errorf("%d", status)
		}
	}
	testenv.Eventually(t, "the session has ended", func() error {
		if status, _, _ := s.browse(t, "GET", "/sessions", nil, there); status != http.StatusSeeOther {
			return errStill
		}
		return nil
	})
	if len(ids(here)) != 1 || len(ids(other)) != 1 {
		t.Error("another one has ended")
	}
}

var errStill = errors.New("it is still good")
