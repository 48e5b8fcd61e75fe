package api_test

import (
	"strings"
	"testing"
)

// TestRoutesBeyondTheLimit says which limit a route is beyond.
func TestRoutesBeyondTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if _, err := s.pool.Exec(t.Context(), `
insert into tactus.routes (pattern, version, matches, source, queue, ignore_result, updated_at)
select format('t%s*', n), 1, format('t%s%%', n), '', 'q', false, now() from generate_series(1, 1000) n`); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, "PUT", "/routes/more*", `{"queue":"q"}`).want(t, 422); a.member(t, "code") != "too_many_routes" || !strings.Contains(a.body, "1,000 patterns") {
		t.Errorf("%s", a.body)
	}
	s.do(t, "PUT", "/routes/t1*", `{"queue":"other"}`).want(t, 200)
}
