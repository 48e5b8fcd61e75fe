package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRoutesBeyondTheLimit checks that the answer says which limit a route exceeds.
func TestRoutesBeyondTheLimit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if _, err := s.pool.Exec(t.Context(), `
insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
select format('t%s*', n), 1, '', 'q', false, now() from generate_series(1, 1000) n`); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, "PUT", "/routes/more*", `{"queue":"q"}`).want(t, 422); a.member(t, "code") != "too_many_routes" || !strings.Contains(a.body, "1,000 patterns") {
		t.Errorf("%s", a.body)
	}
	s.do(t, "PUT", "/routes/t1*", `{"queue":"other"}`).want(t, 200)
}

// TestPagesOfRoutes reads routes page by page, and one that nobody can write to for a lock.
func TestPagesOfRoutes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for n := range 7 {
		s.do(t, "PUT", fmt.Sprintf("/routes/app.t%d", n), `{"queue":"q"}`).want(t, 200)
	}
	var all []string
	for page := 1; page <= 4; page++ {
		var got struct {
			Routes               []struct{ Pattern string }
			Total, Page, PerPage int
		}
		a := s.do(t, "GET", fmt.Sprintf("/routes?per_page=3&page=%d", page), "").want(t, 200)
		if err := json.Unmarshal([]byte(strings.ReplaceAll(a.body, "per_page", "perpage")), &got); err != nil {
			t.Fatal(err)
		}
		if got.Total != 7 || got.Page != page || got.PerPage != 3 || len(got.Routes) != min(3, max(0, 7-3*(page-1))) {
			t.Errorf("page %d: %s", page, a.body)
		}
		for _, r := range got.Routes {
			all = append(all, r.Pattern)
		}
	}
	if len(all) != 7 || !slices.IsSorted(all) {
		t.Errorf("%v", all)
	}
	s.do(t, "GET", "/routes?per_page=1001", "").want(t, 422)

	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.routes where pattern = 'app.t1' for update`); err != nil {
		t.Fatal(err)
	}
	for _, a := range []answer{s.do(t, "PUT", "/routes/app.t1", `{"queue":"r"}`), s.do(t, "DELETE", "/routes/app.t1", "")} {
		if a.status != 409 || a.member(t, "code") != "route_locked" || a.header.Get("Retry-After") == "" {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	s.do(t, "PUT", "/routes/app.t2", `{"queue":"r"}`).want(t, 200)
}
