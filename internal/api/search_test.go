package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func (s service) names(t *testing.T, query string) (names []string) {
	t.Helper()
	for token := ""; ; {
		var page struct {
			Schedules []struct{ Name string }
			Next      string `json:"next_page_token"`
		}
		a := s.do(t, "GET", "/schedules?page_size=2&"+query+"&page_token="+url.QueryEscape(token), "").want(t, 200)
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		for _, found := range page.Schedules {
			names = append(names, found.Name)
		}
		if token = page.Next; token == "" {
			slices.Sort(names)
			return names
		}
	}
}

// TestSearch looks for a text in all that describes a schedule, beside one that SQL cannot decode, and for owners.
func TestSearch(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, members := range map[string]string{
		"by-name": `"task_name":"t"`, "task": `"task_name":"app.Needle"`, "words": `"task_name":"t","description":"a NEEDLE \\u0000 in hay"`,
		"tagged": `"task_name":"t","tags":["x","needles"]`, "kind": `"task_name":"t","category":"needlework"`,
		"args":    `"task_name":"t","kwargs":{"needle":"needle"}`, // what a task is given is no text about it
		"odd":     `"task_name":"t","description":"needle é","kwargs":{"k":"\u0000\ud83d"}`,
		"sourced": `"task_name":"t","tags":["a","source:shop"]`, "imported": `"task_name":"t","tags":["import:crontab:web1"]`,
		"a-needle": `"task_name":"t"`,
	} {
		s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":%q,"cron_expression":"0 0 1 1 *",%s}`, name, members)).want(t, 201)
	}
	adopted := s.do(t, "POST", "/schedules", `{"name":"adopted","cron_expression":"0 0 1 1 *","task_name":"t"}`).want(t, 201).member(t, "id")
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set managed_by = 'public.beat' where name = 'adopted'`); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"text=needle": "a-needle kind odd tagged task words", "text=NEEDLE+%C3%A9": "odd", "text=u0000": "words", "text=n%25edle": "",
		"text=needle&tag=x": "tagged", "text=needle&sort=name": "a-needle kind odd tagged task words",
		"owner=source:shop": "sourced", "owner=source:other": "", "owner=import:crontab:web1": "imported",
		"owner=table:public.beat": "adopted", "owner=none&text=needle": "a-needle kind odd tagged task words",
		"owner=none&tag=a": "", "owner=none&sort=name&text=by-name": "by-name",
	} {
		if got := strings.Join(s.names(t, query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	if got := s.do(t, "GET", "/schedules/"+adopted, "").want(t, 200).member(t, "owner"); got != "table:public.beat" {
		t.Errorf("the adopted one is of %s", got)
	}
	for _, bad := range []string{"owner=shop", "owner=" + strings.Repeat("x", 300), "text=" + strings.Repeat("x", 201), "owner=none&page=2"} {
		s.do(t, "GET", "/schedules?"+bad, "").want(t, 422)
	}
	dry := s.do(t, "POST", "/schedules/bulk", `{"action":"disable","dry_run":true,"filter":{"owner":"source:shop"}}`).want(t, 200)
	if dry.member(t, "matched") != "1" || dry.member(t, "outcomes.0.name") != "sourced" {
		t.Errorf("many of an owner: %s", dry.body)
	}
	if dry := s.do(t, "POST", "/schedules/bulk", `{"action":"disable","dry_run":true,"filter":{"text":"needle"}}`).want(t, 200); dry.member(t, "matched") != "6" {
		t.Errorf("many of a text: %s", dry.body)
	}
	s.do(t, "POST", "/schedules/bulk", `{"action":"disable","filter":{"owner":"shop"}}`).want(t, 422)
}

// TestLastRuntime tells how long the newest run took, and nothing of one that has not ended.
func TestLastRuntime(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	run := s.do(t, "POST", at+"/trigger", "").want(t, 202).member(t, "run_id")
	took := func() string { return s.do(t, "GET", at, "").want(t, 200).member(t, "last_runtime_seconds") }
	for set, want := range map[string]string{
		`started_at = now(), finished_at = null`: "<nil>", `started_at = now(), finished_at = now() + interval '90.5 seconds'`: "90.5",
		`started_at = now(), finished_at = now() - interval '1 minute'`: "<nil>", // by clocks that differ
	} {
		if _, err := s.pool.Exec(t.Context(), `update tactus.runs set `+set+` where id = $1`, run); err != nil {
			t.Fatal(err)
		}
		if got := took(); got != want {
			t.Errorf("%s: %s", set, got)
		}
	}
}
