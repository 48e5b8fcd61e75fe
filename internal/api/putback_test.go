package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// putBack are definitions that together give every member a value.
var putBack = []string{
	`{"name":"cron","description":"d","category":"c","tags":["a","b"],"enabled":false,"cron_expression":"0 9 * * *","cron_dialect":"vixie","timezone":"Asia/Tokyo",
		"dst_gap":"skip","dst_overlap":"both","starts_at":"2020-01-01T00:00:00Z","ends_at":"2199-01-01T00:00:00Z","max_runs":5,"jitter_seconds":7,"spread_seconds":9,
		"task_name":"t","args":[1,"\u0000",1e5],"kwargs":{"a":-0.0,"b":"\ud83c"},"queue":"q","priority":3,"exchange":"e","routing_key":"r","headers":{"h":1},
		"expires_seconds":60,"time_limit_seconds":30,"soft_time_limit_seconds":20,"ignore_result":true,"ignore_routes":true,"shadow":"s",
		"execution_policy":"queue","misfire_policy":"all","misfire_window_seconds":100,"misfire_grace_seconds":10}`,
	`{"name":"seconds","cron_expression":"0 0 9 * * *","cron_seconds":true,"task_name":"t","stream":"s","expires_seconds":60,
		"exclude_calendars":["closed"],"on_excluded":"next_allowed","on_completed":"delete"}`,
	`{"name":"interval","interval_seconds":60,"interval_anchor":"2026-01-01T00:00:00Z","task_name":"t","task_params":{"a":1e5},"only_calendars":["open"]}`,
	`{"name":"once","run_at":"2199-01-01T00:00:00.123456Z","task_name":"t","tags":["source:files"]}`,
	`{"name":"recurrence","rrule":"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO\nEXDATE:20991231T000000","timezone":"Asia/Tokyo","task_name":"t"}`,
	`{"name":"quartz","cron_expression":"0 0 12 ? * MON-FRI 2026-2099","cron_dialect":"quartz","cron_seconds":true,"task_name":"t"}`,
	`{"preset_name":"every_hour","task_name":"unnamed"}`,
}

// halted gives what keeps a schedule from firing values, as far as they fit together.
const halted = `
update tactus.schedules set skip_until = '2198-01-01T00:00:00Z', skipped_by = 'a', skip_reason = 'b',
    paused_by = case when not enabled then 'c' end, pause_reason = case when not enabled then 'd' end,
    pause_group = case when not enabled then 'e' end, paused_until = case when not enabled then timestamptz '2198-01-01T00:00:00Z' end,
    completed_at = case when name = 'once' then now() end
where id = $1`

// TestEveryGetCanBePutBack sends each answer back, whole, to each address that takes a definition: nothing changes.
func TestEveryGetCanBePutBack(t *testing.T) {
	t.Parallel()
	s := serve(t)
	answered := map[string]bool{}
	check := func(method, path, body string) {
		t.Helper()
		if a := s.do(t, method, path, body).want(t, 200); a.member(t, "version") != "1" && a.member(t, "version") != "<nil>" {
			t.Errorf("%s %s with what was answered made a change: %s\nafter %s", method, path, a.body, body)
		}
	}
	s.do(t, "PUT", "/calendars/closed", `{"days":["2198-01-01"]}`).want(t, 201)
	s.do(t, "PUT", "/calendars/open", `{"days":[{"from":"2020-01-01","to":"2198-12-31"}]}`).want(t, 201)
	for _, definition := range putBack {
		at := "/schedules/" + s.do(t, "POST", "/schedules", definition).want(t, 201).member(t, "id")
		if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, started_at, finished_at, error)
			select gen_random_uuid(), id, now(), 'scheduled', 'failed', 1, now(), now(), 'wrong' from tactus.schedules where id = $1`, at[len("/schedules/"):]); err != nil {
			t.Fatal(err)
		}
		if _, err := s.pool.Exec(t.Context(), halted, at[len("/schedules/"):]); err != nil {
			t.Fatal(err)
		}
		got := s.do(t, "GET", at, "").want(t, 200)
		listed := s.do(t, "GET", "/schedules?name="+got.member(t, "name"), "").want(t, 200)
		var page struct{ Schedules []json.RawMessage }
		if err := json.Unmarshal([]byte(listed.body), &page); err != nil || len(page.Schedules) != 1 {
			t.Fatalf("%v: %s", err, listed.body)
		}
		for _, body := range []string{got.body, string(page.Schedules[0])} {
			var members map[string]json.RawMessage
			if err := json.Unmarshal([]byte(body), &members); err != nil {
				t.Fatal(err)
			}
			for name := range members {
				answered[name] = true
			}
			check("PUT", at, body)
			check("PATCH", at, body)
			check("PUT", "/schedules/by-name/"+got.member(t, "name"), body)
			check("POST", "/schedules/preview", body)
		}
	}
	id := s.do(t, "GET", "/schedules?name=interval", "").want(t, 200).member(t, "schedules.0.id")
	s.do(t, "PUT", "/schedules/"+id, s.do(t, "POST", "/schedules/"+id+"/disable", "").want(t, 200).body).want(t, 200)

	// invalid_reason and managed_by are read-only as the others are, and shown of schedules that nobody may put.
	known := slices.Collect(maps.Keys(memberTypes(reflect.TypeFor[catalog.Entry]())))
	for _, name := range known {
		if !answered[name] && !slices.Contains([]string{"invalid_reason", "managed_by", "deleted_at"}, name) {
			t.Errorf("no answer of this test has the member %s: give it a value", name)
		}
		if _, err := domain.Decode(fmt.Appendf(nil, `{%q: null}`, name)); err != nil {
			t.Errorf("an answer may have %s, which is refused: %v", name, err)
		}
	}
}

// memberTypes are the members of a type's JSON.
func memberTypes(t reflect.Type) map[string]reflect.Type {
	all := map[string]reflect.Type{}
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "":
			maps.Copy(all, memberTypes(f.Type))
		default:
			all[name] = f.Type
		}
	}
	return all
}
