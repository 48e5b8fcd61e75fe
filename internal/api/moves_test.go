package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/claims"
)

// TestRouteTellsWhatMoves sets and deletes routes, each after a dry run that says which schedules move. The answer of
// the dry run is where a run then goes.
func TestRouteTellsWhatMoves(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, definition := range []string{
		`{"name": "plain", "task_name": "feeds.new", "interval_seconds": 3600}`,
		`{"name": "odd", "task_name": "feeds.new", "interval_seconds": 3600, "kwargs": {"a": "\u0000\ud83d"}}`,
		`{"name": "own queue", "task_name": "feeds.new", "interval_seconds": 3600, "queue": "own"}`,
		`{"name": "stream", "task_name": "feeds.new", "interval_seconds": 3600, "stream": "s"}`,
		`{"name": "no route", "task_name": "feeds.new", "interval_seconds": 3600, "ignore_routes": true}`,
		`{"name": "other", "task_name": "app.other", "interval_seconds": 3600}`,
	} {
		s.do(t, "POST", "/schedules", definition).want(t, 201)
	}
	for _, c := range []struct {
		method, route, body, want string
	}{
		{"PUT", "feeds.*", `{"queue": "feeds", "priority": 5}`, "feeds.new own queue: priority: 0 -> 5; " +
			"feeds.new odd, plain: queue: celery -> feeds, priority: 0 -> 5"},
		{"PUT", "feeds.*", `{"queue": "feeds", "priority": 5}`, ""},
		{"PUT", "feeds.new", `{"queue": "feeds", "priority": 5}`, ""}, // the same by another route
		{"PUT", "feeds.new", `{"queue": "new", "priority": 5}`, "feeds.new odd, plain: queue: feeds -> new"},
		{"DELETE", "feeds.*", "", ""}, // the route of the full name takes precedence
		{"PUT", "*.o%3Fher", `{"queue": "other"}`, "app.other other: queue: celery -> other"},
		{"PUT", "nobody.*", `{"queue": "other"}`, ""},
		{"DELETE", "feeds.new", "", "feeds.new own queue: priority: 5 -> 0; " +
			"feeds.new odd, plain: queue: new -> celery, priority: 5 -> 0"},
	} {
		for _, query := range []string{"?dry_run=true", ""} {
			if got := moves(t, s.do(t, c.method, "/routes/"+c.route+query, c.body).want(t, 200)); got != c.want {
				t.Errorf("%s %s%s: %s, want %s", c.method, c.route, query, got, c.want)
			}
		}
	}
	if may, err := claims.Claim(t.Context(), s.pool, "s", "s"); err != nil || !may { // as a hand-over to the stream does
		t.Fatal(may, err)
	}
	// An answer is accepted as it came, and a dry run refuses what would be refused, and writes nothing.
	sent := s.do(t, "PUT", "/routes/feeds.*?dry_run=true", `{"queue": "feeds"}`).want(t, 200)
	s.do(t, "PUT", "/routes/feeds.*?dry_run=true", sent.body).want(t, 200)
	s.do(t, "DELETE", "/routes/feeds.*?dry_run=true", "").want(t, 404)
	for body, code := range map[string]string{`{}`: "route_empty", `{"queue": "s"}`: "target_ambiguous", `{`: "json_invalid"} {
		if a := s.do(t, "PUT", "/routes/feeds.*?dry_run=true", body); a.member(t, "code") != code {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `
insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
select format('t%s*', n), 1, '', 'q', false, now() from generate_series(1, 998) n`); err != nil {
		t.Fatal(err)
	}
	for pattern, code := range map[string]string{"t7*": "<nil>", "more*": "too_many_routes", "more": "<nil>"} {
		if a := s.do(t, "PUT", "/routes/"+pattern+"?dry_run=true", `{"queue": "q"}`); a.member(t, "code") != code {
			t.Errorf("%s: %s", pattern, a.body)
		}
	}
	if a := s.do(t, "GET", "/routes", ""); a.member(t, "total") != "1000" {
		t.Errorf("a dry run wrote: %s", a.body)
	}
}

// moves returns in words which schedules an answer says will move.
func moves(t *testing.T, a answer) string {
	t.Helper()
	var told struct {
		Moves []struct {
			TaskName    string `json:"task_name"`
			Names       []string
			Differences []struct{ Message string }
		}
	}
	if err := json.Unmarshal([]byte(a.body), &told); err != nil || told.Moves == nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	var all []string
	for _, m := range told.Moves {
		var changes []string
		for _, d := range m.Differences {
			changes = append(changes, d.Message)
		}
		all = append(all, fmt.Sprintf("%s %s: %s", m.TaskName, strings.Join(m.Names, ", "), strings.Join(changes, ", ")))
	}
	return strings.Join(all, "; ")
}

// TestMovesAreBounded has more schedules, and more groups of them, than an answer lists; the answer says so.
func TestMovesAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t)
	add := func(from, to int, task string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `
insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), task || n, 1, true, '{}', '{}', now(), now(), now(), now(), '', '{}', '{}', json_build_object('task_name', task)
from generate_series($1::integer, $2::integer) n, format($3::text, n) task`, from, to, task); err != nil {
			t.Fatal(err)
		}
	}
	told := func(pattern string, groups int, schedules, cut string) {
		t.Helper()
		a := s.do(t, "PUT", "/routes/"+pattern+"?dry_run=true", `{"queue": "q"}`).want(t, 200)
		if n := strings.Count(a.body, `"task_name"`); n != groups || a.member(t, "moves.0.schedules") != schedules ||
			a.member(t, "moves_cut") != cut || strings.Count(a.body, `"app.many`) > 22 {
			t.Errorf("%s: %d groups: %s", pattern, n, a.body[:min(len(a.body), 2000)])
		}
	}
	add(1, 100, "app.few%s")
	add(1, 50_000, "app.many")
	told("app.few*", 100, "1", "<nil>")
	told("app.many", 1, "50000", "<nil>")
	add(101, 101, "app.few%s")
	add(50_001, 50_001, "app.many")
	told("app.few*", 100, "1", "true")
	told("app.many", 1, "50001", "true")
	told("app.f*1", 11, "1", "<nil>")
}
