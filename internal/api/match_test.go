package api_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestIfMatch checks that every change is refused if the schedule no longer has the version that the client has read.
func TestIfMatch(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.do(t, "POST", "/schedules", minutely).want(t, 201)
	at, old := "/schedules/"+made.member(t, "id"), made.header.Get("ETag")
	fresh := s.do(t, "PATCH", at, `{"description":"d"}`, "If-Match", old).want(t, 200).header.Get("ETag")
	if read := s.do(t, "GET", at, "").want(t, 200).header.Get("ETag"); old != `"1"` || fresh != `"2"` || read != fresh {
		t.Errorf("ETags %s, %s, %s", old, fresh, read)
	}
	for _, stale := range []string{old, `"3"`, "W/" + old, "nonsense", `"0"`} {
		for _, change := range [][2]string{{"PUT", ""}, {"PATCH", ""}, {"DELETE", ""}, {"POST", "/enable"}, {"POST", "/disable"}, {"POST", "/toggle"}} {
			body := ""
			if change[1] == "" && change[0] != "DELETE" {
				body = `{"description":"stale"}`
			}
			a := s.do(t, change[0], at+change[1], body, "If-Match", stale)
			if a.status != 412 || a.member(t, "code") != "version_conflict" {
				t.Errorf("%s %s with %s: %d %s", change[0], change[1], stale, a.status, a.body)
			}
		}
	}
	for _, change := range []string{"disable", "enable", "toggle"} {
		etag := s.do(t, "POST", at+"/"+change, "", "If-Match", fresh).want(t, 200).header.Get("ETag")
		if etag == fresh {
			t.Errorf("%s left the ETag %s", change, etag)
		}
		fresh = etag
	}
	s.do(t, "PATCH", at, `{"description":"any"}`, "If-Match", "*").want(t, 200)
	fresh = s.do(t, "GET", at, "").want(t, 200).header.Get("ETag")
	s.do(t, "DELETE", at, "", "If-Match", fresh).want(t, 204)
	s.do(t, "DELETE", at, "").want(t, 404)
}

// TestRetriedTrigger repeats a request whose answer was lost: the answer has the first run, and there is no second one.
func TestRetriedTrigger(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at := "/schedules/" + s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	first := s.do(t, "POST", at+"/trigger", "", "Idempotency-Key", "k").want(t, 202)
	again := s.do(t, "POST", at+"/trigger", "", "Idempotency-Key", "k").want(t, 202)
	if first.member(t, "run_id") != again.member(t, "run_id") {
		t.Errorf("%s, then %s", first.body, again.body)
	}
	if total := s.do(t, "GET", at+"/history", "").want(t, 200).member(t, "total"); total != "1" {
		t.Errorf("%s runs", total)
	}
	if a := s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"m"`, 1), "Idempotency-Key", "k"); a.status != 422 || a.member(t, "code") != "idempotency_key_reused" {
		t.Errorf("the key for another request: %d %s", a.status, a.body)
	}
	s.do(t, "POST", "/schedules", minutely, "Idempotency-Key", strings.Repeat("k", 256)).want(t, 422)
}

// TestListFilters filters schedules by their task and by several tags at once.
func TestListFilters(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, members := range map[string]string{
		"a": `"task_name":"app.a","tags":["x","y"]`, "b": `"task_name":"app.a","tags":["x"]`, "c": `"task_name":"app.ab","tags":["y","x","z"]`,
		"d": `"task_name":"\"é\" \\ <app.a>","kwargs":{"task_name":"app.a","k":"\u0000\ud83d"}`,
	} {
		s.do(t, "POST", "/schedules", `{"name":"`+name+`","cron_expression":"* * * * *",`+members+`}`).want(t, 201)
	}
	for query, want := range map[string]string{
		"task_name=app.a": "a b", "tag=x": "a b c", "tag=x&tag=y": "a c", "tags=x&tags=y": "a c", "tag=x&tag=y&tag=z": "c", "tag=x&task_name=app.a": "a b", "tag=none": "", "task_name=app": "",
		"task_name=%22%C3%A9%22+%5C+%3Capp.a%3E": "d", "tag=x,y": "",
	} {
		var page struct{ Schedules []struct{ Name string } }
		if err := json.Unmarshal([]byte(s.do(t, "GET", "/schedules?"+query, "").want(t, 200).body), &page); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, found := range page.Schedules {
			names = append(names, found.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}
