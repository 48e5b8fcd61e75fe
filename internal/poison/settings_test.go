package poison

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// settings are what an administrator may have set, by a name of their own, each at its worst.
var settings = map[string]map[string]string{
	"DateStyle German":            {"DateStyle": "German"},
	"DateStyle SQL":               {"DateStyle": "SQL, DMY"},
	"DateStyle Postgres":          {"DateStyle": "Postgres, MDY"},
	"IntervalStyle sql_standard":  {"IntervalStyle": "sql_standard"},
	"IntervalStyle iso_8601":      {"IntervalStyle": "iso_8601"},
	"bytea_output":                {"bytea_output": "escape"},
	"standard_conforming_strings": {"standard_conforming_strings": "off", "escape_string_warning": "off"},
	"TimeZone":                    {"TimeZone": "Asia/Kathmandu"},
	"repeatable read":             {"default_transaction_isolation": "repeatable read"},
	"serializable":                {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
	"extra_float_digits":          {"extra_float_digits": "-15"},
	"client_encoding":             {"client_encoding": "LATIN1"},
	"array_nulls":                 {"array_nulls": "off"},
	"search_path":                 {"search_path": "hostile, pg_catalog, public"},
	"statement_timeout":           {"statement_timeout": "20"},
	"lock_timeout":                {"lock_timeout": "1"},
	"idle in a transaction":       {"idle_in_transaction_session_timeout": "300"},
	"enable_seqscan":              {"enable_seqscan": "off", "jit_above_cost": "0"},
	"jit_above_cost":              {"jit_above_cost": "0", "jit_inline_above_cost": "0", "jit_optimize_above_cost": "0"},
}

// refusedByPoolers are settings that cannot be made good behind a pooler: they are refused by name.
var refusedByPoolers = []string{"search_path", "statement_timeout", "enable_seqscan", "jit_above_cost"}

// hostile is a schema with functions and operators of Postgres' own names, for a search_path that has it first.
const hostile = `
create schema hostile;
grant usage on schema hostile to public;
create function hostile.now() returns timestamptz language sql as $$ select pg_catalog.to_timestamp(0) $$;
create function hostile.clock_timestamp() returns timestamptz language sql as $$ select pg_catalog.to_timestamp(0) $$;
create function hostile.statement_timestamp() returns timestamptz language sql as $$ select pg_catalog.to_timestamp(0) $$;
create function hostile.strpos(text, text) returns int language sql immutable as $$ select 7 $$;
create function hostile.substr(text, int) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.to_char(timestamp, text) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.lower(text) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.btrim(text) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.pg_current_snapshot() returns pg_snapshot language sql as $$ select '1:1:'::pg_snapshot $$;
create function hostile.pg_notify(text, text) returns void language sql as $$ select $$;
create function hostile.same(uuid, uuid) returns boolean language sql immutable as $$ select false $$;
create function hostile.same(text, text) returns boolean language sql immutable as $$ select false $$;
create function hostile.joined(text, text) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.member(json, text) returns text language sql immutable as $$ select 'hostile'::text $$;
create function hostile.member(jsonb, text) returns text language sql immutable as $$ select 'hostile'::text $$;
create operator hostile.= (leftarg = uuid, rightarg = uuid, function = hostile.same);
create operator hostile.= (leftarg = text, rightarg = text, function = hostile.same);
create operator hostile.|| (leftarg = text, rightarg = text, function = hostile.joined);
create operator hostile.->> (leftarg = json, rightarg = text, function = hostile.member);
create operator hostile.->> (leftarg = jsonb, rightarg = text, function = hostile.member)`

// allOf are the settings of all but some, as far as they go together.
func allOf(but ...string) map[string]string {
	all := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !slices.Contains(but, name) {
			maps.Copy(all, settings[name])
		}
	}
	return all
}

// TestEverySetting has the product run under each setting, and under all at once, on a direct way and behind a pooler.
func TestEverySetting(t *testing.T) {
	t.Parallel()
	direct, pooled := maps.Clone(settings), maps.Clone(settings)
	compiled := []string{"enable_seqscan", "jit_above_cost"} // until a session has its settings, which takes longer than the least statement_timeout
	direct["all"], pooled["all"] = allOf(compiled...), allOf(refusedByPoolers...)
	for name, set := range direct {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := administered(t, set)
			underSettings(t, url, url)
		})
	}
	for name, set := range pooled {
		t.Run(name+" behind a pooler", func(t *testing.T) {
			t.Parallel()
			url := administered(t, set)
			if slices.Contains(refusedByPoolers, name) {
				refusedByName(t, testenv.PoolerURL(t, url, "", nil), name)
				return
			}
			underSettings(t, url, testenv.PoolerURL(t, url, "", nil))
		})
	}
}

// administered makes a database with settings, which are those of every new session.
func administered(t *testing.T, set map[string]string) (url string) {
	t.Helper()
	url = testenv.DirectURL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), hostile); err != nil {
		t.Fatal(err)
	}
	for name, value := range set {
		if name != "search_path" {
			value = "'" + value + "'"
		}
		sql := fmt.Sprintf("alter database %s set %s = %s", pgx.Identifier{conn.Config().Database}.Sanitize(), name, value)
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return url
}

func refusedByName(t *testing.T, url, name string) {
	t.Helper()
	pool, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), name+" is set to ") || !strings.Contains(err.Error(), "alter role") {
		t.Errorf("it is told that %v", err)
	}
}

// underSettings has a change by each way in fire, answer and be whole. The sessions of a service upstream have the
// settings as they are.
func underSettings(t *testing.T, direct, ours string) {
	pool, err := postgres.Open(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := newWorldOn(t, pool)
	upstream, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = upstream.Close(context.WithoutCancel(t.Context())) })
	w.sql(`create table public.celery_beat_schedules (id uuid primary key default gen_random_uuid(), name varchar(255), task_name varchar(255),
		cron_expression varchar(100), enabled boolean default true, args json, kwargs json, tags json)`)
	w.adopt()

	w.relay()
	w.beat(beat.Config{})
	w.collect()
	w.put(domain.Definition{Name: "by Go", IntervalSeconds: 1, TaskName: "app.go", Queue: queue, Tags: []string{"é"}, ExpiresSeconds: 3600})
	w.request(http.MethodPost, "/schedules", `{"name":"by HTTP","run_at":"`+time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano)+
		`","task_name":"app.http","queue":"q","execution_policy":"queue"}`, http.StatusCreated, nil)
	w.asUpstream(upstream, `select tactus.put_schedule('{"name":"by SQL","cron_expression":"* * * * * *","cron_seconds":true,"task_name":"app.sql","queue":"q"}')`)
	w.asUpstream(upstream, `insert into public.celery_beat_schedules (name, task_name, cron_expression, kwargs) values
		('by row', 'app.row', '0 9 * * 1-5', '{"a":1}')`)
	for _, name := range []string{"by Go", "by HTTP", "by SQL"} {
		w.awaitFired(name)
	}
	if n := w.count(`select count(*) from tactus.schedules where name = 'by row' and enabled and invalid_reason is null and trigger like '%0 9 * * 1-5%'`); n != 1 {
		t.Errorf("%d adopted rows", n)
	}
	w.trigger("by row")
	w.answerAll()
	w.await("the adopted row has run", 1, `select count(*) from tactus.runs r join tactus.schedules s on s.id = r.schedule_id where s.name = 'by row' and r.status = 'succeeded'`)
	testenv.Eventually(t, "the checker finds nothing", func() error {
		if r := w.verify(); r.Found > 0 {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	w.replays()
	if r, err := projection.Rebuild(t.Context(), pool, projection.Config{}); err != nil || r.Different > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	var list struct{ Total int }
	if w.get("/schedules", &list); list.Total != 4 {
		t.Errorf("%d schedules", list.Total)
	}
}

// TestReadOnlyIsRefusedByName holds that a setting which forbids writes is obeyed, and told to who writes.
func TestReadOnlyIsRefusedByName(t *testing.T) {
	t.Parallel()
	url := administered(t, map[string]string{"default_transaction_read_only": "on"})
	for _, url := range []string{url, testenv.PoolerURL(t, url, "", nil)} {
		pool, err := postgres.Open(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		var told struct{ Code, Detail string }
		newWorldOn(t, pool).request(http.MethodPost, "/schedules", `{"interval_seconds":1,"task_name":"t"}`, http.StatusServiceUnavailable, &told)
		if told.Code != "database_read_only" || !strings.Contains(told.Detail, "default_transaction_read_only") {
			t.Errorf("%+v", told)
		}
	}
}

// asUpstream runs SQL as a service does. The time-outs of its sessions are its own affair, and lifted.
func (w *world) asUpstream(conn *pgx.Conn, sql string) {
	w.Helper()
	if _, err := conn.Exec(w.Context(), `set statement_timeout = 0; set lock_timeout = 0; set idle_in_transaction_session_timeout = 0`); err != nil {
		w.Fatal(err)
	}
	if _, err := conn.Exec(w.Context(), sql, pgx.QueryExecModeExec); err != nil {
		w.Errorf("%s: %v", sql, err)
	}
}

func (w *world) adopt() {
	w.Helper()
	source, err := adopt.Find(w.Context(), w.pool, "celery_beat_schedules", adopt.CeleryBeatSchedules)
	if err == nil {
		err = source.Adopt(w.Context(), "UTC")
	}
	if err != nil {
		w.Fatal(err)
	}
}

// awaitFired waits until a run of a schedule was handed over.
func (w *world) awaitFired(name string) {
	w.Helper()
	w.await(name+" fires", 1, `select least(count(*), 1) from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
		where s.name = $1 and r.kind = 'scheduled' and r.sent_at is not null`, name)
}

func (w *world) trigger(name string) {
	w.Helper()
	var id domain.ID
	if err := w.pool.QueryRow(w.Context(), `select id from tactus.schedules where name = $1`, name).Scan(&id); err != nil {
		w.Error(err)
		return
	}
	if _, err := w.store.Trigger(w.Context(), id); err != nil {
		w.Error(err)
	}
	w.await(name+" is handed over", 1, `select count(*) from tactus.runs where schedule_id = $1 and status = 'sent'`, id)
}

// answerAll has a worker answer every run that was sent.
func (w *world) answerAll() {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `select id from tactus.runs where status = 'sent'`)
	if err != nil {
		w.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[domain.ID])
	if err != nil {
		w.Fatal(err)
	}
	for _, id := range ids {
		w.result(id, `[1, 0.1]`)
	}
}
