package outbox_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// refusal returns how put_schedule refuses a definition. An error that PostgreSQL does not catch would leave no
// statistics of its statement.
const refusal = `
create function pg_temp.refusal(body text, out message text, out detail text) language plpgsql as $$
begin
    perform tactus.put_schedule(body);
exception when others then
    get stacked diagnostics message = message_text, detail = pg_exception_detail;
end $$`

// TestFaultsOfFunctionsAreBounded puts schedules with thousands of faults: the answer has fifty, and the work grows as
// their number does.
func TestFaultsOfFunctionsAreBounded(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Exec(t.Context(), refusal); err != nil {
		t.Fatal(err)
	}
	for name, member := range map[string]func(n int) string{
		"members": func(n int) string { return many(n, `"m%d":1`) },
		"tags":    func(n int) string { return `"tags":[` + many(n, `"\u0001%d"`) + `]` },
		"headers": func(n int) string { return `"headers":{` + many(n, `"x-tactus-%d":1`) + `}` },
		"reads":   func(n int) string { return `"headers":{` + many(n, `"x%d":"\ud800"`) + `}` },
		"long":    func(n int) string { return `"headers":{` + many(n/20, `"x%0300d":1`) + `}` },
		"args":    func(n int) string { return `"args":[` + many(n, `"a%d","\ud83d\ude00"`) + `]` },
		"kwargs":  func(n int) string { return `"kwargs":{` + many(n, `"a%d":{"__type__":1}`) + `}` },
	} {
		work := func(n int) time.Duration {
			body := `{"name":"n","task_name":"t","cron_expression":"* * * * *",` + member(n) + `}`
			return effort.Least(func() {
				var message, detail *string
				if err := conn.QueryRow(t.Context(), `select * from pg_temp.refusal($1)`, body).Scan(&message, &detail); err != nil {
					t.Fatal(err)
				}
				if message == nil {
					return // it is no fault
				}
				var faults []any
				if err := json.Unmarshal([]byte(*detail), &faults); err != nil || len(faults) > 50 || strings.Count(*message, ";") > 50 {
					t.Errorf("%s: %d faults, %v, %s", name, len(faults), err, *message)
				}
			})
		}
		few, most := work(1000), work(8000)
		t.Logf("%s: %v of a processor, and %v for 8 times as many", name, few, most)
		if most > 30*few+20*time.Millisecond { // the square of their number would be 64 times as much
			t.Errorf("%s: the work grows faster than their number: %v for 1000, %v for 8000", name, few, most)
		}
	}
}

// TestDeletingLooksAtOneSchedule deletes by name and by id among many.
func TestDeletingLooksAtOneSchedule(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	id := putSQL(t, pool, `{"name":"n","task_name":"t","cron_expression":"* * * * *"}`)
	putSQL(t, pool, `{"name":"other","task_name":"t","cron_expression":"* * * * *"}`)
	if _, err := pool.Exec(t.Context(), `
insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
from tactus.schedules, generate_series(1, 20000) n`); err != nil {
		t.Fatal(err)
	}
	for _, schedule := range []string{"none", "other", strings.ToUpper(id.String())} {
		blocks, _ := effort.Of(func() {
			if _, err := pool.Exec(t.Context(), `select tactus.delete_schedule($1)`, schedule); err != nil {
				t.Error(err)
			}
		})
		if blocks > 1_200 { // to read the table takes more than 2,000; the first call of a session, hundreds
			t.Errorf("%s: %d blocks", schedule, blocks)
		}
	}
	var living int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where deleted_at is null`).Scan(&living); err != nil || living != 40_000 {
		t.Errorf("%d are left, %v", living, err)
	}
}

// many returns n members with numbers in them.
func many(n int, format string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(all, ",")
}
