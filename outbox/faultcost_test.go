package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestFaultsOfFunctionsAreBounded puts schedules with thousands of faults: the answer has fifty, and the work grows as
// their number does.
func TestFaultsOfFunctionsAreBounded(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for name, member := range map[string]func(n int) string{
		"members": func(n int) string { return many(n, `"m%d":1`) },
		"tags":    func(n int) string { return `"tags":[` + many(n, `"\u0001%d"`) + `]` },
		"headers": func(n int) string { return `"headers":{` + many(n, `"x-tactus-%d":1`) + `}` },
		"reads":   func(n int) string { return `"headers":{` + many(n, `"x%d":"\ud800"`) + `}` },
		"long":    func(n int) string { return `"headers":{` + many(n/20, `"x%0300d":1`) + `}` },
		"args":    func(n int) string { return `"args":[` + many(n, `"a%d","\ud83d\ude00"`) + `]` },
		"kwargs":  func(n int) string { return `"kwargs":{` + many(n, `"a%d":{"__type__":1}`) + `}` },
	} {
		took := func(n int) time.Duration {
			body := `{"name":"n","task_name":"t","cron_expression":"* * * * *",` + member(n) + `}`
			best := time.Hour
			for range 3 {
				began := time.Now()
				_, err := pool.Exec(t.Context(), `select tactus.put_schedule($1::text)`, pgx.QueryExecModeExec, body)
				best = min(best, time.Since(began))
				if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
					var faults []any
					if err := json.Unmarshal([]byte(refused.Detail), &faults); err != nil || len(faults) > 50 || strings.Count(refused.Message, ";") > 50 {
						t.Errorf("%s: %d faults, %v, %s", name, len(faults), err, refused.Code)
					}
				} else if err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			return best
		}
		linear := false
		for range 10 { // something else may take the machine's time; work that grows by the square never passes
			few, most := took(1000), took(8000)
			t.Logf("%s: %v, and %v for 8 times as many", name, few, most)
			if linear = most <= 20*few+100*time.Millisecond; linear {
				break
			}
		}
		if !linear {
			t.Errorf("%s: the time grows faster than their number", name)
		}
	}
}

// TestDeletingLooksAtOneSchedule deletes by name and by id among many.
func TestDeletingLooksAtOneSchedule(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t))
	id := putSQL(t, pool, `{"name":"n","task_name":"t","cron_expression":"* * * * *"}`)
	putSQL(t, pool, `{"name":"other","task_name":"t","cron_expression":"* * * * *"}`)
	if _, err := pool.Exec(t.Context(), `
set jit = off; -- as the program has it
insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
from tactus.schedules, generate_series(1, 20000) n`); err != nil {
		t.Fatal(err)
	}
	for _, schedule := range []string{"none", "other", strings.ToUpper(id.String())} {
		var told []byte
		var plans []struct {
			Plan struct {
				Blocks int `json:"Shared Hit Blocks"`
			}
		}
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), `set local jit = off`); err != nil {
				return err
			}
			return tx.QueryRow(t.Context(), `explain (analyze, buffers, format json) select tactus.delete_schedule('`+schedule+`')`,
				pgx.QueryExecModeExec).Scan(&told)
		}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(told, &plans); err != nil || len(plans) != 1 || plans[0].Plan.Blocks > 500 {
			t.Errorf("%s: %+v, %v", schedule, plans, err)
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
