package api_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestRunsRunAgain runs one run again, and all that failed.
func TestRunsRunAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	schedule := s.do(t, "POST", "/schedules", `{"name":"a","cron_expression":"0 0 1 1 *","task_name":"app.a","args":[1],"queue":"qa","tags":["x"]}`).want(t, 201).member(t, "id")
	run := s.do(t, "POST", "/schedules/"+schedule+"/trigger", "").want(t, 202).member(t, "run_id")
	own := s.do(t, "POST", "/schedules/"+schedule+"/trigger", `{"args":[7]}`).want(t, 202).member(t, "run_id")
	s.do(t, "PATCH", "/schedules/"+schedule, `{"args":[2],"queue":"qb","task_name":"app.b"}`).want(t, 200)
	for of, args := range map[string]string{run: "[1]", own: "[7]"} {
		again := s.do(t, "POST", "/runs/"+of+"/rerun", "", "Idempotency-Key", of).want(t, 202)
		same := s.do(t, "POST", "/runs/"+of+"/rerun", "", "Idempotency-Key", of).want(t, 202)
		if again.member(t, "run_id") != same.member(t, "run_id") || again.member(t, "run_id") == of {
			t.Errorf("%s, then %s", again.body, same.body)
		}
		got := s.do(t, "GET", strings.TrimPrefix(again.header.Get("Location"), "/api/v1"), "").want(t, 200)
		if got.member(t, "args") != args || got.member(t, "queue") != "qa" || got.member(t, "task_name") != "app.a" || got.member(t, "kind") != "manual" || got.member(t, "status") != "due" {
			t.Errorf("run again: %s", got.body)
		}
	}
	if _, err := s.pool.Exec(t.Context(), `update tactus.runs set status = 'failed', error = 'ValueError', finished_at = now() where id = any ($1::text[]::uuid[])`, []string{run, own}); err != nil {
		t.Fatal(err)
	}
	failed := `"filter":{"status":["failed"],"tag":["x"]}`
	dry := s.do(t, "POST", "/runs/rerun", `{"dry_run":true,`+failed+`}`).want(t, 200)
	if dry.member(t, "matched") != "2" || dry.member(t, "runs.1.run_id") != "<nil>" || dry.member(t, "next_page_token") != "" {
		t.Errorf("dry: %s", dry.body)
	}
	total := func() string { return s.do(t, "GET", "/schedules/"+schedule+"/history", "").member(t, "total") }
	before := total()
	if done := s.do(t, "POST", "/runs/rerun", "{"+failed+"}").want(t, 200); done.member(t, "runs.0.run_id") == "" || done.member(t, "matched") != "2" || before != "4" || total() != "6" {
		t.Errorf("%s runs, then %s: %s", before, total(), done.body)
	}
	one := s.do(t, "POST", "/runs/rerun", fmt.Sprintf(`{"ids":[%q,%q]}`, schedule, run)).want(t, 200)
	if one.member(t, "runs.0.code") != "not_found" || one.member(t, "runs.1.task_of") != "run" {
		t.Errorf("one of two: %s", one.body)
	}
	for body, status := range map[string]int{
		`{}`: 422, `{"filter":{}}`: 422, `{"filter":{"tag":["x"]}}`: 422, `{"ids":["x"]}`: 400, `{"id":"x"}`: 400, `{"filter":{"status":["failed"]},"page_token":"x"}`: 422,
	} {
		if a := s.do(t, "POST", "/runs/rerun", body); a.status != status {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	s.do(t, "DELETE", "/schedules/"+schedule, "").want(t, 204)
	s.do(t, "POST", "/runs/"+run+"/rerun", "").want(t, 404)
	s.do(t, "POST", "/runs/"+schedule+"/rerun", "").want(t, 404)
}

// TestRunsAreCancelled cancels runs that are due, one that is on its way, and one that has ended.
func TestRunsAreCancelled(t *testing.T) {
	t.Parallel()
	s := serve(t)
	schedule := s.do(t, "POST", "/schedules", `{"name":"a","cron_expression":"0 0 1 1 *","task_name":"app.a","tags":["x"]}`).want(t, 201).member(t, "id")
	var runs []string
	for range 5 {
		runs = append(runs, s.do(t, "POST", "/schedules/"+schedule+"/trigger", "").want(t, 202).member(t, "run_id"))
	}
	if _, err := s.pool.Exec(t.Context(), `update tactus.runs set status = 'sent', sent_at = now() where id = $1`, runs[1]); err != nil {
		t.Fatal(err)
	}
	if a := s.do(t, "POST", "/runs/"+runs[0]+"/cancel", "").want(t, 202); a.member(t, "outcome") != "settled" || a.member(t, "status") != "revoked" {
		t.Errorf("due: %s", a.body)
	}
	if a := s.do(t, "POST", "/runs/"+runs[1]+"/cancel", `{"terminate":true}`).want(t, 202); a.member(t, "outcome") != "told" || a.member(t, "status") != "sent" {
		t.Errorf("sent: %s", a.body)
	}
	if a := s.do(t, "POST", "/runs/"+runs[0]+"/cancel", "").want(t, 409); a.member(t, "code") != "run_finished" {
		t.Errorf("ended: %s", a.body)
	}
	s.do(t, "POST", "/runs/"+schedule+"/cancel", "").want(t, 404)
	s.do(t, "POST", "/runs/"+runs[0]+"/cancel", `{"kill":true}`).want(t, 400)
	if a := s.do(t, "POST", "/runs/cancel", `{"dry_run":true,"filter":{"tag":["x"],"status":["due"]}}`).want(t, 200); a.member(t, "matched") != "3" {
		t.Errorf("dry: %s", a.body)
	}
	a := s.do(t, "POST", "/runs/cancel", `{"filter":{"tag":["x"],"status":["due"]}}`).want(t, 200)
	if a.member(t, "matched") != "3" || a.member(t, "runs.2.outcome") != "settled" {
		t.Errorf("many: %s", a.body)
	}
	var told, terminated int
	if err := s.pool.QueryRow(t.Context(), `select count(*), count(*) filter (where terminate) from tactus.cancellations where told_at is null`).Scan(&told, &terminated); err != nil || told != 5 || terminated != 1 {
		t.Errorf("%d are to be told, %d to be killed: %v", told, terminated, err)
	}
	got := s.do(t, "GET", "/runs?status=revoked", "").want(t, 200)
	if got.member(t, "runs.3.reason") != "cancelled before it was handed over" || got.member(t, "runs.4") != "" {
		t.Errorf("revoked: %s", got.body)
	}
}
