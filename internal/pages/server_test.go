package pages_test

import (
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestAddressOfThisServer has examples name the address at which a browser reaches it. A proxy says that it does so
// over TLS, and nobody else can.
func TestAddressOfThisServer(t *testing.T) {
	t.Parallel()
	pool, log := testenv.Database(t), slog.New(slog.NewTextHandler(t.Output(), nil))
	check := handover.Limits{}.Check
	handler := pages.New(pages.Config{
		Store: outbox.NewStore(pool, "UTC", check), Catalog: catalog.New(pool), Timezone: "UTC", Check: check, Log: log,
	})
	for from, scheme := range map[string]string{"127.0.0.0/8": "https", "10.0.0.0/8": "http"} {
		config := access.Config{Proxies: access.Proxies{From: []netip.Prefix{netip.MustParsePrefix(from)}}}
		server := httptest.NewServer(access.New(pool, config, log, prometheus.NewRegistry()).Middleware(handler))
		t.Cleanup(server.Close)
		body := site{url: server.URL}.get(t, "/schedules", "X-Forwarded-Proto", "https").body
		if want := "curl -X POST " + strings.Replace(server.URL, "http", scheme, 1) + "/api/v1/schedules"; !strings.Contains(body, want) {
			t.Errorf("from a proxy of %s there is no %q", from, want)
		}
	}
}
