package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestNotificationRules writes, reads and deletes rules. Their secrets are in no answer but the first and in no event,
// and a request that leaves them out keeps them.
func TestNotificationRules(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const rule = `{"tags":["night"],"on":["failed","recovered"],"every_minutes":10,"to":"webhook","url":"https://hooks.example.com/very-secret?token=hush"}`
	made := s.do(t, "PUT", "/notification-rules/night", rule).want(t, 201)
	secret := made.member(t, "secret")
	if !strings.HasPrefix(secret, "whsec_") || made.member(t, "url") != "https://hooks.example.com/…" || made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %v", made.body, made.header)
	}
	s.do(t, "PUT", "/notification-rules/night", rule).want(t, 200)
	s.do(t, "PUT", "/notification-rules/night", strings.Replace(rule, "very-secret?token=hush", "…", 1)).want(t, 200)
	got := s.do(t, "GET", "/notification-rules/night", "").want(t, 200)
	s.do(t, "PUT", "/notification-rules/night", got.body).want(t, 200) // an answer can be sent back as a request
	if got = s.do(t, "GET", "/notification-rules/night", "").want(t, 200); got.member(t, "version") != "1" || strings.Contains(got.body, "secret") {
		t.Errorf("%s", got.body)
	}
	moved := strings.Replace(rule, "very-secret", "other-secret", 1)
	if a := s.do(t, "PUT", "/notification-rules/night", moved).want(t, 200); a.member(t, "version") != "2" || strings.Contains(a.body, "other-secret") ||
		a.member(t, "secret") == secret {
		t.Errorf("another address is no change, or shown, or has the same secret: %s", a.body)
	}
	s.do(t, "PUT", "/notification-rules/night", rule, "If-Match", `"1"`).want(t, 412)
	s.do(t, "PUT", "/notification-rules/other", rule, "If-Match", `"1"`).want(t, 404)
	rotated := s.do(t, "POST", "/notification-rules/night/rotate", "").want(t, 200)
	if again := rotated.member(t, "secret"); again == secret || !strings.HasPrefix(again, "whsec_") || rotated.member(t, "version") != "3" {
		t.Errorf("%s", rotated.body)
	}
	s.do(t, "PUT", "/notification-rules/chat", `{"on":["failed"],"to":"slack","url":"https://hooks.slack.example/T0/hush"}`).want(t, 201)
	s.do(t, "POST", "/notification-rules/chat/rotate", "").want(t, 409)
	if a := s.do(t, "GET", "/notification-rules", "").want(t, 200); a.member(t, "total") != "2" || strings.Contains(a.body, "hush") {
		t.Errorf("%s", a.body)
	}
	s.do(t, "DELETE", "/notification-rules/night", "", "If-Match", `"1"`).want(t, 412)
	s.do(t, "DELETE", "/notification-rules/night", "").want(t, 204)
	s.do(t, "DELETE", "/notification-rules/night", "").want(t, 404)
	s.do(t, "PUT", "/notification-rules/night", `{"on":["failed"],"to":"webhook"}`).want(t, 422) // the address went with the rule
	var types, leaks string
	if err := s.pool.QueryRow(t.Context(), `select string_agg(type || version, ' ' order by position) filter (where data->>'name' = 'night'),
		coalesce(string_agg(data::text, ' ') filter (where data::text ~ 'hush|whsec'), '')
		from tactus.outbox where topic = 'rule'`).Scan(&types, &leaks); err != nil {
		t.Fatal(err)
	}
	if want := "rule.set1 rule.set2 rule.set3 rule.deleted4"; types != want || leaks != "" {
		t.Errorf("events %s, want %s; secrets in %q", types, want, leaks)
	}
	var secrets int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.notification_secrets`).Scan(&secrets); err != nil || secrets != 1 {
		t.Errorf("%d secrets are kept, %v", secrets, err)
	}
}

// TestNotificationRuleFaults checks that all faults of a rule are answered at once, each with its code and place.
func TestNotificationRuleFaults(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const to = `"to":"slack","url":"https://h.example/"`
	for _, c := range []struct{ name, body, want string }{
		{"r", `{}`, "on_missing /on to_missing /to"},
		{"r", `{"on":["failed"],"to":"slack"}`, "url_missing /url"},
		{"a b", `{"on":["failed"],` + to + `}`, "rule_name_invalid /name"},
		{"r", `{"name":"s","on":["failed"],` + to + `}`, "rule_name_invalid /name"},
		{"r", `{"on":"failed","tags":7,"colour":1,` + to + `}`, "unknown_field /colour type_invalid /on type_invalid /tags"},
		{"r", `{"on":["late","paused","never_fired","tired"],` + to + `}`, "seconds_missing /late_seconds seconds_missing /never_fired_seconds choice_invalid /on/3 seconds_missing /paused_seconds"},
		{"r", `{"on":["late"],"late_seconds":-1,"every_minutes":-1,` + to + `}`, "minutes_range /every_minutes seconds_range /late_seconds"},
		{"r", `{"on":["late"],"late_seconds":1,"to":"ping","url":"ftp://h"}`, "choice_invalid /on/0 url_invalid /url"},
		{"r", `{"on":["failed"],"to":"fax","url":"https://h/"}`, "choice_invalid /to"},
		{"r", `{"on":["failed"],"to":"stream","url":"https://h/"}`, "url_invalid /url"},
		{"r", `{"on":["failed"],"to":"webhook","url":"https://h/","secret":"hush","method":"PUT"}`, "only_for_http /method secret_invalid /secret"},
		{"r", `{"on":["failed"],"to":"http","url":"https://h/","method":"TRACE","content_type":"a\nb","headers":{"Host":"x","A b":"y"}}`, "text_invalid /content_type headers_invalid /headers/A b headers_invalid /headers/Host choice_invalid /method"},
		{"r", `{"names":["","a\u0001"],"on":["failed"],"description":"\u0000",` + to + `}`, "text_invalid /description text_invalid /names/0 text_invalid /names/1"},
		{"r", `{"names":[` + strings.Repeat(`"a",`, 100) + `"a"],"on":["failed"],` + to + `}`, "too_many /names"},
		{"r", `{"on":[],"to":"http","headers":{"a b":"c"}}`, "headers_invalid /headers/a b on_missing /on url_missing /url"},
		{"r", `{"on":["failed"],"to":"slack","url":"https://h:65536/"}`, "url_invalid /url"},
		{"r", `{"on":["failed"],"to":"slack","url":"https://h:0/"}`, "url_invalid /url"},
		{"r", `{`, "json_invalid "},
	} {
		a := s.do(t, "PUT", "/notification-rules/"+strings.ReplaceAll(c.name, " ", "%20"), c.body)
		var told struct {
			Errors []struct{ Code, Location string }
		}
		if err := json.Unmarshal([]byte(a.body), &told); err != nil || a.status < 400 || a.status > 422 {
			t.Errorf("%s: %d %s", c.body, a.status, a.body)
		}
		var got []string
		for _, e := range told.Errors {
			got = append(got, e.Code+" "+e.Location)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.body, strings.Join(got, " "), c.want)
		}
	}
	if a := s.do(t, "GET", "/notification-rules", "").want(t, 200); a.member(t, "total") != "0" {
		t.Errorf("something is left: %s", a.body)
	}
}
