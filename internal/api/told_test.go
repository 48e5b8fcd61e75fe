package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
)

// TestRunsTellWhoTriggeredThem makes runs in every way in which a caller can, and reads who made them, and why.
func TestRunsTellWhoTriggeredThem(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin := s.key(t, "ann", access.Admin).Key
	do := func(method, path, body, why string) answer {
		return s.do(t, method, path, body, "Authorization", "Bearer "+admin, "X-Tactus-Reason", why)
	}
	id := do("POST", "/schedules", `{"name":"a","cron_expression":"0 * * * *","task_name":"app.a","tags":["x"]}`, "").want(t, 201).member(t, "id")
	manual := do("POST", "/schedules/"+id+"/trigger", "", "month end").want(t, 202).member(t, "run_id")
	own := do("POST", "/schedules/"+id+"/trigger", `{"args":[7]}`, "with seven").want(t, 202).member(t, "run_id")
	again := do("POST", "/runs/"+own+"/rerun", "", "it failed").want(t, 202).member(t, "run_id")
	bulk := do("POST", "/schedules/bulk", `{"action":"trigger","filter":{"tag":["x"]}}`, "all at once").want(t, 200).member(t, "outcomes.0.run_id")
	silent := do("POST", "/schedules/"+id+"/trigger", "", "").want(t, 202).member(t, "run_id")
	hour := time.Now().Truncate(time.Hour)
	asked := fmt.Sprintf(`{"from":%q,"to":%q}`, hour.Add(-9*time.Hour).Format(time.RFC3339), hour.Add(-time.Hour).Format(time.RFC3339))
	do("POST", "/schedules/"+id+"/backfill", asked, "wrong prices").want(t, 202)
	const fired, scheduled = "01a00000-0000-7000-8000-000000000001", "01a00000-0000-7000-8000-000000000002"
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at)
		select '`+fired+`', schedule_id, now(), id, 'backfill', 'due', 1, now() from tactus.backfills`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
		values ('`+scheduled+`', $1::text::uuid, now(), 'scheduled', 'due', 1, now())`, id); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string][3]string{
		manual: {"key:ann", "month end", ""}, own: {"key:ann", "with seven", ""}, again: {"key:ann", "it failed", own},
		bulk: {"key:ann", "all at once", ""}, silent: {"key:ann", "", ""}, fired: {"key:ann", "wrong prices", ""},
		scheduled: {"", "", ""},
	} {
		got := do("GET", "/runs/"+run, "", "").want(t, 200)
		for i, member := range []string{"triggered_by", "trigger_reason", "rerun_of"} {
			if value := strings.TrimPrefix(got.member(t, member), "<nil>"); value != want[i] {
				t.Errorf("%s is %q, want %q: %s", member, value, want[i], got.body)
			}
		}
	}
}

// TestEveryKindOfChangeTellsWhoAndWhy changes one thing of each kind that the log has, and reads its event.
func TestEveryKindOfChangeTellsWhoAndWhy(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin := s.key(t, "ann", access.Admin).Key
	do := func(method, path, body, why string) {
		t.Helper()
		if got := s.do(t, method, path, body, "Authorization", "Bearer "+admin, "X-Tactus-Reason", why); got.status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
		}
	}
	do("PUT", "/schedules/by-name/a", `{"interval_seconds":3600,"task_name":"app.a"}`, "why schedule.created")
	do("PUT", "/calendars/c", `{"days":["2127-01-01"]}`, "why calendar.updated")
	do("DELETE", "/calendars/c", "", "why calendar.deleted")
	do("PUT", "/routes/app.*", `{"queue":"q"}`, "why route.set")
	do("DELETE", "/routes/app.*", "", "why route.deleted")
	do("PUT", "/notification-rules/r", `{"to":"stream","on":["failed"]}`, "why rule.set")
	do("DELETE", "/notification-rules/r", "", "why rule.deleted")
	for _, kind := range []string{
		"schedule.created", "calendar.updated", "calendar.deleted", "route.set", "route.deleted", "rule.set", "rule.deleted",
	} {
		got := s.as(t, admin, "GET", "/events?type="+kind, "").want(t, 200)
		by := got.member(t, "events.0.actor")
		if kind == "calendar.deleted" { // deleted by an SQL function, which gets the actor as an argument
			by = got.member(t, "events.0.onbehalfof")
		}
		if by != "key:ann" || got.member(t, "events.0.reason") != "why "+kind || got.member(t, "events.1") != "" {
			t.Errorf("%s: %s", kind, got.body)
		}
	}
}

// TestRunsTellTheirQueueAndEnd reads runs whose queue was not named, that went to a stream, and whose clocks differ.
func TestRunsTellTheirQueueAndEnd(t *testing.T) {
	t.Parallel()
	s := serve(t)
	run := func(definition, set string) answer {
		t.Helper()
		id := s.do(t, "POST", "/schedules", definition).want(t, 201).member(t, "id")
		made := s.do(t, "POST", "/schedules/"+id+"/trigger", "").want(t, 202).member(t, "run_id")
		if _, err := s.pool.Exec(t.Context(), `update tactus.runs set `+set+` where id = $1::text::uuid`, made); err != nil {
			t.Fatal(err)
		}
		listed := s.do(t, "GET", "/runs?schedule="+id, "").want(t, 200)
		got := s.do(t, "GET", "/runs/"+made, "").want(t, 200)
		for _, member := range []string{"final", "stream", "clocks_differ", "runtime_seconds"} {
			if one, other := got.member(t, member), listed.member(t, "runs.0."+member); one != other {
				t.Errorf("%s is %s of the run, and %s in the list", member, one, other)
			}
		}
		return got
	}
	const task = `{"interval_seconds":3600,"task_name":"app.a"`
	const routed = `{"interval_seconds":3600,"task_name":"app.routed","exchange":"x"}`
	s.do(t, "PUT", "/routes/app.routed", `{"queue":"fast"}`).want(t, 200)
	sent := `status = 'sent', sent_at = now()`
	short := `status = 'succeeded', started_at = now(), finished_at = now() - interval '3 milliseconds'`
	ended := `status = 'succeeded', started_at = now(), finished_at = now() - interval '3 seconds'`
	for name, c := range map[string]struct {
		got  answer
		want map[string]string
	}{
		"default queue": {run(task+`}`, sent), map[string]string{"queue": "celery", "final": "false", "stream": "<nil>"}},
		"named queue":   {run(task+`,"queue":"q"}`, sent), map[string]string{"queue": "q", "final": "false"}},
		"exchange":      {run(task+`,"exchange":"x","routing_key":"k"}`, sent), map[string]string{"queue": "<nil>", "final": "false"}},
		"half":          {run(task+`,"exchange":"x"}`, sent), map[string]string{"queue": "celery", "final": "false"}},
		"half, routed":  {run(routed, sent), map[string]string{"queue": "fast", "final": "false"}},
		"stream":        {run(task+`,"stream":"orders"}`, sent), map[string]string{"queue": "<nil>", "final": "true", "stream": "orders"}},
		"no time":       {run(task+`}`, short), map[string]string{"final": "true", "clocks_differ": "<nil>", "runtime_seconds": "0"}},
		"clocks differ": {run(task+`}`, ended), map[string]string{"final": "true", "clocks_differ": "true", "runtime_seconds": "<nil>"}},
	} {
		for member, want := range c.want {
			if value := c.got.member(t, member); value != want {
				t.Errorf("%s: %s is %q, want %q: %s", name, member, value, want, c.got.body)
			}
		}
	}
}
