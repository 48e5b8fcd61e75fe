package api_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

// TestRunsAreAnswered asks for the runs of two schedules in pages, one by one, and summed up.
func TestRunsAreAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t)
	first := s.do(t, "POST", "/schedules", `{"name":"a","cron_expression":"* * * * *","task_name":"app.a","args":[1],"queue":"qa","tags":["x"]}`).want(t, 201).member(t, "id")
	second := s.do(t, "POST", "/schedules", `{"name":"b","cron_expression":"* * * * *","task_name":"app.b"}`).want(t, 201).member(t, "id")
	hour := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	for n := range 6 {
		status, failure := "succeeded", ""
		if n == 4 {
			status, failure = "failed", "ValueError: no rows"
		}
		due := hour.Add(time.Duration(n) * time.Minute)
		if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, sent_at, started_at, finished_at, error)
			values ($1, $2, $3::timestamptz, 'scheduled', $4, 1, $3::timestamptz + interval '1 second', $3::timestamptz + interval '2 seconds', $3::timestamptz + interval '4 seconds',
				$3::timestamptz + interval '14 seconds', nullif($5, ''))`, outbox.NewID(), second, due, status, failure); err != nil {
			t.Fatal(err)
		}
	}
	manual := s.do(t, "POST", "/schedules/"+first+"/trigger", `{"args":[2]}`).want(t, 202).member(t, "run_id")

	page := s.do(t, "GET", "/runs?page_size=4", "").want(t, 200)
	if page.member(t, "runs.0.id") != manual || page.member(t, "runs.0.queue") != "qa" || page.member(t, "runs.1.schedule_name") != "b" || page.member(t, "runs.4") != "" {
		t.Errorf("first page: %s", page.body)
	}
	rest := s.do(t, "GET", "/runs?page_size=4&page_token="+url.QueryEscape(page.member(t, "next_page_token")), "").want(t, 200)
	if rest.member(t, "runs.2.schedule_id") != second || rest.member(t, "runs.3") != "" || rest.member(t, "next_page_token") != "" {
		t.Errorf("second page: %s", rest.body)
	}
	failed := s.do(t, "GET", "/runs?status=failed&status=expired&error=NO+ROWS&due_from="+hour.Format(time.RFC3339), "").want(t, 200)
	if failed.member(t, "runs.0.runtime_seconds") != "10" || failed.member(t, "runs.0.lateness_seconds") != "2" || failed.member(t, "runs.1") != "" {
		t.Errorf("failed: %s", failed.body)
	}
	if a := s.do(t, "GET", "/runs?tag=x", "").want(t, 200); a.member(t, "runs.0.id") != manual || a.member(t, "runs.1") != "" {
		t.Errorf("by tag: %s", a.body)
	}
	for path, status := range map[string]int{
		"/runs?status=late": 422, "/runs?page_token=x": 422, "/runs?schedule=x": 404, "/runs?due_from=yesterday": 422, "/runs?page_size=0": 422,
		"/runs/x": 404, "/runs/" + first: 404, "/runs/summary?due_from=2020-01-01T00:00:00Z": 422, "/runs/summary?due_to=0000-01-01T00:00:00Z": 422,
	} {
		if a := s.do(t, "GET", path, ""); a.status != status {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	one := s.do(t, "GET", "/runs/"+failed.member(t, "runs.0.id"), "").want(t, 200)
	for path, want := range map[string]string{
		"task_of": "schedule", "task_name": "app.b", "attempts": "1", "steps.0.step": "due", "steps.1.seconds": "1", "steps.2.step": "handed_over",
		"steps.3.seconds": "2", "steps.4.seconds": "10", "error": "ValueError: no rows",
	} {
		if got := one.member(t, path); got != want {
			t.Errorf("%s is %s, want %s: %s", path, got, want, one.body)
		}
	}
	own := s.do(t, "GET", "/runs/"+manual, "").want(t, 200)
	if own.member(t, "task_of") != "run" || own.member(t, "args") != "[2]" || own.member(t, "queue") != "qa" {
		t.Errorf("a manual run: %s", own.body)
	}
	sum := s.do(t, "GET", "/runs/summary", "").want(t, 200)
	for path, want := range map[string]string{
		"counts.succeeded": "5", "counts.failed": "1", "counts.due": "1", "total": "7", "cut": "false", "success_rate": fmt.Sprint(5. / 6),
		"runtime_seconds.p50": "10", "lateness_seconds.p95": "2",
	} {
		if got := sum.member(t, path); got != want {
			t.Errorf("%s is %s, want %s: %s", path, got, want, sum.body)
		}
	}
}

// TestRunsTellWhatTheyWereFiredWith changes a schedule after a run of it was recorded with its event.
func TestRunsTellWhatTheyWereFiredWith(t *testing.T) {
	t.Parallel()
	s := serve(t)
	schedule := s.do(t, "POST", "/schedules", `{"name":"a","cron_expression":"* * * * *","task_name":"app.a","args":[1],"queue":"qa"}`).want(t, 201).member(t, "id")
	var runs []string
	for range 40 {
		runs = append(runs, s.do(t, "POST", "/schedules/"+schedule+"/trigger", "").want(t, 202).member(t, "run_id"))
	}
	s.do(t, "PATCH", "/schedules/"+schedule, `{"args":[2],"queue":"qb"}`).want(t, 200)
	for _, run := range runs {
		got := s.do(t, "GET", "/runs/"+run, "").want(t, 200)
		if got.member(t, "task_of") != "run" || got.member(t, "args") != "[1]" || got.member(t, "queue") != "qa" {
			t.Fatalf("%s", got.body)
		}
	}
	if _, err := s.pool.Exec(t.Context(), "delete from tactus.outbox where topic = 'run'"); err != nil {
		t.Fatal(err)
	}
	got := s.do(t, "GET", "/runs/"+runs[0], "").want(t, 200)
	if got.member(t, "task_of") != "schedule" || got.member(t, "args") != "[2]" {
		t.Errorf("pruned: %s", got.body)
	}
}
