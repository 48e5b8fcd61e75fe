package pages_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestPagesRefuseWhatIsNoText sends texts to pages and forms that PostgreSQL cannot store, and texts that are longer
// than any stored one.
func TestPagesRefuseWhatIsNoText(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	own := "/schedules/" + made.ID.String()
	addresses := []string{"/calendar?tag="}
	for _, name := range []string{"q", "task", "category", "tag", "last", "queue", "calendar", "state"} {
		addresses = append(addresses, "/schedules?"+name+"=", "/schedules/bulk?action=delete&which=all&"+name+"=")
	}
	for _, name := range []string{"kind", "task", "tag", "queue", "worker", "error", "state"} {
		addresses = append(addresses, "/runs?"+name+"=")
	}
	for _, address := range addresses {
		for _, hostile := range []string{"%00", "%ff", "%ed%a0%80", strings.Repeat("x", 60_000)} {
			if len(hostile) > 9 && strings.HasSuffix(address, "state=") && !strings.HasPrefix(address, "/runs") {
				continue // an unknown state of schedules selects all of them
			}
			a := s.do(t, http.MethodGet, address+hostile, nil)
			if a.status != http.StatusUnprocessableEntity || len(a.body) > 400_000 {
				t.Errorf("GET %s%.9s: %d, %d bytes", address, hostile, a.status, len(a.body))
			}
		}
	}
	for address, name := range map[string]string{
		own + "/disable": "reason", own + "/run": "key", "/system/keys": "name", "/system/routes/delete": "pattern", "/sessions": "id",
		"/schedules/bulk": "tag",
	} {
		for _, hostile := range []string{"\x00", "\xff", "\xed\xa0\x80"} {
			if a := s.do(t, http.MethodPost, address, url.Values{name: {hostile}}); a.status != http.StatusUnprocessableEntity {
				t.Errorf("POST %s %s=%q: %d", address, name, hostile, a.status)
			}
		}
	}
}
