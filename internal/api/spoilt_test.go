package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestSpoiltRowsAreAnswered spoils rows of schedules by hand in several ways. No answer about such a schedule invites
// to repeat what can never succeed, what needs its due times says why there are none, and both putting and deleting it
// mend it.
func TestSpoiltRowsAreAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const mended = `{"cron_expression":"0 0 1 1 *","interval_seconds":null,"rrule":null,"run_at":null,"task_name":"app.t",
		"timezone":"UTC","exclude_calendars":[],"tags":[]}`
	made := 0
	spoil := func(how string) string {
		t.Helper()
		made++
		id := s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":"s%d","cron_expression":"0 0 1 1 *","task_name":"a"}`, made)).
			want(t, 201).member(t, "id")
		if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set `+how+` where id = $1`, id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	for _, how := range []string{
		`definition = '{"cron_expression":5}'`, `definition = '[]'`, `definition = '{}'`, `definition = 'null'`,
		`definition = '{"name":"x","cron_expression":"nonsense","task_name":"a"}'`,
		`definition = '{"name":"x","cron_expression":"0 0 1 1 *","task_name":"a","timezone":"No/Where"}'`,
		`definition = '{"name":"x","interval_seconds":-5,"task_name":"a"}'`,
		`definition = '{"name":"x","rrule":"nonsense","task_name":"a"}'`,
		`definition = '{"name":"x","run_at":"nonsense","task_name":"a"}'`,
		`definition = '{"name":"x","cron_expression":"0 0 1 1 *","task_name":"a","tags":[["a"],["b"]]}'`,
		`definition = '{"name":"x","cron_expression":"0 0 1 1 *","task_name":"a","exclude_calendars":["gone"]}'`,
		`trigger = 'nonsense'`, `trigger = '{}'`, `trigger = '[1]'`, `policy = 'nonsense'`, `policy = '{"max_runs":"x"}'`,
		`task = '5'`, `task = '{"args":5}'`, `tags = '{{a,b},{c,d}}'`, `tags = array[null]::text[]`, `tags = '[3:4]={a,b}'`,
	} {
		id := spoil(how)
		for _, list := range []string{"/schedules", "/upcoming", "/runs"} {
			if a := s.do(t, "GET", list, ""); a.status != 200 {
				t.Errorf("%s: %s: %d: %s", how, list, a.status, a.body)
			}
		}
		if strings.HasPrefix(how, "definition") {
			a := s.do(t, "GET", "/schedules/"+id+"/next", "")
			if a.status != 409 || !strings.Contains(a.body, "schedule_invalid") {
				t.Errorf("%s: next: %d: %s", how, a.status, a.body)
			}
		}
		s.do(t, "DELETE", "/schedules/"+id, "")
		for _, ask := range [][3]string{
			{"GET", "", ""},
			{"GET", "/next", ""},
			{"GET", "/history", ""},
			{"GET", "/events", ""},
			{"POST", "/trigger", ""},
			{"POST", "/disable", "{}"},
			{"POST", "/enable", ""},
			{"POST", "/skip", `{"count":1}`},
			{"POST", "/backfill", `{"from":"2025-01-01T00:00:00Z","to":"2026-02-01T00:00:00Z"}`},
			{"POST", "/revert", `{"version":1}`},
			{"PATCH", "", `{"description":"d"}`},
			{"PUT", "", `{"description":"d"}`},
			{"PUT", "", mended},
			{"PATCH", "", mended},
			{"DELETE", "", ""},
		} {
			id := spoil(how)
			a := s.do(t, ask[0], "/schedules/"+id+ask[1], ask[2])
			if a.status >= 500 || ask[0] == "DELETE" && a.status != 204 {
				t.Errorf("%s: %s %s %s: %d: %s", how, ask[0], ask[1], ask[2], a.status, a.body)
			}
			if ask[2] == mended && (a.status != 200 || s.do(t, "GET", "/schedules/"+id+"/next", "").status != 200) {
				t.Errorf("%s: %s does not mend it: %d: %s", how, ask[0], a.status, a.body)
			}
			s.do(t, "DELETE", "/schedules/"+id, "")
		}
	}
}
