package outbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// definitions are what both write paths accept.
var definitions = []string{
	`{"name": "n", "task_name": "a", "cron_expression": "*/5 * * * *"}`,
	`{"name": " padded ", "task_name": " a ", "cron_expression": " 0   9  * * 1-5 ", "timezone": "Asia/Tokyo", "enabled": false}`,
	`{"name": "n", "task_name": "a", "cron_expression": "TZ=Asia/Tokyo 0 0 L * *", "dst_gap": "skip", "dst_overlap": "both"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "30 0 9 * * *", "cron_seconds": true, "cron_dialect": "vixie"}`,
	`{"name": "n", "task_name": "a", "preset_name": "monthly_last_business_day", "timezone": "Europe/Berlin"}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 90, "interval_anchor": "2026-01-01T00:00:00.5Z"}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 90.0, "interval_anchor": "2026-01-01T09:00:00+09:00", "timezone": "UTC"}`,
	`{"name": "n", "task_name": "a", "run_at": "2123-03-08T02:30:00Z", "max_runs": 0, "jitter_seconds": 0}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00.25Z",
		"max_runs": 7, "on_completed": "delete", "jitter_seconds": 30, "spread_seconds": 600, "misfire_policy": "all", "misfire_grace_seconds": 0, "misfire_window_seconds": 7200, "expires_seconds": 60}`,
	`{"name": "名前 🍜", "task_name": "a", "cron_expression": "0 9 * * *", "description": "a \"quoted\"\nline <&> \\", "category": "c", "tags": ["a", "b"],
		"args": [1, 2.5, null, "é", {"b": null, "a": []}], "kwargs": {"z": null, "a": {"c": [1]}, "emoji": "🍜"}}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "queue": "q", "priority": 0, "exchange": "e", "routing_key": "r", "headers": {"x": {"y": null}},
		"time_limit_seconds": 300, "soft_time_limit_seconds": 200, "ignore_result": true, "shadow": "s"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "stream": "jobs", "args": [], "kwargs": {}, "tags": [], "headers": {}, "description": null, "ignore_result": false}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "task_params": {"from_date": "2026-01-01"}, "id": "x", "version": 7, "next_run_at": null}`,
	`{"name": "n", "task_name": "a", "cron_expression": "@hourly"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "TZ=Asia/Tokyo @daily", "cron_seconds": true}`,
	`{"name": "n", "task_name": "a", "cron_expression": "@every 1m30s"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 9 ? * MON-fri,7"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0\t9 * * *", "interval_seconds": 0, "queue": "", "timezone": ""}`,
	`{"name": "n", "task_name": "a", "run_at": "2123-03-08T02:30:00.1234567Z", "starts_at": "2122-01-01T00:00:00.0000009Z"}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 60, "args": [1e5, -0.0, 1e400, 0.1e-7, 12345678901234567890123, "\u0000", "\ud83c", "\\u0000", "\\\u0000", " a  b "],
		"kwargs": {"z": 1e5, "a": {"\u0000": "\"\\"}, "b": 1.50}, "headers": {"x": 1e5}}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 60, "task_params": {"z": 1e5, "a": "\u0000 ", "schedule_id": 7}}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 60, "task_params": {"a":  1e5}, "kwargs": {"a": 1e5}}`,
	`{"name": "\u00a0n\u3000", "task_name": "\ta\n", "interval_seconds": 60, "priority": 100}`,
	`{"name": "n", "task_name": "a", "interval_seconds": 60, "effective_from": "x", "trigger_set_at": "x", "message": "x", "warnings": [1]}`,
	`{"task_name": "unnamed", "cron_expression": "0 9 * * *"}`,
	`{"name": "n", "task_name": "a", "rrule": "DTSTART:20260105T093000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "timezone": "Asia/Tokyo"}`,
	`{"name": "n", "task_name": "a", "rrule": "\r\n freq=monthly;bymonthday=-1; \r\nEXDATE;VALUE=DATE-TIME:20270131T000000,20270228T000000\r\ndtstart;value=date:20260105\n", "dst_gap": "skip"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 0 12 ? * MON-fri,L 2026/2", "cron_dialect": "quartz"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "0 /15 12 L-3W * ? *", "cron_dialect": "quartz", "cron_seconds": true}`,
	`{"name": "n", "task_name": "a", "cron_expression": " cron( 0 12 ? *  6L 2026-2099 )", "cron_dialect": "aws"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "TZ=Asia/Tokyo 0 12 * * ? *", "cron_dialect": "aws"}`,
	`{"name": "n", "task_name": "a", "cron_expression": "rate(5 minutes)", "cron_dialect": "aws"}`,
}

// TestFunctionsWriteAsGoDoes puts each definition by SQL, and holds the row and the event against what Go makes of it.
func TestFunctionsWriteAsGoDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, text := range definitions {
		id := putSQL(t, pool, text)
		written := checkHistory(t, pool, id)
		d, err := domain.Decode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		want, _, err := d.Normalize(domain.Context{ID: id, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if want.IntervalAnchor != "" && d.IntervalAnchor == "" {
			want.IntervalAnchor = written.IntervalAnchor
		}
		enabled := want.IsEnabled()
		want.Enabled = &enabled
		if diff := cmp.Diff(comparable(t, want), comparable(t, written.Definition)); diff != "" {
			t.Errorf("%s (-Go +SQL):\n%s", text, diff)
		}
		// What was put is left alone when it is put again, by either.
		if again := putSQL(t, pool, text); written.AutoGeneratedName == (again == id) {
			t.Errorf("%s: put again, its id is %s after %s", text, again, id)
		}
		if d.Name == "" {
			continue
		}
		if after, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), written.Definition); err != nil || after.Version != 1 {
			t.Errorf("%s: put again by Go: %+v, %v", text, after, err)
		}
		if after, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), d); err != nil || !after.EffectiveFrom.Equal(written.EffectiveFrom) {
			t.Errorf("%s: put again by Go as it was typed, it counts from %s after %s, %v", text, after.EffectiveFrom, written.EffectiveFrom, err)
		}
		written = checkHistory(t, pool, id)
		var gone bool
		if err := pool.QueryRow(t.Context(), `select tactus.delete_schedule($1)`, written.Name).Scan(&gone); err != nil || !gone {
			t.Errorf("delete: %v, %v", gone, err)
		}
		if tombstone := checkHistory(t, pool, id); tombstone.DeletedAt.IsZero() || tombstone.Version != written.Version+1 {
			t.Errorf("deleted: %+v", tombstone)
		}
	}
}

// comparable is a definition with its instants in UTC, as any.
func comparable(t *testing.T, d domain.Definition) (value any) {
	t.Helper()
	for _, text := range []*string{&d.RunAt, &d.IntervalAnchor, &d.StartsAt, &d.EndsAt} {
		if at, err := time.Parse(time.RFC3339Nano, *text); err == nil {
			*text = at.UTC().Format(time.RFC3339Nano)
		}
	}
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	decoded(t, raw, &value)
	return value
}

// decoded leaves numbers as they are written.
func decoded(t *testing.T, raw []byte, value any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(value); err != nil {
		t.Fatal(err)
	}
}

func putSQL(t *testing.T, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, definition string,
) (id domain.ID) {
	t.Helper()
	if err := q.QueryRow(t.Context(), `select tactus.put_schedule($1)`, definition).Scan(&id); err != nil {
		t.Fatalf("%s: %v", definition, err)
	}
	return id
}

// checkHistory makes a schedule of its events alone, and holds its row against it.
func checkHistory(t *testing.T, pool *pgxpool.Pool, id domain.ID) (s domain.Schedule) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `select aggregate_id, version, type, data, occurred_at from tactus.outbox where aggregate_id = $1 order by position`, id)
	if err != nil {
		t.Fatal(err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[domain.Event])
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if s, err = domain.Apply(s, e); err != nil {
			t.Fatal(err)
		}
	}
	want, err := outbox.Project(s)
	if err != nil {
		t.Fatal(err)
	}
	var got outbox.Projection
	var row domain.Schedule
	var invalid, manager string
	var deleted *time.Time
	err = pool.QueryRow(t.Context(), `select enabled, trigger, anchor, policy, category, tags, definition::text, task::text, version, name,
		coalesce(invalid_reason, ''), coalesce(managed_by, ''), created_at, updated_at, effective_from, trigger_set_at, deleted_at
		from tactus.schedules where id = $1`, id).Scan(&got.Enabled, &got.Trigger, &got.Anchor, &got.Policy, &got.Category, &got.Tags, &got.Definition,
		&got.Task, &row.Version, &row.Name, &invalid, &manager, &row.CreatedAt, &row.UpdatedAt, &row.EffectiveFrom, &row.TriggerSetAt, &deleted)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*outbox.Projection{&want, &got} {
		p.Definition, p.Task = canonical(t, p.Definition), canonical(t, p.Task)
		if p.Anchor != nil {
			at := p.Anchor.UTC()
			p.Anchor = &at
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: the row is not what its events say (-events +row):\n%s", s.Name, diff)
	}
	if s.Version != row.Version || s.Name != row.Name || s.InvalidReason != invalid || s.ManagedBy != manager || s.DeletedAt.IsZero() != (deleted == nil) ||
		!s.CreatedAt.Equal(row.CreatedAt) || !s.UpdatedAt.Equal(row.UpdatedAt) || !s.EffectiveFrom.Equal(row.EffectiveFrom) || !s.TriggerSetAt.Equal(row.TriggerSetAt) {
		t.Errorf("%s: events %+v, row %+v", s.Name, s, row)
	}
	return s
}

// canonical is JSON with its members in order.
func canonical(t *testing.T, text string) string {
	t.Helper()
	var value any
	decoded(t, []byte(text), &value)
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestFunctionsRefuseAsGoDoes puts what has faults: SQL finds the same, as far as it can see, and the transaction lives
// on behind a savepoint.
func TestFunctionsRefuseAsGoDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	const ok = `"task_name": "a", "cron_expression": "0 9 * * *"`
	for _, text := range []string{
		`{"task_name": "a"}`,
		`{` + ok + `, "interval_seconds": 60}`,
		`{` + ok + `, "run_at": "2126-05-01T00:00:00Z"}`,
		`{` + ok + `, "preset_name": "daily_noon"}`,
		`{"task_name": "a", "cron_expression": "TZ=Asia/Tokyo 0 9 * * *", "timezone": "UTC"}`,
		`{"task_name": "a", "preset_name": "sometimes"}`,
		`{"task_name": "a", "cron_expression": "61 * * * *", "interval_seconds": 0.5, "timezone": "EST"}`,
		`{"task_name": "a", "cron_expression": "@every 5s", "interval_seconds": 60, "jitter_seconds": 60, "run_at": "tomorrow"}`,
		`{"preset_name": "daily_noon", "cron_expression": "0 9 * *", "rrule": "DTSTART:20260105T093000"}`,
		`{"task_name": "a", "preset_name": "sometimes", "interval_seconds": -5, "timezone": "EST"}`,
		`{"task_name": "a", "cron_expression": "H * * * *", "cron_dialect": "jenkins"}`,
		`{"task_name": "a", "cron_expression": "cron(61 0 * * ? *)", "cron_dialect": "aws", "cron_seconds": true}`,
		`{"task_name": "a", "name": "019ca93d-4000-7000-8000-00000000002a", "interval_seconds": 60, "jitter_seconds": 60}`,
		`{"task_name": "a", "cron_expression": "0 9 * *"}`,
		`{"task_name": "a", "cron_expression": "0 9 * * *", "cron_seconds": true}`,
		`{"task_name": "a", "interval_seconds": 0.5}`,
		`{"task_name": "a", "interval_seconds": 1.5}`,
		`{"task_name": "a", "interval_seconds": 1e10}`,
		`{"task_name": "a", "run_at": "2026-03-01T12:00:00Z"}`,
		`{"task_name": "a", "run_at": "tomorrow"}`,
		`{"task_name": "a", "run_at": "2126-13-01T12:00:00Z"}`,
		`{` + ok + `, "starts_at": "2126-05-02T00:00:00Z", "ends_at": "2126-05-01T00:00:00Z"}`,
		`{` + ok + `, "name": "019ca93d-4000-7000-8000-00000000002a"}`,
		`{` + ok + `, "name": "` + strings.Repeat("ん", 201) + `"}`,
		`{` + ok + `, "name": "a\u0001b"}`,
		`{"cron_expression": "0 9 * * *", "task_name": " "}`,
		`{` + ok + `, "args": {"a": 1}}`,
		`{` + ok + `, "args": "a"}`,
		`{` + ok + `, "kwargs": [1]}`,
		`{` + ok + `, "task_params": [1]}`,
		`{` + ok + `, "priority": 256}`,
		`{` + ok + `, "priority": -1}`,
		`{` + ok + `, "queue": "q", "stream": "s"}`,
		`{` + ok + `, "stream": "tactus:jobs"}`,
		`{` + ok + `, "stream": "{tactus:events}:x"}`,
		`{` + ok + `, "stream": "celery"}`,
		`{` + ok + `, "stream": "unacked"}`,
		`{` + ok + `, "queue": "unacked_index"}`,
		`{` + ok + `, "exchange": "celery.pidbox", "routing_key": "k"}`,
		`{` + ok + `, "exchange": "reply.celery.pidbox", "routing_key": "k"}`,
		`{` + ok + `, "exchange": "celeryev", "routing_key": "worker.heartbeat"}`,
		`{` + ok + `, "queue": "celeryresults", "exchange": "celeryresults", "routing_key": "k"}`,
		`{` + ok + `, "queue": "celery-task-meta-1"}`,
		`{` + ok + `, "queue": "_kombu.binding.celery"}`,
		`{` + ok + `, "queue": "x.reply.celery.pidbox"}`,
		`{` + ok + `, "headers": {"ETA": 1, "a/b": 2, "ArgsRepr": 3, "X-Tactus-Y": 4}}`,
		`{` + ok + `, "stream": "s", "headers": {"ETA": 1, "argsrepr": 3}}`,
		`{` + ok + `, "headers": {"` + strings.Repeat("x", 201) + `": 1}}`,
		`{` + ok + `, "on_completed": "burn"}`,
		`{` + ok + `, "timezone": "EST"}`,
		`{` + ok + `, "timezone": "Local"}`,
		`{` + ok + `, "timezone": "Asia Tokyo"}`,
		`{` + ok + `, "timezone": "` + strings.Repeat("x", 1000) + `"}`,
		`{` + ok + `, "queue": "a\u0000b", "description": "\u0000"}`,
		`{"task_name": "a", "cron_expression": "99 9 * * *"}`,
		`{"task_name": "a", "cron_expression": "0 9 * * 8"}`,
		`{"task_name": "a", "cron_expression": "0 0 31 2 *"}`,
		`{"task_name": "a", "cron_expression": "TZ=EST 0 0 * * *"}`,
		`{"task_name": "a", "cron_expression": "@every 1500ms"}`,
		`{"task_name": "a", "cron_expression": "@every 1x"}`,
		`{"task_name": "a", "cron_expression": "@sometimes"}`,
		`{"task_name": "a", "cron_expression": "0 9 * * 1` + strings.Repeat(",1", 500) + `"}`,
		`{"task_name": "a", "run_at": "2126-05-01T00:00:00.` + strings.Repeat("0", 1000) + `Z"}`,
		`{"task_name": "a", "run_at": "2126-05-01T25:00:00Z"}`,
		`{"task_name": "a", "interval_seconds": 60, "jitter_seconds": 60}`,
		`{"task_name": "a", "interval_seconds": 60, "spread_seconds": 60}`,
		`{"task_name": "a", "interval_seconds": 60, "spread_seconds": 50, "jitter_seconds": 10}`,
		`{"task_name": "a", "interval_seconds": 60, "spread_seconds": 60, "jitter_seconds": 60}`,
		`{"task_name": "a", "interval_seconds": 60, "spread_seconds": 60, "jitter_seconds": -1}`,
		`{"task_name": "a", "interval_seconds": 60, "spread_seconds": "60", "spreadSeconds": 60}`,
		`{` + ok + `, "spread_seconds": -1}`,
		`{` + ok + `, "kwargs": {"a": 1}, "task_params": {"a": 2}}`,
		`{` + ok + `, "headers": {"eta": 1}}`,
		`{` + ok + `, "stream": "s", "execution_policy": "skip"}`,
		`{` + ok + `, "misfire_policy": "some"}`,
		`{` + ok + `, "misfire_grace_seconds": -1}`,
		`{` + ok + `, "max_runs": -1}`,
		`{` + ok + `, "tags": [""]}`,
		`{` + ok + `, "tags": [1]}`,
		`{` + ok + `, "name": "a\u0085b", "description": "a\u2028b", "category": "\u009b", "queue": "q\u0080"}`,
		`{` + ok + `, "name": " a\u009f", "shadow": "\u2029", "tags": ["a", "b\u009bc", "d\u007f", "e\u2028", "\u00a0"]}`,
		`{"task_name": "a\u0090b", "stream": "s\u009b", "cron_expression": "0 9 * * *\u0085", "timezone": "UTC\u0085"}`,
		`{` + ok + `, "exchange": "x\u009b", "routing_key": "k\u009b", "description": "a\u0001\u009b", "tags": ["\u0001\u009b"]}`,
		`{"task_name": "a", "rrule": "DTSTART:20260105T093000\u0085RRULE:FREQ=DAILY", "tags": ["\u009b", 1]}`,
		`{` + ok + `, "cronExpression": "0 9 * * *"}`,
		`{"name": "s8", "cron": "* * * *"}`,
		`{"task": "x", "cron_expression": "61 9 * * *", "timezone": "EST", "args": {}}`,
		`{"cron_expression": 5, "priority": "high", "headers": [], "name": {}, "queue": "q", "stream": "s", "max_runs": -1}`,
		`{` + ok + `, "priority": "high"}`,
		`{` + ok + `, "priority": 1.5}`,
		`{` + ok + `, "args": ["` + strings.Repeat("x", domain.MaxPayload) + `"]}`,
		`[]`,
		`{"name": "019ca93d-4000-7000-8000-00000000002a", "misfire_policy": "some", "args": {}, "kwargs": [], "priority": 300, "queue": "q", "stream": "tactus:x",
			"cron_expression": "0 9 * * *"}`,
	} {
		d, err := domain.Decode([]byte(text))
		_, _, more := d.Normalize(domain.Context{Now: time.Now(), Check: handover.Limits{}.Check})
		err = domain.Join(err, more)
		var want []string
		for _, f := range domain.FaultsOf(err) {
			want = append(want, f.Code+" "+f.Field)
		}
		if got := refusals(t, pool, text); !cmp.Equal(sorted(want), sorted(got)) {
			t.Errorf("%.200s: Go finds %v, SQL %v", text, want, got)
		}
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

// refusals puts a definition under a savepoint.
func refusals(t *testing.T, pool *pgxpool.Pool, definition string) (list []string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		err := pgx.BeginFunc(t.Context(), tx, func(savepoint pgx.Tx) error {
			_, err := savepoint.Exec(t.Context(), `select tactus.put_schedule($1)`, definition)
			return err
		})
		var faults []struct{ Code, Location string }
		refused, is := errors.AsType[*pgconn.PgError](err)
		if !is || refused.Code != "22023" {
			return fmt.Errorf("not refused: %w", err)
		}
		if err := json.Unmarshal([]byte(refused.Detail), &faults); err != nil {
			return err
		}
		for _, f := range faults {
			list = append(list, f.Code+" "+f.Location)
			if !strings.Contains(refused.Message, f.Code) {
				t.Errorf("the message does not tell of %s: %s", f.Code, refused.Message)
			}
		}
		_, err = tx.Exec(t.Context(), `select 1`)
		return err
	})
	if err != nil {
		t.Fatalf("%.200s: %v", definition, err)
	}
	return list
}

// TestFunctionsMoveDueTimesOnTriggerEditsOnly follows one schedule through edits, as domain has them.
func TestFunctionsMoveDueTimesOnTriggerEditsOnly(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	type step struct {
		members            string
		kind               domain.EventType
		effective, trigger bool
	}
	var id domain.ID
	var before domain.Schedule
	for i, s := range []step{
		{`"interval_seconds": 60`, domain.ScheduleCreated, true, true},
		{`"interval_seconds": 60, "description": "d"`, domain.ScheduleUpdated, false, false},
		{`"interval_seconds": 60, "description": "d", "enabled": false`, domain.ScheduleDisabled, false, false},
		{`"interval_seconds": 60, "description": "d", "enabled": true`, domain.ScheduleEnabled, true, false},
		{`"interval_seconds": 61`, domain.ScheduleUpdated, true, true},
		{`"interval_seconds": 61, "jitter_seconds": 3`, domain.ScheduleUpdated, false, false},
		{`"interval_seconds": 61, "jitter_seconds": 3, "kwargs": {"a": null}`, domain.ScheduleUpdated, false, false},
		{`"cron_expression": "0 9 * * *"`, domain.ScheduleUpdated, true, true},
		{`"cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo"`, domain.ScheduleUpdated, true, true},
		{`"cron_expression": "0 9 * * *", "description": "without its zone"`, domain.ScheduleUpdated, false, false},
		{`"cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo", "ends_at": "2126-01-01T00:00:00Z"`, domain.ScheduleUpdated, true, true},
		{`"cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo", "ends_at": "2126-01-01T09:00:00+09:00", "max_runs": 3`, domain.ScheduleUpdated, false, false},
	} {
		now := putSQL(t, pool, `{"name": "n", "task_name": "a", `+s.members+`}`)
		if id = now; putSQL(t, pool, `{"name": "n", "task_name": "a", `+s.members+`}`) != now {
			t.Fatal("another schedule")
		}
		after := checkHistory(t, pool, id)
		var kind domain.EventType
		if err := pool.QueryRow(t.Context(), `select type from tactus.outbox where aggregate_id = $1 and version = $2`, id, after.Version).Scan(&kind); err != nil {
			t.Fatal(err)
		}
		if after.Version != int64(i+1) || kind != s.kind || after.EffectiveFrom.After(before.EffectiveFrom) != s.effective || after.TriggerSetAt.After(before.TriggerSetAt) != s.trigger {
			t.Errorf("%s: %s, version %d, effective from %s after %s, set at %s after %s", s.members, kind, after.Version,
				after.EffectiveFrom, before.EffectiveFrom, after.TriggerSetAt, before.TriggerSetAt)
		}
		before = after
	}
}

// TestFunctionsAndGoWriteOneSchedule lets writers of both kinds create, change and delete the same names at once.
func TestFunctionsAndGoWriteOneSchedule(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	var writers sync.WaitGroup
	var changes atomic.Int64
	for w := range 8 {
		writers.Go(func() {
			for i := range 25 {
				name := []string{"a", "b"}[i%2]
				changed := true
				var err error
				switch {
				case w < 2:
					d := definition(name)
					d.Description = fmt.Sprint(w, i)
					_, _, err = store.Put(t.Context(), d)
				case w == 2 && i%5 == 0:
					err = pool.QueryRow(t.Context(), `select tactus.delete_schedule($1)`, name).Scan(&changed)
				default:
					_, err = pool.Exec(t.Context(), `select tactus.put_schedule($1)`,
						fmt.Sprintf(`{"name": %q, "task_name": "a", "cron_expression": "%d 9 * * *", "description": "%d %d"}`, name, w*7+i%3, w, i))
				}
				if changed {
					changes.Add(1)
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	writers.Wait()
	rows, err := pool.Query(t.Context(), `select id from tactus.schedules`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[domain.ID])
	if err != nil || len(ids) < 2 {
		t.Fatalf("%d schedules, %v", len(ids), err)
	}
	var events int64
	for _, id := range ids {
		events += checkHistory(t, pool, id).Version // versions rise by one in the order of positions
	}
	if events != changes.Load() {
		t.Errorf("%d changes made %d events", changes.Load(), events)
	}
}

// TestFunctionsAreOfTheCallersTransaction holds that a rollback leaves nothing, and that the bell does not ring.
func TestFunctionsAreOfTheCallersTransaction(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	undo := errors.New("undo")
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		putSQL(t, tx, definitions[0])
		var rung bool
		if err := tx.QueryRow(t.Context(), `select exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())`).Scan(&rung); err != nil || rung {
			t.Errorf("the bell is held: %v, %v", rung, err)
		}
		return undo
	})
	var left int
	if qerr := pool.QueryRow(t.Context(), `select (select count(*) from tactus.schedules) + (select count(*) from tactus.outbox)`).Scan(&left); qerr != nil || left != 0 || !errors.Is(err, undo) {
		t.Errorf("%d rows are left, %v, %v", left, qerr, err)
	}
}

// TestFunctionsKnowThePresets holds the list of SQL against that of Go.
func TestFunctionsKnowThePresets(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, p := range domain.Presets {
		var cron *string
		if err := pool.QueryRow(t.Context(), `select tactus.preset($1)`, p.Name).Scan(&cron); err != nil || cron == nil || *cron != p.CronExpression {
			t.Errorf("%s is %v, want %s, %v", p.Name, cron, p.CronExpression, err)
		}
	}
}

// TestFunctionsTakeTheZoneOfTheDatabase sets the zone of new schedules, which SQL cannot read from the environment.
func TestFunctionsTakeTheZoneOfTheDatabase(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `select set_config('tactus.timezone', 'Asia/Tokyo', true)`); err != nil {
			return err
		}
		putSQL(t, tx, definitions[0])
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := outbox.GetByName(t.Context(), pool, "n"); err != nil || s.Timezone != "Asia/Tokyo" {
		t.Errorf("%s, %v", s.Timezone, err)
	}
}
