package api_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
)

// TestFiltersRefuseLongTags filters by tags that are too long for any schedule.
func TestFiltersRefuseLongTags(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	key := s.key(t, "writer", access.Write).Key
	longest, longer := strings.Repeat("x", 200), strings.Repeat("x", 201)
	for _, address := range []string{
		"/schedules?tag=", "/schedules?tags=", "/schedules?sort=next&tag=", "/schedules?sort=name&page_size=5&tag=", "/upcoming?tag=", "/runs?tag=",
		"/runs/summary?tag=",
	} {
		s.as(t, key, "GET", address+longest, "").want(t, 200)
		if a := s.as(t, key, "GET", address+longer, ""); a.status != 422 || a.member(t, "code") != "parameter_invalid" || a.member(t, "errors.0.location") != "tag" {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	if a := s.as(t, key, "POST", "/schedules/bulk", `{"action":"enable","filter":{"tag":["`+longer+`"]}}`); a.status != 422 {
		t.Errorf("bulk: %d %s", a.status, a.body)
	}
}
