package pages_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestLinesOfOneCaller opens as many connections to /live as one client may have. Other clients still get theirs, and
// all of them end with the key.
func TestLinesOfOneCaller(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	check := handover.Limits{}.Check
	store := outbox.NewStore(pool, "UTC", check)
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log, prometheus.NewRegistry())
	server := httptest.NewServer(guard.Middleware(pages.New(pages.Config{
		Store: store, Catalog: catalog.New(pool), Timezone: "UTC", Check: check, Log: log,
	})))
	t.Cleanup(server.Close)
	keys := access.NewKeys(pool)
	key := func(name string) access.IssuedKey {
		t.Helper()
		made, err := keys.Create(t.Context(), access.NewKey{Name: name, Role: access.Read})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	open := func(k access.IssuedKey) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+k.Key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { response.Body.Close() })
		return response
	}
	eve, bob := key("eve"), key("bob")
	var last *http.Response
	for n := range 32 {
		if last = open(eve); last.StatusCode != http.StatusOK {
			t.Fatalf("line %d: %s", n, last.Status)
		}
	}
	if got := open(eve).StatusCode; got != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", got)
	}
	if got := open(bob).StatusCode; got != http.StatusOK {
		t.Errorf("somebody else: %d", got)
	}
	if _, err := keys.Revoke(t.Context(), eve.ID); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the key is refused", func() error {
		if got := open(eve).StatusCode; got != http.StatusUnauthorized {
			return errors.New(http.StatusText(got))
		}
		return nil
	})
	if _, err := store.Create(t.Context(), domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"}, "", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, last.Body); err != nil { // unless the server closes it, this blocks
		t.Error(err)
	}
}
