package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
)

// hourly makes a schedule that is due at each full hour, and returns its path and the last full hour.
func (s service) hourly(t *testing.T, members string) (path string, hour time.Time) {
	t.Helper()
	id := s.do(t, "POST", "/schedules", `{"name":"hourly","cron_expression":"0 * * * *","task_name":"app.export"`+members+`}`).want(t, 201).member(t, "id")
	return "/schedules/" + id, time.Now().UTC().Truncate(time.Hour)
}

func rangeOf(from, to time.Time, members string) string {
	return fmt.Sprintf(`{"from":%q,"to":%q%s}`, from.Format(time.RFC3339), to.Format(time.RFC3339), members)
}

// TestBackfill requests a backfill, first as a dry run and then for real, reads it, and cancels it.
func TestBackfill(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at, hour := s.hourly(t, "")
	dry := s.do(t, "POST", at+"/backfill", rangeOf(hour.Add(-30*time.Hour), hour.Add(-time.Hour), `,"dry_run":true,"order":"newest_first"`)).want(t, 200)
	if dry.member(t, "total") != "30" || dry.member(t, "first_due_times.0") != hour.Add(-time.Hour).Format(time.RFC3339) || dry.member(t, "left_out.ran") != "0" ||
		dry.member(t, "execution_policy") != "allow" || dry.member(t, "max_active") != "1" || dry.header.Get("Location") != "" {
		t.Error(dry.body)
	}
	if got := s.do(t, "GET", at+"/backfills", "").want(t, 200).member(t, "backfills"); got != "[]" {
		t.Error(got)
	}
	asked := rangeOf(hour.Add(-30*time.Hour), hour.Add(-time.Hour), `,"max_active":5,"reason":"wrong prices"`)
	made := s.do(t, "POST", at+"/backfill", asked, "Idempotency-Key", "k").want(t, 202)
	same := s.do(t, "POST", at+"/backfill", asked, "Idempotency-Key", "k").want(t, 202)
	if made.body != same.body || made.member(t, "total") != "30" {
		t.Errorf("%s\n%s", made.body, same.body)
	}
	s.do(t, "POST", at+"/backfill", strings.Replace(asked, "5", "6", 1), "Idempotency-Key", "k").want(t, 422)
	one := strings.TrimPrefix(made.header.Get("Location"), "/api/v1")
	got := s.do(t, "GET", one, "").want(t, 200)
	if got.member(t, "state") != "running" || got.member(t, "remaining") != "30" || got.member(t, "reason") != "wrong prices" || got.member(t, "max_active") != "5" {
		t.Error(got.body)
	}
	if all := s.do(t, "GET", at+"/backfills?limit=1", "").want(t, 200); all.member(t, "backfills.0.id") != made.member(t, "id") || all.member(t, "next_before") != "" {
		t.Error(all.body)
	}
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
		select gen_random_uuid(), schedule_id, due_times[1], id, 'backfill', 'due', 1 from tactus.backfills`); err != nil {
		t.Fatal(err)
	}
	runs := s.do(t, "GET", "/runs?kind=backfill", "").want(t, 200)
	if runs.member(t, "runs.0.backfill_id") != made.member(t, "id") || runs.member(t, "runs.0.lateness_seconds") != "<nil>" {
		t.Error(runs.body)
	}
	run := s.do(t, "GET", "/runs/"+runs.member(t, "runs.0.id"), "").want(t, 200)
	if run.member(t, "backfill_id") != made.member(t, "id") {
		t.Error(run.body)
	}
	ended := s.do(t, "POST", one+"/cancel", `{"runs":true,"reason":"too many"}`).want(t, 200)
	if ended.member(t, "state") != "cancelled" || ended.member(t, "end_reason") != "too many" || ended.member(t, "run_counts.revoked") != "1" {
		t.Error(ended.body)
	}
	if again := s.do(t, "POST", one+"/cancel", "").want(t, 409); again.member(t, "code") != "backfill_ended" {
		t.Error(again.body)
	}
	s.do(t, "DELETE", at, "").want(t, 204)
	s.do(t, "GET", at+"/backfills", "").want(t, 200)
	s.do(t, "POST", at+"/backfill", asked).want(t, 404)
	s.do(t, "GET", "/backfills/nonsense", "").want(t, 404)
}

// TestBackfillRefused sends every fault of a backfill, and checks that none leaves anything.
func TestBackfillRefused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "PUT", "/calendars/all-days", `{"days":[{"from":"2000-01-01","to":"2099-12-31","reason":"closed"}]}`).want(t, 201)
	at, hour := s.hourly(t, "")
	schedule := func(name, members string) string {
		return "/schedules/" + s.do(t, "POST", "/schedules", fmt.Sprintf(`{"name":%q,"task_name":"t",%s}`, name, members)).want(t, 201).member(t, "id")
	}
	stream := schedule("stream", `"cron_expression":"0 * * * *","stream":"s"`)
	secondly := schedule("secondly", `"interval_seconds":1`)
	closed := schedule("closed", `"cron_expression":"0 * * * *","exclude_calendars":["all-days"]`)
	invalid := schedule("invalid", `"cron_expression":"0 * * * *"`)
	ended := schedule("ended", `"cron_expression":"0 * * * *","starts_at":"2030-01-01T00:00:00Z"`)
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set invalid_reason = 'a zone is gone', enabled = false where name = 'invalid'`); err != nil {
		t.Fatal(err)
	}
	day := func(members string) string { return rangeOf(hour.Add(-24*time.Hour), hour, members) }
	for name, c := range map[string]struct {
		path, body, code, location string
		status                     int
	}{
		"no from":         {at, `{}`, "from_missing", "/from", 422},
		"no time":         {at, `{"from":"yesterday"}`, "time_invalid", "/from", 422},
		"no end":          {at, `{"from":"2026-01-01T00:00:00Z","to":"soon"}`, "time_invalid", "/to", 422},
		"backwards":       {at, rangeOf(hour, hour.Add(-time.Hour), ""), "end_before_start", "/to", 422},
		"to come":         {at, rangeOf(hour, hour.Add(2*time.Hour), ""), "backfill_in_future", "/to", 422},
		"all to come":     {at, rangeOf(hour.Add(2*time.Hour), hour.Add(3*time.Hour), ""), "backfill_in_future", "/to", 422},
		"only to come":    {at, fmt.Sprintf(`{"from":%q}`, hour.Add(2*time.Hour).Format(time.RFC3339)), "backfill_in_future", "/from", 422},
		"not kept":        {at, rangeOf(hour.Add(-100*24*time.Hour), hour, ""), "backfill_too_old", "/from", 422},
		"nothing due":     {at, rangeOf(hour.Add(-50*time.Minute), hour.Add(-10*time.Minute), ""), "backfill_empty", "/from", 422},
		"not yet":         {ended, day(""), "backfill_empty", "/from", 422},
		"too many":        {secondly, day(""), "backfill_too_large", "/to", 422},
		"all excluded":    {closed, day(""), "backfill_empty", "/from", 422},
		"skip":            {at, day(`,"execution_policy":"skip"`), "choice_invalid", "/execution_policy", 422},
		"order":           {at, day(`,"order":"random"`), "choice_invalid", "/order", 422},
		"none at a time":  {at, day(`,"max_active":0`), "out_of_range", "/max_active", 422},
		"all at a time":   {at, day(`,"max_active":101`), "out_of_range", "/max_active", 422},
		"queue and many":  {at, day(`,"execution_policy":"queue","max_active":2`), "out_of_range", "/max_active", 422},
		"queue on stream": {stream, day(`,"execution_policy":"queue"`), "overlap_requires_tracking", "/execution_policy", 422},
		"unknown":         {at, day(`,"again_and_again":true`), "unknown_field", "/again_and_again", 422},
		"type":            {at, day(`,"max_active":"many"`), "type_invalid", "/max_active", 422},
		"reason":          {at, day(`,"reason":"` + strings.Repeat("x", 1001) + `"`), "text_invalid", "/reason", 422},
		"malformed":       {at, `{"from":`, "json_invalid", "", 400},
		"invalid":         {invalid, day(""), "schedule_invalid", "", 409},
		"no schedule":     {"/schedules/0192f0c1-2345-7abc-8def-0123456789ab", day(""), "not_found", "", 404},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, "POST", c.path+"/backfill", c.body).want(t, c.status)
			if code, where := a.member(t, "errors.0.code"), a.member(t, "errors.0.location"); code != c.code || where != c.location {
				t.Errorf("%s at %q, want %s at %q: %s", code, where, c.code, c.location, a.body)
			}
		})
	}
	all := s.do(t, "POST", at+"/backfill", `{"to":"soon","order":"x","max_active":0,"execution_policy":"y"}`).want(t, 422)
	for i, code := range []string{"from_missing", "time_invalid", "choice_invalid", "choice_invalid", "out_of_range"} {
		if got := all.member(t, fmt.Sprintf("errors.%d.code", i)); got != code {
			t.Errorf("fault %d is %s, want %s: %s", i, got, code, all.body)
		}
	}
	dry := s.do(t, "POST", closed+"/backfill", day(`,"dry_run":true`)).want(t, 200)
	if dry.member(t, "total") != "0" || dry.member(t, "left_out.excluded") != "25" || dry.member(t, "excluded_due_times.0") != hour.Add(-24*time.Hour).Format(time.RFC3339) {
		t.Error(dry.body)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.backfills`).Scan(&n); err != nil || n != 0 {
		t.Errorf("%d backfills, %v", n, err)
	}
}

// TestBackfillOutOfScope checks that a caller who may not see a schedule does not find its backfills, and that a caller
// who may only read cannot start one.
func TestBackfillOutOfScope(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin, reader := s.key(t, "admin", access.Admin), s.key(t, "reader", access.Read)
	mine, foreign := s.key(t, "mine", access.Write, "name:hour"), s.key(t, "foreign", access.Write, "name:other")
	id := s.as(t, admin.Key, "POST", "/schedules", `{"name":"hourly","cron_expression":"0 * * * *","task_name":"t"}`).want(t, 201).member(t, "id")
	ask := fmt.Sprintf(`{"from":%q}`, time.Now().Add(-3*time.Hour).UTC().Format(time.RFC3339))
	s.as(t, reader.Key, "POST", "/schedules/"+id+"/backfill", ask).want(t, 403)
	s.as(t, foreign.Key, "POST", "/schedules/"+id+"/backfill", ask).want(t, 404)
	made := s.as(t, mine.Key, "POST", "/schedules/"+id+"/backfill", ask).want(t, 202).member(t, "id")
	s.as(t, foreign.Key, "GET", "/backfills/"+made, "").want(t, 404)
	s.as(t, foreign.Key, "GET", "/schedules/"+id+"/backfills", "").want(t, 404)
	s.as(t, foreign.Key, "POST", "/backfills/"+made+"/cancel", "").want(t, 404)
	s.as(t, reader.Key, "POST", "/backfills/"+made+"/cancel", "").want(t, 403)
	if got := s.as(t, reader.Key, "GET", "/backfills/"+made, "").want(t, 200); got.member(t, "actor") != "key:mine" {
		t.Error(got.body)
	}
	s.as(t, mine.Key, "POST", "/backfills/"+made+"/cancel", "").want(t, 200)
}
