package api_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
)

// TestEventsByActor changes schedules with two keys, and reads who did what and why.
func TestEventsByActor(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	alice, bob := s.key(t, `ali"ce`, access.Admin).Key, s.key(t, "bob", access.Write).Key
	made := s.do(t, "POST", "/schedules", minutely, "Authorization", "Bearer "+alice, "X-Tactus-Reason", "key:bob asked for it", "X-Tactus-Actor", "key:bob").want(t, 201)
	s.as(t, bob, "PATCH", "/schedules/"+made.member(t, "id"), `{"description":"x"}`).want(t, 200)

	got := s.as(t, bob, "GET", "/events", "").want(t, 200)
	for path, want := range map[string]string{
		"events.0.actor": `key:ali"ce`, "events.0.reason": "key:bob asked for it", "events.1.actor": "key:bob", "events.1.reason": "<nil>", "events.2": "",
	} {
		if v := got.member(t, path); v != want {
			t.Errorf("%s is %s, want %s", path, v, want)
		}
	}
	for actor, version := range map[string]string{"key:bob": "2", "key:ali%22ce": "1", "key:b": ""} {
		got := s.as(t, bob, "GET", "/events?actor="+actor, "").want(t, 200)
		if got.member(t, "events.0.data.version") != version && version != "" || got.member(t, "events.1") != "" || version == "" && got.member(t, "events.0") != "" {
			t.Errorf("of %s: %s", actor, got.body)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `begin; set local tactus.actor = 'key:bob'; set local tactus.reason = 'approved by bob';
		select tactus.put_schedule('{"name":"sql","task_name":"a","cron_expression":"0 0 1 1 *"}'::jsonb); commit`); err != nil {
		t.Fatal(err)
	}
	if got := s.as(t, bob, "GET", "/events?actor=key:bob", "").want(t, 200); got.member(t, "events.1") != "" || got.member(t, "events.0.data.version") != "2" {
		t.Errorf("of bob, whom somebody else names: %s", got.body)
	}
	if got := s.as(t, bob, "GET", "/events?on_behalf_of=key:bob", "").want(t, 200); got.member(t, "events.0.data.name") != "sql" || got.member(t, "events.1") != "" || !strings.HasPrefix(got.member(t, "events.0.actor"), "role:") {
		t.Errorf("on behalf of bob: %s", got.body)
	}
	long := s.do(t, "POST", "/schedules", minutely, "Authorization", "Bearer "+alice, "X-Tactus-Reason", strings.Repeat("x", 1001)).want(t, 422)
	if long.member(t, "errors.0.location") != "X-Tactus-Reason" {
		t.Errorf("%s", long.body)
	}
}
