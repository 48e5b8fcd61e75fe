package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
)

// TestDryRunsAnswerAsTheRealOnes requests each change of many schedules twice, first as a dry run. Both answers say the
// same about each schedule, whatever the reason of a refusal is, and the dry run writes nothing.
func TestDryRunsAnswerAsTheRealOnes(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin, mine := s.key(t, "admin", access.Admin).Key, s.key(t, "mine", access.Write, "tag:mine").Key
	made := 0
	create := func(more string) string {
		made++
		body := fmt.Sprintf(`{"name":"s%d","cron_expression":"0 0 1 1 *","task_name":"app.t"%s}`, made, more)
		return s.as(t, admin, "POST", "/schedules", body).want(t, 201).member(t, "id")
	}
	write := func(sql string, args ...any) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	create(`,"stream":"orders","tags":["mine"]`)
	create(`,"queue":"lists","tags":["mine"]`)
	// state returns everything that a request may change.
	state := func() (all string) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `select concat_ws(' ', (select count(*) from tactus.outbox), (select count(*) from tactus.runs),
			(select count(*) from tactus.unjudged), (select count(*) from tactus.idempotency), (select count(*) from tactus.cancellations),
			(select count(*) from tactus.backfills), (select md5(string_agg(s::text, ' ' order by id)) from tactus.schedules s),
			(select md5(string_agg(r::text, ' ' order by id)) from tactus.runs r))`).Scan(&all); err != nil {
			t.Fatal(err)
		}
		return all
	}
	// twice returns the outcomes of a dry run, and fails if those of the real request differ.
	twice := func(path, list, request string) string {
		t.Helper()
		before := state()
		dry := s.as(t, mine, "POST", path, `{"dry_run":true,`+request).want(t, 200)
		if after := state(); after != before {
			t.Errorf("%s: a dry run has changed something: %s, then %s", request, before, after)
		}
		var answers [2][]map[string]any
		for i, a := range []answer{dry, s.as(t, mine, "POST", path, "{"+request).want(t, 200)} {
			var all map[string]json.RawMessage
			if err := json.Unmarshal([]byte(a.body), &all); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(all[list], &answers[i]); err != nil {
				t.Fatal(err)
			}
			for _, one := range answers[i] {
				switch one["outcome"] {
				case "done", "settled", "told":
					one["outcome"] = "would"
					delete(one, "status")
				}
				delete(one, "version")
				delete(one, "run_id")
			}
		}
		dried, err := json.Marshal(answers[0])
		if err != nil {
			t.Fatal(err)
		}
		if real, err := json.Marshal(answers[1]); err != nil || string(real) != string(dried) {
			t.Errorf("%s: a dry run says\n%s\nand the real one\n%s (%v)", request, dried, real, err)
		}
		return string(dried)
	}
	var said strings.Builder
	for _, change := range []string{
		`"action":"enable"`, `"action":"disable"`, `"action":"delete"`, `"action":"trigger"`, `"action":"retag","add_tags":["more"]`,
		`"action":"retag","remove_tags":["mine"]`, `"action":"set","set":{"queue":"orders"}`, `"action":"set","set":{"stream":"lists"}`,
		`"action":"set","set":{"name":"s1"}`, `"action":"set","set":{"priority":300}`, `"action":"set","set":{"priority":3}`,
		`"action":"disable","until":"yesterday"`,
	} {
		plain, off, invalid, managed, locked := create(`,"tags":["mine"]`), create(`,"tags":["mine"],"enabled":false`), create(`,"tags":["mine"]`),
			create(`,"tags":["mine"]`), create(`,"tags":["mine"]`)
		write(`update tactus.schedules set invalid_reason = 'cron_syntax: spoiled' where id = $1`, invalid)
		write(`update tactus.schedules set managed_by = 'table' where id = $1`, managed)
		tx, err := s.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		if _, err := tx.Exec(t.Context(), `select from tactus.schedules where id = $1 for update`, locked); err != nil {
			t.Fatal(err)
		}
		ids := []string{plain, off, invalid, managed, locked, create(""), "00000000-0000-7000-8000-000000000000"}
		said.WriteString(twice("/schedules/bulk", "outcomes", change+`,"ids":["`+strings.Join(ids, `","`)+`"]}`))
		if err := tx.Rollback(context.WithoutCancel(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
	for _, code := range []string{
		"not_found", "scope_forbidden", "target_ambiguous", "name_taken", "priority_range", "schedule_invalid", "managed_elsewhere",
		"schedule_locked",
	} {
		if !strings.Contains(said.String(), `"code":"`+code+`"`) {
			t.Errorf("no change is refused by %s: %s", code, said.String())
		}
	}
}
