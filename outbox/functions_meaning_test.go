package outbox_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestFunctionsTakeEveryType puts one definition as each type that a caller may have.
func TestFunctionsTakeEveryType(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // where the driver asks for the types of parameters
	const body = `{"name": "n", "task_name": "a", "interval_seconds": 60, "args": [1e5, -0.0, 1e400]}`
	literal := "'" + body + "'"
	for call, want := range map[string]string{
		`select tactus.put_schedule(` + literal + `)`:                                                                      `[1e5,-0.0,1e400]`,
		`select tactus.put_schedule(body => ` + literal + `)`:                                                              `[1e5,-0.0,1e400]`,
		`select tactus.put_schedule(` + literal + `::json)`:                                                                `[1e5,-0.0,1e400]`,
		`select tactus.put_schedule(` + literal + `::text)`:                                                                `[1e5,-0.0,1e400]`,
		`select tactus.put_schedule(` + literal + `::varchar)`:                                                             `[1e5,-0.0,1e400]`,
		`select tactus.put_schedule(` + strings.Replace(literal, "1e400", "1e2", 1) + `::jsonb)`:                           `[100000,0.0,100]`,
		`select tactus.put_schedule(jsonb_build_object('name', 'n', 'task_name', 'a', 'interval_seconds', 60))`:            `[]`,
		`select tactus.put_schedule(json_build_object('name', 'n', 'task_name', 'a', 'interval_seconds', 60))`:             `[]`,
		`select tactus.put_schedule(row_to_json(r)) from (select 'n' as name, 'a' as task_name, 60 as interval_seconds) r`: `[]`,
	} {
		if _, err := pool.Exec(t.Context(), call); err != nil {
			t.Errorf("%s: %v", call, err)
			continue
		}
		var task struct{ Args json.RawMessage }
		var text []byte
		if err := pool.QueryRow(t.Context(), `select task from tactus.schedules where name = 'n'`).Scan(&text); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &task); err != nil || string(task.Args) != want {
			t.Errorf("%s: args %s, want %s, %v", call, task.Args, want, err)
		}
	}
	for _, parameter := range []any{body, []byte(body), json.RawMessage(body)} {
		if _, err := pool.Exec(t.Context(), `select tactus.put_schedule($1)`, parameter); err != nil {
			t.Errorf("%T: %v", parameter, err)
		}
	}
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule($1::json)`, map[string]any{"name": "n", "task_name": "a", "interval_seconds": 60}); err != nil {
		t.Errorf("a map: %v", err)
	}
	for _, none := range []string{`{`, ``, `[]`, `"x"`, `null`, `7`} {
		if got := refusals(t, pool, none); !slices.Equal(got, []string{"json_invalid "}) {
			t.Errorf("%q is refused with %v", none, got)
		}
	}
}

// TestFunctionsCompareByMeaning puts by SQL what the API would write in other words: the due times stay, however the
// schedule was written before.
func TestFunctionsCompareByMeaning(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "Asia/Tokyo", handover.Limits{}.Check)
	for _, pair := range [][2]string{
		{`"cron_expression": "0 9 * * 1-5"`, `"cron_expression": " 0  9 * * MON-fri"`},
		{`"cron_expression": "0 * * * *"`, `"cron_expression": "@hourly"`},
		{`"cron_expression": "0 9 * * 0"`, `"cron_expression": "0 9 ? * 7"`},
		{`"cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo"`, `"cron_expression": "0 9 * * *"`},
		{`"cron_expression": "0 9 * * *", "timezone": "Europe/Berlin"`, `"cron_expression": "CRON_TZ=Europe/Berlin 0 9 * * *"`},
		{`"interval_seconds": 90`, `"cron_expression": "@every 1m30s"`},
		{`"interval_seconds": 90, "interval_anchor": "2026-01-01T00:00:00.1234567Z"`, `"interval_seconds": 90.0, "interval_anchor": "2026-01-01T09:00:00.1234567+09:00"`},
		{`"run_at": "2126-01-01T00:00:00.123456789Z"`, `"run_at": "2126-01-01T09:00:00.123456789+09:00"`},
		{`"cron_expression": "0 9 * * *", "ends_at": "2126-01-01T00:00:00.9999999Z"`, `"cron_expression": "0 9 * * *", "ends_at": "2126-01-01T00:00:00.9999999Z", "timezone": ""`},
	} {
		for _, order := range [][]string{{pair[0], pair[1], pair[0]}, {pair[1], pair[0], pair[1]}} {
			var first domain.Schedule
			for i, members := range order {
				body := `{"name": "n", "task_name": "a", ` + members + `}`
				if i == 0 && order[0] == pair[1] && !strings.Contains(members, "timezone") {
					body = `{"name": "n", "task_name": "a", "timezone": "Asia/Tokyo", ` + members + `}`
					if strings.Contains(members, "TZ=") {
						body = `{"name": "n", "task_name": "a", ` + members + `}`
					}
				}
				d, err := domain.Decode([]byte(body))
				if err != nil {
					t.Fatal(err)
				}
				var s domain.Schedule
				if i != 1 { // Go, SQL, Go
					s, _, err = store.Put(t.Context(), d)
				} else {
					putSQL(t, pool, body)
					s, err = outbox.GetByName(t.Context(), pool, "n")
				}
				if err != nil {
					t.Fatalf("%s: %v", body, err)
				}
				if i == 0 {
					first = s
				} else if !s.TriggerSetAt.Equal(first.TriggerSetAt) || !s.EffectiveFrom.Equal(first.EffectiveFrom) {
					t.Errorf("%s after %s moves the trigger", members, order[0])
				}
			}
			if err := store.Delete(t.Context(), first.ID, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	// What an older version of the functions wrote has its expression as it was typed.
	id := putSQL(t, pool, `{"name": "old", "task_name": "a", "cron_expression": "0 9 * * 1-5"}`)
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set trigger = replace(trigger, '1-5', 'MON-FRI'), definition = replace(definition::text, '1-5', 'MON-FRI')::json where id = $1`, id); err != nil {
		t.Fatal(err)
	}
	before, err := outbox.GetByName(t.Context(), pool, "old")
	if err != nil {
		t.Fatal(err)
	}
	putSQL(t, pool, `{"name": "old", "task_name": "a", "cron_expression": "0 9 * * MON-FRI"}`)
	if after, err := outbox.GetByName(t.Context(), pool, "old"); err != nil || !after.TriggerSetAt.Equal(before.TriggerSetAt) || after.CronExpression != "0 9 * * 1-5" {
		t.Errorf("%s, set at %s after %s, %v", after.CronExpression, after.TriggerSetAt, before.TriggerSetAt, err)
	}
}

// TestFunctionsKnowTheReservedNames holds the lists of SQL against those of Go.
func TestFunctionsKnowTheReservedNames(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	var headers []string
	if err := pool.QueryRow(t.Context(), `select tactus.reserved_headers()`).Scan(&headers); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(handover.ReservedHeaders(), headers); diff != "" {
		t.Errorf("headers (-Go +SQL):\n%s", diff)
	}
	for _, name := range []string{
		"tactus:events", "second:tactus:events", "{second:tactus:events}", "xtactus:y", "{tactus:events}", "{{tactus:x", "tactus", "tactus-jobs", "xtactus:events", "_kombu.binding.x", "_kombu", "unacked", "unacked_index", "unacked_mutex",
		"unacked2", "celery-task-meta-1", "celery-taskset-meta-1", "celery-task", "celeryev", "celeryev.1", "celery.pidbox", "x.reply.celery.pidbox", "pidbox", "redbeat:x", "redbeat::lock",
		"celeryresults", "celeryresults2", "celery_delayed_27", "celery", "jobs", "", "Tactus:events", "{}", "unacked\n",
	} {
		var reserved bool
		if err := pool.QueryRow(t.Context(), `select tactus.reserved_key($1)`, name).Scan(&reserved); err != nil || reserved != domain.ReservedKey(name) {
			t.Errorf("%q: Go %v, SQL %v, %v", name, domain.ReservedKey(name), reserved, err)
		}
	}
}

// TestFunctionsUnderOddSettings writes under what an administrator may have set.
func TestFunctionsUnderOddSettings(t *testing.T) {
	t.Parallel()
	pool := testenv.Connect(t, testenv.DirectURL(t)) // a pooler passes no such settings on
	config := pool.Config()
	maps.Copy(config.ConnConfig.RuntimeParams, map[string]string{
		"standard_conforming_strings": "off", "DateStyle": "German, DMY", "IntervalStyle": "sql_standard", "TimeZone": "Asia/Kolkata",
		"bytea_output": "escape", "extra_float_digits": "-10", "default_transaction_isolation": "serializable", "search_path": "pg_temp",
		"backslash_quote": "off", "escape_string_warning": "off", "transform_null_equals": "on",
	})
	odd, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer odd.Close()
	for _, text := range definitions {
		ids := []domain.ID{putSQL(t, odd, strings.Replace(text, `"name": "`, `"name": "odd `, 1)), putSQL(t, pool, text)}
		var written []domain.Definition
		for _, id := range ids {
			s := checkHistory(t, pool, id)
			s.Name, s.IntervalAnchor = "", s.IntervalAnchor[:min(len(s.IntervalAnchor), 10)]
			s.Kwargs = []byte(strings.ReplaceAll(string(s.Kwargs), id.String(), ""))
			written = append(written, s.Definition)
			if s.AutoGeneratedName {
				continue
			}
			if _, err := pool.Exec(t.Context(), `select tactus.delete_schedule($1)`, id.String()); err != nil {
				t.Fatal(err)
			}
		}
		written[0].Kwargs, written[1].Kwargs = append([]byte{}, written[0].Kwargs...), append([]byte{}, written[1].Kwargs...)
		if diff := cmp.Diff(written[1], written[0]); diff != "" {
			t.Errorf("%s (-usual +odd):\n%s", text, diff)
		}
	}
	for _, text := range []string{`{"task_name": "a", "cron_expression": "0 9 * * 8"}`, `{"task_name": "a", "run_at": "2020-01-01T00:00:00Z"}`, `{"name": "a\u0001", "task_name": "a", "interval_seconds": 60}`} {
		if usual, got := refusals(t, pool, text), refusals(t, odd, text); !slices.Equal(usual, got) {
			t.Errorf("%s is refused with %v, usually %v", text, got, usual)
		}
	}
}

// TestFunctionsTakeLargeBodies writes what is nearly too large, of the kinds that are the most work: it is no more than
// in proportion to what is an eighth as large.
func TestFunctionsTakeLargeBodies(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	for name, args := range map[string]func(n int) string{
		"numbers": func(n int) string { return strings.Repeat("1, ", 80*n) + `1` },
		"escapes": func(n int) string { return `"` + strings.Repeat(`\\`, 60*n) + strings.Repeat(`\"`, 60*n) + ` "` },
		"units":   func(n int) string { return `"` + strings.Repeat(`\u0000`, 40*n) + ` "` },
		"white":   func(n int) string { return `1` + strings.Repeat(" ", 250*n) },
		"objects": func(n int) string { return strings.Repeat(`{"a": {}}, `, 20*n) + `1` },
	} {
		work := func(n int) time.Duration {
			return effort.Least(func() {
				putSQL(t, pool, `{"name": "n", "task_name": "a", "interval_seconds": 60, "args": [`+args(n)+`]}`)
			})
		}
		small, large := work(125), work(1000)
		t.Logf("%s: %v of a processor, and %v for 8 times as many", name, small, large)
		if large > 30*small+20*time.Millisecond { // the square of their number would be 64 times as much
			t.Errorf("%s: the work grows faster than the body: %v, and %v for 8 times as many", name, small, large)
		}
	}
}
