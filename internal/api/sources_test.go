package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestSources says of which source a calendar, a route and a rule are, changes them without a word of it, and takes it
// away.
func TestSources(t *testing.T) {
	t.Parallel()
	s := serve(t)
	source := func(path string) string {
		t.Helper()
		if pattern, ok := strings.CutPrefix(path, "/routes/"); ok {
			all := s.do(t, "GET", "/routes", "").want(t, 200)
			for n := 0; all.member(t, fmt.Sprintf("routes.%d", n)) != ""; n++ {
				if all.member(t, fmt.Sprintf("routes.%d.pattern", n)) == pattern {
					return all.member(t, fmt.Sprintf("routes.%d.source", n))
				}
			}
			t.Fatalf("no route %s: %s", pattern, all.body)
		}
		return s.do(t, "GET", path, "").want(t, 200).member(t, "source")
	}
	for path, body := range map[string]string{
		"/calendars/c": `{"days":[]%s}`, "/routes/app.t": `{"queue":"q"%s}`,
		"/notification-rules/r": `{"on":["failed"],"to":"webhook","url":"https://hooks.example.com/a"%s}`,
	} {
		put := func(more string) answer {
			t.Helper()
			return s.do(t, "PUT", path, fmt.Sprintf(body, more))
		}
		put(`,"source":"files"`)
		put("")
		if got := source(path); got != "files" {
			t.Errorf("%s is of %s", path, got)
		}
		for _, bad := range []string{`,"source":7`, `,"source":"a\u0001"`, `,"source":"` + strings.Repeat("s", 191) + `"`} {
			if a := put(bad); a.status != 422 && a.status != 400 {
				t.Errorf("%s with %.30s: %d %s", path, bad, a.status, a.body)
			}
		}
		put(`,"source":""`)
		if got := source(path); got != "<nil>" {
			t.Errorf("%s is still of %s", path, got)
		}
		put(`,"source":"files"`)
		s.do(t, "DELETE", path, "")
		put("")
		if got := source(path); got != "<nil>" {
			t.Errorf("%s, made anew, is of %s", path, got)
		}
	}
}

// TestRoutesOfImports are not those of an import any more once somebody changes them, and stay so if nobody does.
func TestRoutesOfImports(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "PUT", "/routes/app.t", `{"queue":"q"}`).want(t, 200)
	if _, err := s.pool.Exec(t.Context(), `update tactus.routes set source = 'import:celery:app'`); err != nil {
		t.Fatal(err)
	}
	s.do(t, "PUT", "/routes/app.t", `{"queue":"other","source":"import:celery:app"}`).want(t, 200) // as it was read
	if got := s.do(t, "GET", "/routes", "").member(t, "routes.0.source"); got != "<nil>" {
		t.Errorf("it is still of %s", got)
	}
}

// TestCalendarsBeforeTheirSources reads and writes calendars on the schema before that in which they have a source.
func TestCalendarsBeforeTheirSources(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, sql := range []string{
		`create or replace function tactus.calendar_data(c tactus.calendars) returns json language sql stable as $$
			select json_build_object('id', c.id, 'name', c.name, 'version', c.version, 'days', c.days) $$`,
		`alter table tactus.calendars drop column source`,
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	s.do(t, "PUT", "/calendars/c", `{"days":["2127-01-01"]}`).want(t, 201)
	s.do(t, "PUT", "/calendars/c", `{"days":["2127-01-02"]}`).want(t, 200)
	if a := s.do(t, "GET", "/calendars", "").want(t, 200); a.member(t, "calendars.0.version") != "2" {
		t.Errorf("%s", a.body)
	}
}
