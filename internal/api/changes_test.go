package api_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
)

// TestHistoryAsChanges changes a schedule, reads the changes, and reverts them.
func TestHistoryAsChanges(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	alice := s.key(t, "alice", access.Write).Key
	id := s.as(t, alice, "POST", "/schedules", `{"name":"n","cron_expression":"0 9 * * *","task_name":"app.t","kwargs":{"a":1}}`).want(t, 201).member(t, "id")
	s.do(t, "PATCH", "/schedules/"+id, `{"cron_expression":"0 10 * * *","kwargs":{"a":2},"description":"later"}`,
		"Authorization", "Bearer "+alice, "X-Tactus-Reason", "the report is late").want(t, 200)
	s.as(t, alice, "POST", "/schedules/"+id+"/disable", "").want(t, 200)

	got := s.as(t, alice, "GET", "/schedules/"+id+"/events", "").want(t, 200)
	for path, want := range map[string]string{
		"events.0.version": "3", "events.0.type": "schedule.disabled", "events.0.changes.0.member": "enabled", "events.0.changes.0.before": "true",
		"events.0.changes.0.after": "false", "events.0.actor": "key:alice",
		"events.1.changes.0.member": "cron_expression", "events.1.changes.0.before": "0 9 * * *", "events.1.changes.0.after": "0 10 * * *",
		"events.1.changes.1.member": "description", "events.1.changes.1.before": "<nil>", "events.1.changes.2.after": "map[a:2]",
		"events.1.reason": "the report is late", "events.2.type": "schedule.created", "next_before": "<nil>",
	} {
		if v := got.member(t, path); v != want {
			t.Errorf("%s is %s, want %s", path, v, want)
		}
	}
	page := s.as(t, alice, "GET", "/schedules/"+id+"/events?limit=2", "").want(t, 200)
	if page.member(t, "next_before") != "2" || page.member(t, "events.1.changes.0.before") != "0 9 * * *" {
		t.Errorf("%s", page.body)
	}
	if rest := s.as(t, alice, "GET", "/schedules/"+id+"/events?before=2", "").want(t, 200); rest.member(t, "events.0.version") != "1" || rest.member(t, "events.1") != "" {
		t.Errorf("%s", rest.body)
	}

	back := s.as(t, alice, "POST", "/schedules/"+id+"/revert", `{"version":1}`).want(t, 200)
	for path, want := range map[string]string{"version": "4", "cron_expression": "0 9 * * *", "description": "<nil>", "enabled": "true", "kwargs.a": "1"} {
		if v := back.member(t, path); v != want {
			t.Errorf("after going back %s is %s, want %s", path, v, want)
		}
	}
	if last := s.as(t, alice, "GET", "/schedules/"+id+"/events?limit=1", "").want(t, 200); last.member(t, "events.0.reason") != "revert to version 1" {
		t.Errorf("%s", last.body)
	}
	s.as(t, alice, "POST", "/schedules/"+id+"/revert", `{"version":4}`).want(t, 200) // as it is
	s.as(t, alice, "POST", "/schedules", `{"name":"other","cron_expression":"0 9 * * *","task_name":"app.t"}`).want(t, 201)
	for body, code := range map[string]string{
		`{"version":9}`: "version_unknown", `{"version":0}`: "version_missing", `{}`: "version_missing", `{"version":"1"}`: "json_invalid", `{"to":1}`: "json_invalid",
	} {
		if a := s.as(t, alice, "POST", "/schedules/"+id+"/revert", body); a.status/100 != 4 || a.member(t, "code") != code {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if a := s.do(t, "POST", "/schedules/"+id+"/revert", `{"version":1}`, "Authorization", "Bearer "+alice, "If-Match", `"1"`); a.status != 412 {
		t.Errorf("%d %s", a.status, a.body)
	}
	s.as(t, alice, "PATCH", "/schedules/"+id, `{"name":"renamed"}`).want(t, 200)
	s.as(t, alice, "POST", "/schedules", `{"name":"n","cron_expression":"0 9 * * *","task_name":"app.t"}`).want(t, 201)
	s.as(t, alice, "POST", "/schedules/"+id+"/revert", `{"version":1}`).want(t, 409)
	s.as(t, alice, "DELETE", "/schedules/"+id, "").want(t, 204)
	if a := s.as(t, alice, "GET", "/schedules/"+id+"/events", "").want(t, 200); a.member(t, "events.0.type") != "schedule.deleted" {
		t.Errorf("%s", a.body)
	}
	s.as(t, alice, "POST", "/schedules/"+id+"/revert", `{"version":1}`).want(t, 404)
	s.as(t, alice, "GET", "/schedules/019ca93d-4000-7000-8000-00000000002a/events", "").want(t, 404)
	if all := s.as(t, alice, "GET", "/events", "").want(t, 200); strings.Count(all.body, "revert to version") != 1 {
		t.Errorf("%s", all.body)
	}
}
