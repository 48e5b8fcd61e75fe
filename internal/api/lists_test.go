package api_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestListsGoOnByToken reads sorted schedules page by page, by tokens, and gets none of them twice.
func TestListsGoOnByToken(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for n := range 5 {
		s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":"s%d","cron_expression":"0 %d 1 1 *","task_name":"app.t","queue":"q%d","tags":["x"]}`, n, 5-n, n%2)).want(t, 201)
	}
	first := s.do(t, "GET", "/schedules?page_size=3&sort=name", "").want(t, 200)
	second := s.do(t, "GET", "/schedules?page_size=3&sort=name&page_token="+url.QueryEscape(first.member(t, "next_page_token")), "").want(t, 200)
	if first.member(t, "schedules.0.name") != "s0" || second.member(t, "schedules.1.name") != "s4" || second.member(t, "next_page_token") != "" || first.member(t, "total") != "<nil>" {
		t.Errorf("%s, then %s", first.body, second.body)
	}
	if next := s.do(t, "GET", "/schedules?sort=next&queue=q1", "").want(t, 200); next.member(t, "schedules.0.name") != "s3" || next.member(t, "schedules.2") != "" {
		t.Errorf("by next: %s", next.body)
	}
	for path, status := range map[string]int{
		"/schedules?page_token=x": 422, "/schedules?sort=size": 422, "/schedules?queue=q1&page=2": 422,
		"/schedules?sort=next&page_token=" + first.member(t, "next_page_token"): 422,
		"/upcoming?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z":           422, "/upcoming?to=2090-01-01T00:00:00Z": 422, "/upcoming?limit=0": 422,
	} {
		if a := s.do(t, "GET", path, ""); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{"/schedules", "/schedules?sort=name", "/runs", "/upcoming?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"} {
		a := s.do(t, "GET", path, "").want(t, 200)
		tag := a.header.Get("ETag")
		if same := s.do(t, "GET", path, "", "If-None-Match", tag); tag == "" || same.status != 304 || same.body != "" || same.header.Get("ETag") != tag {
			t.Errorf("%s once more: %d %s %v", path, same.status, same.body, same.header)
		}
		s.do(t, "GET", path, "", "If-None-Match", `W/"other"`).want(t, 200)
	}
	before := s.do(t, "GET", "/schedules", "").header.Get("ETag")
	s.do(t, "POST", "/schedules", `{"name":"new","cron_expression":"* * * * *","task_name":"app.t"}`).want(t, 201)
	s.do(t, "GET", "/schedules", "", "If-None-Match", before).want(t, 200)
}

// TestUpcoming requests the due times around a change of the clocks, in a cut and in a whole answer.
func TestUpcoming(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, definition := range map[string]string{
		"moved": `"cron_expression":"30 2 * * *"`, "hourly": `"cron_expression":"0 * * * *","tags":["x"]`, "off": `"cron_expression":"* * * * *","enabled":false`,
	} {
		s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":%q,%s,"timezone":"America/New_York","task_name":"app.%s"}`, name, definition, name)).want(t, 201)
	}
	const window = "from=2030-03-10T05:00:00Z&to=2030-03-10T09:00:00Z" // 02:00 to 03:00 is left out
	all := s.do(t, "GET", "/upcoming?"+window, "").want(t, 200)
	for path, want := range map[string]string{
		"upcoming.0.due_at": "2030-03-10T00:00:00-05:00", "upcoming.2.due_at": "2030-03-10T03:00:00-04:00", "cut": "false", "upcoming.4.due_at": "2030-03-10T04:00:00-04:00", "upcoming.5": "",
	} {
		if got := all.member(t, path); got != want {
			t.Errorf("%s is %s, want %s: %s", path, got, want, all.body)
		}
	}
	marks := 0
	for n := range 5 {
		if at := fmt.Sprintf("upcoming.%d.", n); all.member(t, at+"mark") == "moved" {
			marks++
			if all.member(t, at+"schedule_name") != "moved" || all.member(t, at+"wall") != "2030-03-10T02:30:00" || all.member(t, at+"due_at") != "2030-03-10T03:00:00-04:00" {
				t.Errorf("%s", all.body)
			}
		}
	}
	if marks != 1 {
		t.Errorf("%d are moved: %s", marks, all.body)
	}
	if few := s.do(t, "GET", "/upcoming?limit=2&"+window, "").want(t, 200); few.member(t, "cut") != "true" || few.member(t, "upcoming.1.due_at") != "2030-03-10T01:00:00-05:00" || few.member(t, "upcoming.2") != "" {
		t.Errorf("cut: %s", few.body)
	}
	s.do(t, "PUT", "/calendars/closed", `{"days":["2030-03-10"]}`).want(t, 201)
	s.do(t, "POST", "/schedules", `{"name":"weekly","cron_expression":"0 0 * * sun","timezone":"America/New_York","task_name":"app.w","tags":["w"],"exclude_calendars":["closed"]}`).want(t, 201)
	if left := s.do(t, "GET", "/upcoming?tag=w&from=2030-03-03T00:00:00Z&to=2030-03-20T00:00:00Z", "").want(t, 200); left.member(t, "upcoming.0.due_at") != "2030-03-03T00:00:00-05:00" ||
		left.member(t, "upcoming.1.due_at") != "2030-03-17T00:00:00-04:00" || left.member(t, "upcoming.2") != "" {
		t.Errorf("with a day excluded: %s", left.body)
	}
	if tagged := s.do(t, "GET", "/upcoming?tag=x&"+window, "").want(t, 200); tagged.member(t, "upcoming.4") != "" || tagged.member(t, "upcoming.3.task_name") != "app.hourly" {
		t.Errorf("tagged: %s", tagged.body)
	}
}

// TestManyAreChanged disables schedules by a tag, enables exactly those again, and makes each other kind of change.
func TestManyAreChanged(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var ids []string
	for n := range 4 {
		ids = append(ids, s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":"s%d","cron_expression":"0 0 1 1 *","task_name":"app.t","tags":["x"],"queue":"q%d","enabled":%t}`, n, n%2, n != 1)).want(t, 201).member(t, "id"))
	}
	enabled := func() (all string) {
		for _, id := range ids {
			all += s.do(t, "GET", "/schedules/"+id, "").want(t, 200).member(t, "enabled") + " "
		}
		return all
	}
	post := func(body string) answer { t.Helper(); return s.do(t, "POST", "/schedules/bulk", body).want(t, 200) }
	if dry := post(`{"action":"disable","filter":{"tag":["x"]},"dry_run":true}`); dry.member(t, "matched") != "4" || dry.member(t, "outcomes.3.outcome") != "would" || dry.member(t, "outcomes.3.name") != "s0" || enabled() != "true false true true " {
		t.Errorf("dry: %s", dry.body)
	}
	paused := post(`{"action":"disable","filter":{"tag":["x"]},"reason":"a release"}`)
	if paused.member(t, "outcomes.2.outcome") != "unchanged" || paused.member(t, "outcomes.0.outcome") != "done" || enabled() != "false false false false " {
		t.Errorf("disabled: %s", paused.body)
	}
	if one := s.do(t, "GET", "/schedules/"+ids[0], ""); one.member(t, "pause_reason") != "a release" || one.member(t, "pause_group") != paused.member(t, "group") {
		t.Errorf("one of them: %s", one.body)
	}
	back := post(fmt.Sprintf(`{"action":"enable","filter":{"pause_group":%q}}`, paused.member(t, "group")))
	if back.member(t, "matched") != "3" || enabled() != "true false true true " {
		t.Errorf("put back: %s: %s", enabled(), back.body)
	}
	if some := post(`{"action":"disable","filter":{"queue":"q0"},"group":"mine"}`); some.member(t, "matched") != "2" || enabled() != "false false false true " {
		t.Errorf("by queue: %s: %s", enabled(), some.body)
	}
	missing := "00000000-0000-7000-8000-000000000000"
	tagged := post(fmt.Sprintf(`{"action":"retag","ids":[%q,%q],"add_tags":["y","x"],"remove_tags":["x"]}`, missing, ids[0]))
	if tagged.member(t, "outcomes.0.code") != "not_found" || tagged.member(t, "outcomes.1.outcome") != "done" || s.do(t, "GET", "/schedules/"+ids[0], "").member(t, "tags") != "[y x]" {
		t.Errorf("retagged: %s", tagged.body)
	}
	set := post(`{"action":"set","filter":{"tag":["x"]},"set":{"priority":300}}`)
	if set.member(t, "outcomes.0.code") != "priority_range" {
		t.Errorf("set: %s", set.body)
	}
	set = post(`{"action":"set","filter":{"tag":["x"]},"set":{"priority":3}}`)
	if set.member(t, "outcomes.3.outcome") != "done" || s.do(t, "GET", "/schedules/"+ids[2], "").member(t, "priority") != "3" {
		t.Errorf("set: %s", set.body)
	}
	if runs := post(`{"action":"trigger","filter":{"name":"s2"}}`); runs.member(t, "outcomes.0.run_id") == "" {
		t.Errorf("triggered: %s", runs.body)
	}
	for body, status := range map[string]int{
		`{"action":"stop","filter":{}}`: 422, `{"action":"enable"}`: 422, `{"action":"retag","filter":{}}`: 422, `{"action":"set","filter":{}}`: 422, `{"action":"enable","filter":{},"group":"g"}`: 422, `{"do":1}`: 400,
	} {
		if a := s.do(t, "POST", "/schedules/bulk", body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if gone := post(`{"action":"delete","filter":{"tag":["x"]}}`); gone.member(t, "matched") != "4" || s.do(t, "GET", "/schedules", "").member(t, "total") != "0" {
		t.Errorf("deleted: %s", gone.body)
	}
}

// TestManyGoOnBesideLockedOnes locks thirty of forty schedules that a request changes together. The others are changed,
// and each locked one is refused as locked, although seconds of waiting for each would take longer than a request may.
func TestManyGoOnBesideLockedOnes(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const many, locked = 40, 30
	ids := make([]string, many)
	for n := range ids {
		ids[n] = s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":"s%d","cron_expression":"0 0 1 1 *","task_name":"app.t"}`, n)).want(t, 201).member(t, "id")
	}
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), `select from tactus.schedules where id = any ($1::uuid[]) for update`, ids[:locked]); err != nil {
		t.Fatal(err)
	}
	a := s.do(t, "POST", "/schedules/bulk", `{"action":"retag","add_tags":["t"],"ids":["`+strings.Join(ids, `","`)+`"]}`).want(t, 200)
	for n, id := range ids {
		at := fmt.Sprintf("outcomes.%d.", n)
		if got := a.member(t, at+"id"); got != id {
			t.Errorf("outcome %d is that of %s, not %s", n, got, id)
		}
		if code, outcome := a.member(t, at+"code"), a.member(t, at+"outcome"); n < locked && code != "schedule_locked" || n >= locked && outcome != "done" {
			t.Errorf("schedule %d: %s %s", n, outcome, code)
		}
	}
}
