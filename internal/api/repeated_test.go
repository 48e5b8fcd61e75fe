package api_test

import "testing"

// TestParametersAreGivenOnce gives parameters twice: of a list, all values count; any other parameter is refused, and
// the answer names it.
func TestParametersAreGivenOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, tags := range []string{`["x"]`, `["x","y"]`, `["y"]`} {
		s.do(t, "POST", "/schedules", `{"task_name":"app.a","cron_expression":"* * * * *","tags":`+tags+`}`).want(t, 201)
	}
	for address, parameter := range map[string]string{
		"/schedules?task_name=app.a&task_name=app.b": "task_name", "/schedules?q=a&q=a": "q", "/schedules?page=1&page=2": "page",
		"/runs?task_name=app.a&task_name=app.b": "task_name", "/events?type=schedule.created&type=run.due": "type",
	} {
		a := s.do(t, "GET", address, "")
		if a.status != 422 || a.member(t, "code") != "parameter_invalid" || a.member(t, "errors.0.location") != parameter {
			t.Errorf("%s: %d %s", address, a.status, a.body)
		}
	}
	for address, want := range map[string]string{
		"/schedules?tag=x&tag=y": "1", "/schedules?tags=x&tags=y": "1", "/schedules?tag=x&tags=y": "1", "/schedules?tag=x": "2",
		"/schedules?tags=x&tags=x": "2",
	} {
		if got := s.do(t, "GET", address, "").member(t, "total"); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
