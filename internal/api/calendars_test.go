package api_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestCalendars writes, reads and deletes calendars, by days and by an iCalendar file.
func TestCalendars(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const days = `{"description":"Tokyo","days":["2127-01-01",{"from":"2127-05-03","to":"2127-05-05","reason":"Golden Week"}]}`
	made := s.do(t, "PUT", "/calendars/jp-holidays", days).want(t, 201)
	if made.member(t, "version") != "1" || made.member(t, "used_by") != "0" || made.member(t, "size") != "2" {
		t.Errorf("%s", made.body)
	}
	s.do(t, "PUT", "/calendars/jp-holidays", made.body).want(t, 200) // an answer can be sent back as a request
	got := s.do(t, "GET", "/calendars/jp-holidays?timezone=Asia/Tokyo", "").want(t, 200)
	if got.member(t, "version") != "1" || !strings.Contains(got.body, `"from":"2127-05-03T00:00:00+09:00","to":"2127-05-06T00:00:00+09:00","reason":"Golden Week"`) {
		t.Errorf("%s", got.body)
	}
	ics := "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART;VALUE=DATE:21270211\nSUMMARY:建国記念の日\nEND:VEVENT\nEND:VCALENDAR\n"
	raw, _ := json.Marshal(map[string]string{"ics": ics})
	if a := s.do(t, "PUT", "/calendars/jp-holidays", string(raw)).want(t, 200); a.member(t, "version") != "2" || !strings.Contains(a.body, "建国記念の日") {
		t.Errorf("%s", a.body)
	}
	s.do(t, "PUT", "/calendars/jp-holidays", days, "If-Match", `"1"`).want(t, 412)
	s.do(t, "PUT", "/calendars/jp-holidays", days, "If-Match", `"2"`).want(t, 200)
	s.do(t, "PUT", "/calendars/other", days, "If-Match", `"2"`).want(t, 404)
	s.do(t, "DELETE", "/calendars/jp-holidays", "", "If-Match", `"1"`).want(t, 412)
	s.do(t, "DELETE", "/calendars/jp-holidays", "").want(t, 204)
	s.do(t, "DELETE", "/calendars/jp-holidays", "").want(t, 404)
	s.do(t, "GET", "/calendars/jp-holidays", "").want(t, 404)
	if a := s.do(t, "PUT", "/calendars/jp-holidays", days).want(t, 201); a.member(t, "version") != "5" {
		t.Errorf("a version is used twice: %s", a.body)
	}
	if a := s.do(t, "GET", "/calendars", "").want(t, 200); a.member(t, "total") != "1" {
		t.Errorf("%s", a.body)
	}
	var types string
	if err := s.pool.QueryRow(t.Context(), `select string_agg(type || version, ' ' order by position) from tactus.outbox where type like 'calendar.%'`).Scan(&types); err != nil {
		t.Fatal(err)
	}
	if want := "calendar.updated1 calendar.updated2 calendar.updated3 calendar.deleted4 calendar.updated5"; types != want {
		t.Errorf("events %s, want %s", types, want)
	}
}

// TestCalendarFaults checks that all faults of a calendar are answered at once, each with its code and place.
func TestCalendarFaults(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, c := range []struct{ name, body, want string }{
		{
			"c", `{"days":["2027-02-30",7,{"from":"2027-01-02","to":"2027-01-01"},{"from":"2027-01-01","until":"x"}],"dates":[]}`,
			"unknown_field /dates day_invalid /days/0/from type_invalid /days/1 range_invalid /days/2/to type_invalid /days/3",
		},
		{"c", `{"days":["2027-01-01"],"ics":"x"}`, "calendar_ambiguous /ics"},
		{"c", `{"ics":"BEGIN:VCALENDAR\nnonsense"}`, "ics_invalid /ics"},
		{"c", `{"days":{}}`, "type_invalid /days"},
		{"c", `{}`, "days_missing /days"},
		{"c", `{"days":null,"description":"d"}`, "days_missing /days"},
		{"c", `{"name":"d","days":[]}`, "calendar_name_invalid /name"},
		{"a b", `{"days":[]}`, "calendar_name_invalid /name"},
		{"c", `{"description":7,"days":[{"from":"2027-01-01","rrule":"FREQ=NEVER"}]}`, "rrule_syntax /days/0/rrule type_invalid /description"},
		{"c", `{"days":[{"from":"2027-01-01T00:00","to":"2027-01-01T00:01","rrule":"FREQ=MINUTELY"}]}`, "calendar_too_large /days/0/rrule"},
		{"c", `{"days":[{"from":"2027-01-01T00:00","to":"2027-01-01T00:01","timezone":"Mars/Base"}]}`, "timezone_unknown /days/0/timezone"},
		{"c", `{"days":[{"from":"2027-01-01","reason":"\ud83c"}]}`, "type_invalid /days/0"},
	} {
		a := s.do(t, "PUT", "/calendars/"+strings.ReplaceAll(c.name, " ", "%20"), c.body).want(t, 422)
		var p struct {
			Errors []struct{ Code, Location string }
		}
		if err := json.Unmarshal([]byte(a.body), &p); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Code, e.Location)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %s\n got %s\nwant %s", c.body, a.body, got, c.want)
		}
	}
	s.do(t, "PUT", "/calendars/c", `[]`).want(t, 400)
	if a := s.do(t, "GET", "/calendars", "").want(t, 200); a.member(t, "total") != "0" {
		t.Errorf("%s", a.body)
	}
}

// TestSchedulesByCalendars has schedules that name calendars. It checks which definitions are refused, when the
// schedules are due, and what a preview shows.
func TestSchedulesByCalendars(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "PUT", "/calendars/closed", `{"days":[{"from":"2000-01-01","to":"2000-01-02","rrule":"FREQ=WEEKLY","reason":"weekend"}]}`).want(t, 201)
	const daily = `{"name":"daily","cron_expression":"0 9 * * *","task_name":"t","timezone":"Asia/Tokyo",`
	a := s.do(t, "POST", "/schedules", daily+`"exclude_calendars":["closed","none"],"jitter_seconds":-1}`).want(t, 422)
	if !strings.Contains(a.body, "calendar_unknown") || !strings.Contains(a.body, "/exclude_calendars/1") || !strings.Contains(a.body, "out_of_range") {
		t.Errorf("%s", a.body)
	}
	made := s.do(t, "POST", "/schedules", daily+`"exclude_calendars":["closed"]}`).want(t, 201)
	if a := s.do(t, "DELETE", "/calendars/closed", "").want(t, 409); a.member(t, "code") != "calendar_in_use" {
		t.Errorf("%s", a.body)
	}
	next := s.do(t, "GET", "/schedules/"+made.member(t, "id")+"/next?n=2&after=2090-01-05T12:00:00Z", "").want(t, 200)
	if !strings.Contains(next.body, `"due_times":["2090-01-06T09:00:00+09:00","2090-01-09T09:00:00+09:00"]`) ||
		!strings.Contains(next.body, `{"at":"2090-01-07T09:00:00+09:00","mark":"excluded","reason":"weekend"}`) {
		t.Errorf("%s", next.body)
	}
	preview := s.do(t, "POST", "/schedules/preview", `{"cron_expression":"0 9 7 1 *","timezone":"Asia/Tokyo","exclude_calendars":["closed"],"on_excluded":"next_allowed","n":1,"after":"2090-01-01T00:00:00Z"}`).want(t, 200)
	if !strings.Contains(preview.body, `"due_times":["2090-01-09T09:00:00+09:00"]`) || !strings.Contains(preview.body, `"mark":"shifted","wall":"2090-01-07T09:00:00"`) {
		t.Errorf("%s", preview.body)
	}
	s.do(t, "POST", "/schedules/preview", daily+`"only_calendars":["none"]}`).want(t, 422)
	// The whole calendar closes: nothing runs next, although the schedule was not touched.
	s.do(t, "PUT", "/calendars/closed", `{"days":[{"from":"1970-01-01","to":"2200-12-31"}]}`).want(t, 200)
	if got := s.do(t, "GET", "/schedules/"+made.member(t, "id"), "").want(t, 200); got.member(t, "next_run_at") != "<nil>" || got.member(t, "version") != "1" {
		t.Errorf("%s", got.body)
	}
	if got := s.do(t, "GET", "/schedules", "").want(t, 200); !strings.Contains(got.body, `"next_run_at":null`) {
		t.Errorf("%s", got.body)
	}
	const never = `"warnings":[{"code":"calendars_never_allow"`
	hourly := s.do(t, "POST", "/schedules", `{"name":"hourly","cron_expression":"0 * * * *","task_name":"t","exclude_calendars":["closed"]}`)
	for _, a := range []answer{
		hourly,
		s.do(t, "GET", "/schedules/"+made.member(t, "id"), ""),
		s.do(t, "PATCH", "/schedules/"+made.member(t, "id"), `{"description":"closed"}`),
		s.do(t, "POST", "/schedules/preview", daily+`"exclude_calendars":["closed"]}`),
	} {
		if a.status >= 300 || !strings.Contains(a.body, never) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if got := s.do(t, "POST", "/schedules/preview", daily+`"exclude_calendars":["closed"],"ends_at":"2001-01-01T00:00:00Z"}`); strings.Contains(got.body, never) {
		t.Errorf("the calendars are not why: %s", got.body)
	}
	s.do(t, "PATCH", "/schedules/"+made.member(t, "id"), `{"exclude_calendars":null}`).want(t, 200)
	s.do(t, "DELETE", "/schedules/"+hourly.member(t, "id"), "").want(t, 204)
	s.do(t, "DELETE", "/calendars/closed", "").want(t, 204)
}
