package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// codes are those that a body can have; TestIfMatch, TestManagedElsewhere and the end of TestBadInput show the others.
var codes = []string{
	"trigger_missing", "trigger_ambiguous", "cron_syntax", "cron_never_fires", "timezone_unknown", "timezone_abbreviation",
	"interval_too_small", "at_in_past", "end_before_start", "no_fire_in_window", "jitter_too_large", "spread_too_large", "name_taken", "name_invalid",
	"task_missing", "args_not_list", "kwargs_not_object", "priority_range", "target_ambiguous", "trigger_unsupported",
	"overlap_requires_tracking", "payload_too_large",
}

// TestBadInput sends a request with each fault that the API has a code for, and checks that none of them writes
// anything.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	schedule := func(members string) string {
		return `{"cron_expression":"* * * * *","task_name":"t",` + members + `}`
	}
	trigger := func(members string) string { return `{"task_name":"t",` + members + `}` }
	answered := map[string]bool{}
	for _, c := range []struct {
		name, body, code, location string
		status                     int
	}{
		{"no trigger", `{"task_name":"t"}`, "trigger_missing", "", 422},
		{"two triggers", schedule(`"interval_seconds":5`), "trigger_ambiguous", "/interval_seconds", 422},
		{"cron syntax", trigger(`"cron_expression":"61 * * * *"`), "cron_syntax", "/cron_expression", 422},
		{"never", trigger(`"cron_expression":"0 0 31 2 *"`), "cron_never_fires", "/cron_expression", 422},
		{"zone", schedule(`"timezone":"Mars/Base"`), "timezone_unknown", "/timezone", 422},
		{"abbreviation", schedule(`"timezone":"EST"`), "timezone_abbreviation", "/timezone", 422},
		{"interval", trigger(`"interval_seconds":0.5`), "interval_too_small", "/interval_seconds", 422},
		{"sub-second", trigger(`"interval_seconds":1.5`), "trigger_unsupported", "/interval_seconds", 422},
		{"past", trigger(`"run_at":"2020-01-01T00:00:00Z"`), "at_in_past", "/run_at", 422},
		{"no time", trigger(`"run_at":"tomorrow"`), "time_invalid", "/run_at", 422},
		{"end before start", schedule(`"starts_at":"2030-01-02T00:00:00Z","ends_at":"2030-01-01T00:00:00Z"`), "end_before_start", "/ends_at", 422},
		{"empty window", trigger(`"cron_expression":"0 0 1 1 *","starts_at":"2030-02-01T00:00:00Z","ends_at":"2030-03-01T00:00:00Z"`), "no_fire_in_window", "/ends_at", 422},
		{"jitter", schedule(`"jitter_seconds":60`), "jitter_too_large", "/jitter_seconds", 422},
		{"spread", schedule(`"spread_seconds":50,"jitter_seconds":10`), "spread_too_large", "/spread_seconds", 422},
		{"taken", minutely, "name_taken", "/name", 409},
		{"long name", schedule(`"name":"` + strings.Repeat("ü", 201) + `"`), "name_invalid", "/name", 422},
		{"uuid name", schedule(`"name":"0192f0c1-2345-7abc-8def-0123456789ab"`), "name_invalid", "/name", 422},
		{"nul", schedule(`"name":"a\u0000b"`), "name_invalid", "/name", 422},
		{"nul in kwargs", schedule(`"kwargs":{"a":"\u0000"}`), "", "", 201},
		{"no task", `{"cron_expression":"* * * * *"}`, "task_missing", "/task_name", 422},
		{"args", schedule(`"args":{"a":1}`), "args_not_list", "/args", 422},
		{"kwargs", schedule(`"kwargs":[1]`), "kwargs_not_object", "/kwargs", 422},
		{"priority", schedule(`"priority":256`), "priority_range", "/priority", 422},
		{"two targets", schedule(`"queue":"q","stream":"s"`), "target_ambiguous", "/queue", 422},
		{"own keys", schedule(`"stream":"tactus:events"`), "target_ambiguous", "/stream", 422},
		{"tracking", schedule(`"stream":"s","execution_policy":"queue"`), "overlap_requires_tracking", "/execution_policy", 422},
		{"priority in queue", schedule(`"queue":"q\u0006\u00163"`), "text_invalid", "/queue", 422},
		{"header of Celery's", schedule(`"headers":{"argsrepr":"x"}`), "target_ambiguous", "/headers/argsrepr", 422},
		{"header of ours", schedule(`"headers":{"x-tactus-run-id":"x"}`), "target_ambiguous", "/headers/x-tactus-run-id", 422},
		{"header of Celery's in another case", schedule(`"headers":{"ArgsRepr":"x"}`), "target_ambiguous", "/headers/ArgsRepr", 422},
		{"header of ours in another case", schedule(`"headers":{"X-Tactus-Run-Id":"x"}`), "target_ambiguous", "/headers/X-Tactus-Run-Id", 422},
		{"long cron", trigger(`"cron_expression":"* * * * 1` + strings.Repeat(",1", 120_000) + `"`), "text_invalid", "/cron_expression", 422},
		{"what becomes of it", schedule(`"on_completed":"burn"`), "choice_invalid", "/on_completed", 422},
		{"typed header", schedule(`"headers":{"a/b":{"__type__":"uuid"}}`), "value_unreadable", "/headers/a~1b", 422},
		{"deep kwargs", schedule(`"kwargs":{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), "value_unreadable", "/kwargs", 422},
		{"preset", trigger(`"preset_name":"sometimes"`), "preset_unknown", "/preset_name", 422},
		{"choice", schedule(`"misfire_policy":"maybe"`), "choice_invalid", "/misfire_policy", 422},
		{"unknown", schedule(`"cronexpression":"x"`), "unknown_field", "/cronexpression", 422},
		{"type", schedule(`"max_runs":"many"`), "type_invalid", "/max_runs", 422},
		{"malformed", `{"name":`, "json_invalid", "", 400},
		{"not an object", `[1]`, "json_invalid", "", 400},
		{"empty", ``, "request_invalid", "", 400},
		{"not UTF-8", "{\"name\":\"\xff\"}", "utf8_invalid", "", 400},
		{"solar", trigger(`"solar_event":"sunset"`), "unknown_field", "/solar_event", 422},
		{"sub-second cron", trigger(`"cron_expression":"@every 1500ms"`), "trigger_unsupported", "/cron_expression", 422},
		{"bool for a name", schedule(`"name":true`), "type_invalid", "/name", 422},
		{"deep", schedule(`"kwargs":{"a":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`), "value_unreadable", "", 422},
		{"twice", `{"name":"x","name":"y","cron_expression":"* * * * *"}`, "task_missing", "/task_name", 422},
		{"SQL", schedule(`"name":"'; drop table tactus.schedules; --"`), "", "", 201},
		{"large", schedule(`"kwargs":{"a":"` + strings.Repeat("x", 300<<10) + `"}`), "payload_too_large", "", 422},
		{"10 MB", schedule(`"kwargs":{"a":"` + strings.Repeat("x", 10<<20) + `"}`), "payload_too_large", "", 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, "POST", "/schedules", c.body).want(t, c.status)
			if c.status == 201 {
				return
			}
			answered[c.code] = true
			if code, at := a.member(t, "errors.0.code"), a.member(t, "errors.0.location"); code != c.code || at != c.location {
				t.Errorf("%s at %q, want %s at %q: %s", code, at, c.code, c.location, a.body)
			}
			if a.member(t, "errors.0.message") == "" || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v %s", a.header, a.body)
			}
		})
	}
	all := s.do(t, "POST", "/schedules", `{"cron_expression":"* * *","timezone":"EST","args":1,"nonsense":2,"priority":-1}`).want(t, 422)
	for i, code := range []string{"unknown_field", "cron_syntax", "timezone_abbreviation", "task_missing", "args_not_list", "priority_range"} {
		if got := all.member(t, fmt.Sprintf("errors.%d.code", i)); got != code {
			t.Errorf("fault %d is %s, want %s: %s", i, got, code, all.body)
		}
	}
	for _, code := range codes {
		if !answered[code] {
			t.Errorf("no bad input shows %s", code)
		}
	}
	for _, c := range [][2]string{{"GET", "/schedules/none"}, {"DELETE", "/schedules/0192f0c1-2345-7abc-8def-0123456789ab"}, {"GET", "/tasks/x/status"}, {"GET", "/nowhere"}} {
		s.do(t, c[0], c[1], "").want(t, 404)
	}
	s.do(t, "GET", "/schedules?per_page=1001", "").want(t, 422)
	s.do(t, "GET", "/schedules?name='%3Bdrop%20table%20tactus.schedules--", "").want(t, 200)
	if total := s.do(t, "GET", "/schedules", "").want(t, 200).member(t, "total"); total != "3" {
		t.Errorf("%s schedules are there, want the three that were right", total)
	}
	var events int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.outbox`).Scan(&events); err != nil || events != 3 {
		t.Errorf("%d events, %v", events, err)
	}
}

// TestAllFaultsOfActions sends bodies with members that cannot be decoded and others that are invalid. The answer names
// all of them, and nothing is changed.
func TestAllFaultsOfActions(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	long := strings.Repeat("x", 1001)
	for _, c := range []struct {
		path, body string
		want       string
	}{
		{
			at + "/backfill", `{"from":"x","to":5,"order":"X","execution_policy":"skip","max_active":0,"zz":1}`,
			"type_invalid /to unknown_field /zz time_invalid /from choice_invalid /execution_policy choice_invalid /order out_of_range /max_active",
		},
		{at + "/backfill", `{"zz":1}`, "unknown_field /zz from_missing /from"},
		{at + "/disable", `{"until":5,"reason":"` + long + `"}`, "type_invalid /until text_invalid /reason"},
		{at + "/disable", `{"until":"2020-01-01","because":1}`, "unknown_field /because time_invalid /until"},
		{at + "/skip", `{"count":1001,"reason":7}`, "type_invalid /reason out_of_range /count"},
		{at + "/skip", `{"n":1,"reason":"` + long + `"}`, "unknown_field /n text_invalid /reason"},
		{at + "/skip", `{"n":1}`, "unknown_field /n"},
		{
			"/schedules/preview", `{"n":0,"after":5,"cron_expression":"61 * * * *","interval_seconds":5,"timezone":"EST","exclude_calendars":["none"]}`,
			"type_invalid /after out_of_range /n trigger_ambiguous /interval_seconds cron_syntax /cron_expression timezone_abbreviation /timezone calendar_unknown /exclude_calendars/0",
		},
		{
			"/schedules", `{"run_at":"2020-01-01T00:00:00Z","task_name":"t","name":"` + long + `","only_calendars":["none"]}`,
			"name_invalid /name at_in_past /run_at calendar_unknown /only_calendars/0",
		},
	} {
		var told struct {
			Errors []struct{ Code, Location string }
		}
		a := s.do(t, "POST", c.path, c.body).want(t, 422)
		if err := json.Unmarshal([]byte(a.body), &told); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range told.Errors {
			got = append(got, e.Code+" "+e.Location)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s %s:\ngot  %s\nwant %s", c.path, c.body, strings.Join(got, " "), c.want)
		}
	}
	var events int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.outbox`).Scan(&events); err != nil || events != 1 {
		t.Errorf("%d events, %v", events, err)
	}
}

// TestUndeliverableChange has an undeliverable schedule, written before such schedules were refused: it can be
// disabled, and mended.
func TestUndeliverableChange(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	for _, method := range []string{"PATCH", "PUT"} {
		a := s.do(t, method, at, `{"headers":{"argsrepr":"x"},"priority":300}`).want(t, 422)
		if a.member(t, "errors.0.location") != "/priority" || a.member(t, "errors.1.location") != "/headers/argsrepr" {
			t.Errorf("%s: %s", method, a.body)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set definition = jsonb_set(definition::jsonb, '{headers}', '{"argsrepr":"x"}')::json`); err != nil {
		t.Fatal(err)
	}
	s.do(t, "PATCH", at, `{"description":"d"}`).want(t, 422)
	s.do(t, "POST", at+"/disable", "").want(t, 200)
	s.do(t, "PATCH", at, `{"headers":null}`).want(t, 200)
	s.do(t, "PATCH", at, `{"queue":null,"stream":"s"}`).want(t, 200)
	s.do(t, "PATCH", at, `{"headers":{"argsrepr":"x"}}`).want(t, 200) // a stream accepts it
}

// TestNextOfMaxRuns has a schedule that has had some of its max_runs.
func TestNextOfMaxRuns(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", `{"name":"n","cron_expression":"* * * * *","task_name":"t","max_runs":5}`).want(t, 201).member(t, "id")
	for _, c := range []struct{ fired, left int }{{0, 5}, {3, 2}, {5, 0}, {6, 0}} {
		if _, err := s.pool.Exec(t.Context(), `insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) select id, trigger_set_at, $1 from tactus.schedules
			on conflict (schedule_id) do update set fired = excluded.fired`, c.fired); err != nil {
			t.Fatal(err)
		}
		a := s.do(t, "GET", at+"/next", "").want(t, 200)
		var next struct {
			DueTimes []string `json:"due_times"`
		}
		if err := json.Unmarshal([]byte(a.body), &next); err != nil || len(next.DueTimes) != c.left {
			t.Errorf("after %d: %v: %s", c.fired, err, a.body)
		}
	}
}

// TestManagedElsewhere changes a schedule that was adopted from another service's table.
func TestManagedElsewhere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set managed_by = 'public.jobs'`); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][3]string{{"PATCH", at, `{"description":"d"}`}, {"DELETE", at, ""}, {"POST", at + "/disable", ""}, {"PUT", "/schedules/by-name/n", `{"interval_seconds":5,"task_name":"t"}`}} {
		if a := s.do(t, c[0], c[1], c[2]); a.status != 409 || a.member(t, "code") != "managed_elsewhere" {
			t.Errorf("%s %s: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	if v := s.do(t, "GET", at, "").want(t, 200).member(t, "version"); v != "1" {
		t.Errorf("version %s", v)
	}
}
