package api_test

import "testing"

// TestPauseAndSkip pauses and skips a schedule, and reads back who did it, why and until when.
func TestPauseAndSkip(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.do(t, "POST", "/schedules", minutely).want(t, 201)
	at := "/schedules/" + made.member(t, "id")
	for _, c := range []struct {
		action, body string
		status       int
		member, want string
	}{
		{"/disable", `{"reason":"frozen","until":"2199-01-01T09:00"}`, 200, "paused_until", "2199-01-01T09:00:00Z"},
		{"/disable", ``, 200, "pause_reason", "frozen"}, // it is disabled already
		{"/skip", `{}`, 409, "detail", "the schedule is disabled and has no due times to skip: enable it first"},
		{"/disable", `{"until":"2001-01-01T00:00:00Z","reason":"a\nb","x":1}`, 422, "errors.0.code", "unknown_field"},
		{"/disable", `{"until":"2001-01-01T00:00:00Z","reason":"a\nb"}`, 422, "errors.0.code", "text_invalid"},
		{"/disable", `{"until":"2001-01-01T00:00:00Z","reason":"a\nb"}`, 422, "errors.1.code", "until_in_past"},
		{"/disable", `{"until":5}`, 422, "code", "type_invalid"},
		{"/disable", `{"until":"tomorrow"}`, 422, "code", "time_invalid"},
		{"/enable", ``, 200, "message", "Schedule enabled successfully"},
		{"/skip", `{"count":2,"reason":"release"}`, 200, "skip_reason", "release"},
		{"/skip", `{"count":-1}`, 422, "code", "out_of_range"},
		{"/skip", `{"count":0}`, 200, "message", "Skips no due time"},
	} {
		a := s.do(t, "POST", at+c.action, c.body).want(t, c.status)
		if got := a.member(t, c.member); got != c.want {
			t.Errorf("%s %s: %s is %q, want %q: %s", c.action, c.body, c.member, got, c.want, a.body)
		}
	}
	if a := s.do(t, "GET", at, "").want(t, 200); a.member(t, "paused_at") != "<nil>" && a.member(t, "paused_at") != "" {
		t.Errorf("an enabled schedule is paused: %s", a.body)
	}
	s.do(t, "POST", at+"/skip", ``).want(t, 200)
	answer := s.do(t, "GET", at, "").want(t, 200)
	s.do(t, "PUT", at, answer.body).want(t, 200) // an answer can be sent back as a request
	if next := s.do(t, "GET", at+"/next?n=1", "").want(t, 200).member(t, "due_times.0"); next == answer.member(t, "skip_until") {
		t.Errorf("a skipped due time is told as the next: %s", next)
	}
}

// TestEnablingWhatFiresNoMore enables a completed and an invalid schedule. The answer says how to make them fire again.
func TestEnablingWhatFiresNoMore(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	for set, want := range map[string]struct{ enable, skip string }{
		"completed_at = now(), invalid_reason = null": {
			"The schedule is enabled, but can fire no more: give it another trigger, or more max_runs, to have it fire again",
			"no due time is to come: the schedule can fire no more, or calendars exclude all",
		},
		"completed_at = null, invalid_reason = 'no such zone'": {
			"The schedule is enabled, but invalid, and fires nothing until it is corrected",
			"the schedule is invalid and has no due times to skip: correct it first",
		},
	} {
		if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set enabled = false, `+set); err != nil {
			t.Fatal(err)
		}
		if got := s.do(t, "POST", at+"/enable", "").want(t, 200).member(t, "message"); got != want.enable {
			t.Errorf("%s: %q", set, got)
		}
		if got := s.do(t, "POST", at+"/skip", "").want(t, 409).member(t, "detail"); got != want.skip {
			t.Errorf("%s: %q", set, got)
		}
	}
}
