package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// roled is a database and a Redis with roles and users that migrate has made.
type roled struct {
	*testing.T
	superuser, prefix string
	redis             *servers.Redis
	password          string
}

func newRoled(t *testing.T) *roled {
	t.Helper()
	superuser := testenv.EmptyURL(t)
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatal(err)
	}
	r := &roled{t, superuser, strings.TrimPrefix(at.Path, "/") + "_", testenv.RedisServer(t, nil), "secret"}
	for _, kind := range append([]string{"owner"}, migrations.Kinds...) {
		t.Cleanup(func() {
			testenv.Execute(t, superuser, `drop owned by `+r.prefix+kind+` cascade`, `drop role `+r.prefix+kind)
		})
	}
	if out := r.migrate("", "--roles"); strings.Count(out, "made role") != 6 {
		t.Errorf("it made: %s", out)
	}
	if out := r.migrate("", "--roles"); strings.Contains(out, "made role") {
		t.Errorf("the second time it made: %s", out)
	}
	for _, kind := range append([]string{"owner"}, migrations.Kinds...) {
		testenv.Execute(t, superuser, `alter role `+r.prefix+kind+` password 'secret'`)
	}
	if out := r.migrate("owner"); !strings.Contains(out, "grant usage on schema tactus to ") {
		t.Errorf("it granted: %s", out)
	}
	if out := r.migrate("owner"); strings.Contains(out, "grant ") {
		t.Errorf("the second time it granted: %s", out)
	}
	client := testenv.Client(t, r.redis.URL(0))
	for line := range strings.Lines(r.migrate("", "--print", "--queues", "work*", "--queues", "orders")) {
		words := strings.Fields(strings.ReplaceAll(line, ">PASSWORD", ">secret"))
		if len(words) == 0 || words[0] != "ACL" {
			continue
		}
		args := make([]any, len(words))
		for i, w := range words {
			args[i] = w
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(line, err)
		}
	}
	return r
}

// migrate runs the command as a kind of role, or as the superuser, and returns what it prints.
func (r *roled) migrate(kind string, flags ...string) string {
	r.Helper()
	at := r.superuser
	if kind != "" {
		at = r.as(kind)
	}
	var out, problems bytes.Buffer
	args := append([]string{"migrate", "--database-url", at, "--role-prefix", r.prefix}, flags...)
	if code := run(args, &out, &problems); code != exitOK {
		r.Fatalf("%v: exit %d: %s%s", flags, code, out.String(), problems.String())
	}
	return out.String()
}

// as is the database as a role reaches it.
func (r *roled) as(kind string) string {
	r.Helper()
	at, err := url.Parse(r.superuser)
	if err != nil {
		r.Fatal(err)
	}
	at.User = url.UserPassword(r.prefix+kind, r.password)
	return at.String()
}

// start starts a process as its role, and its user of Redis.
func (r *roled) start(process string) *testenv.Process {
	r.Helper()
	env := []string{"DATABASE_URL=" + r.as(process), "TACTUS_BEAT_NAME=b", "TACTUS_NOTIFY_PRIVATE=127.0.0.0/8"}
	if process != "api" {
		env = append(env, "REDIS_URL="+r.redisAs(process))
	}
	p := testenv.Program{Env: env}.Start(r.T, process, "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	return p
}

func (r *roled) redisAs(kind string) string {
	r.Helper()
	at, err := url.Parse(r.redis.URL(0))
	if err != nil {
		r.Fatal(err)
	}
	at.User = url.UserPassword(r.prefix+kind, "secret")
	return at.String()
}

// TestProcessesWorkAsTheirRoles runs api, relay and beat as roles and users of their own, and has them do what they are
// for. Nothing is refused to them, by PostgreSQL or by Redis.
func TestProcessesWorkAsTheirRoles(t *testing.T) {
	t.Parallel()
	r := newRoled(t)
	told := make(chan struct{}, 100)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			t.Error(err)
		}
		told <- struct{}{}
	}))
	defer hook.Close()
	api, relay, beat := r.start("api"), r.start("relay"), r.start("beat")
	owner := testenv.Connect(t, r.as("owner"))
	do := func(method, path, body string, want int) string {
		t.Helper()
		status, answer := processes.Ask(t, method, api.URL()+"/api/v1"+path, body)
		if status != want {
			t.Errorf("%s %s: %d %s", method, path, status, answer)
		}
		return answer
	}
	do("PUT", "/calendars/closed", `{"days":["2127-01-01"]}`, 201)
	do("PUT", "/routes/mail.*", `{"queue":"work.mail"}`, 200)
	do("PUT", "/notification-rules/all", `{"on":["succeeded","failed"],"to":"webhook","url":"`+hook.URL+`"}`, 201)
	do("POST", "/schedules", `{"name":"task","interval_seconds":1,"task_name":"t","queue":"work","exclude_calendars":["closed"]}`, 201)
	do("POST", "/schedules", `{"name":"routed","interval_seconds":1,"task_name":"mail.send"}`, 201)
	do("POST", "/schedules", `{"name":"once","interval_seconds":1,"task_name":"t","queue":"work","max_runs":2,"on_completed":"delete","execution_policy":"skip"}`, 201)
	streamed := do("POST", "/schedules", `{"name":"streamed","interval_seconds":1,"task_name":"t","stream":"orders"}`, 201)
	id := idOf(t, streamed)
	do("POST", "/schedules/"+id+"/trigger", "", 202)
	do("POST", "/schedules/"+id+"/disable", `{"reason":"r"}`, 200)
	do("POST", "/schedules/"+id+"/enable", "", 200)
	do("POST", "/schedules/"+id+"/backfill", `{"from":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`","to":"`+
		time.Now().Add(-time.Hour+5*time.Second).UTC().Format(time.RFC3339)+`"}`, 202)
	testenv.Execute(t, r.as("upstream"), `select tactus.put_schedule('{"name": "upstream", "task_name": "a", "queue": "work", "cron_expression": "* * * * *"}')`)

	client := testenv.Client(t, r.redis.URL(0))
	testenv.Eventually(t, "all are handed over", func() error {
		refusals(t, api, relay, beat)
		for key, length := range map[string]func(context.Context, string) (int64, error){
			"work":      func(ctx context.Context, key string) (int64, error) { return client.LLen(ctx, key).Result() },
			"work.mail": func(ctx context.Context, key string) (int64, error) { return client.LLen(ctx, key).Result() },
			"orders":    func(ctx context.Context, key string) (int64, error) { return client.XLen(ctx, key).Result() },
		} {
			if n, err := length(t.Context(), key); err != nil || n < 2 {
				return fmt.Errorf("%s has %d, %w", key, n, err)
			}
		}
		return nil
	})
	var sent domain.ID
	if err := owner.QueryRow(t.Context(), `select r.id from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
		where s.name = 'task' and r.status = 'sent' limit 1`).Scan(&sent); err != nil {
		t.Fatal(err)
	}
	result := fmt.Sprintf(`{"status":"SUCCESS","result":1,"traceback":null,"children":[],"date_done":"2026-11-30T12:00:00+00:00","task_id":"%s"}`, sent)
	if err := client.Set(t.Context(), "celery-task-meta-"+sent.String(), result, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.Publish(t.Context(), "celery-task-meta-"+sent.String(), result).Err(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the result is recorded", func() error {
		var status string
		if err := owner.QueryRow(t.Context(), `select status from tactus.runs where id = $1`, sent).Scan(&status); err != nil || status != "succeeded" {
			refusals(t, api, relay, beat)
			return fmt.Errorf("it is %s, %w", status, err)
		}
		return nil
	})
	testenv.Eventually(t, "it is told", func() error {
		select {
		case <-told:
			return nil
		default:
			refusals(t, relay, beat)
			return errors.New("nothing was told")
		}
	})
	for _, path := range []string{"/schedules", "/runs", "/events", "/calendars", "/routes", "/notification-rules", "/overview", "/system"} {
		if status, answer := processes.Ask(t, "GET", api.URL()+"/api/v1"+path, ""); status >= 500 {
			t.Errorf("GET %s: %d %s", path, status, answer)
		}
	}
	for _, kind := range []string{"api", "relay", "beat"} {
		pool := testenv.Connect(t, r.as(kind))
		did, err := outbox.Maintain(t.Context(), pool, time.Now().AddDate(0, 2, 0), outbox.Retention{Runs: 90 * 24 * time.Hour, Keys: time.Hour})
		if err != nil {
			t.Errorf("%s maintains %+v: %v", kind, did, err)
		}
	}
	for _, p := range []*testenv.Process{api, relay, beat} {
		if code := p.Stop(); code != exitOK {
			t.Errorf("ended with %d", code)
		}
		refusals(t, p)
	}
	if denied, err := client.Do(t.Context(), "ACL", "LOG").Slice(); err != nil || len(denied) > 0 {
		t.Errorf("Redis refused: %v, %v", denied, err)
	}
}

// refusals fails the test if processes were refused something.
func refusals(t *testing.T, processes ...*testenv.Process) {
	t.Helper()
	for _, p := range processes {
		for line := range strings.Lines(p.Log()) {
			if strings.Contains(line, "permission denied") || strings.Contains(line, "NOPERM") || strings.Contains(line, "level=ERROR") {
				t.Fatal(line)
			}
		}
	}
}

// TestPasswordsChangeWithoutARestart has the passwords of processes replaced in PostgreSQL, in Redis and in the files
// of their settings, and ends the connections that they have. They go on.
func TestPasswordsChangeWithoutARestart(t *testing.T) {
	t.Parallel()
	r := newRoled(t)
	dir := t.TempDir()
	write := func(process, setting, text string) (env string) {
		t.Helper()
		path := filepath.Join(dir, process+setting)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return setting + "_FILE=" + path
	}
	var all []*testenv.Process
	kinds := []string{"api", "relay", "beat"}
	for _, kind := range kinds {
		p := testenv.Program{Env: []string{
			write(kind, "DATABASE_URL", r.as(kind)), write(kind, "REDIS_URL", r.redisAs(kind)), "TACTUS_BEAT_NAME=b",
		}}.Start(t, kind, "--http-addr", "127.0.0.1:0")
		p.AwaitReady()
		all = append(all, p)
	}
	if status, answer := processes.Ask(t, "POST", all[0].URL()+"/api/v1/schedules", `{"name":"n","interval_seconds":1,"task_name":"t","queue":"work"}`); status != 201 {
		t.Fatalf("%d %s", status, answer)
	}
	client := testenv.Client(t, r.redis.URL(0))
	more := func() {
		t.Helper()
		before, err := client.LLen(t.Context(), "work").Result()
		if err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "tasks are handed over", func() error {
			if n, err := client.LLen(t.Context(), "work").Result(); err != nil || n < before+2 {
				return fmt.Errorf("%d after %d, %w", n, before, err)
			}
			return nil
		})
	}
	more()
	for _, kind := range kinds {
		name := r.prefix + kind
		testenv.Execute(t, r.superuser, `alter role `+name+` password 'changed'`)
		write(kind, "DATABASE_URL", strings.Replace(r.as(kind), ":secret@", ":changed@", 1))
		if kind != "api" {
			if err := client.Do(t.Context(), "ACL", "SETUSER", name, "resetpass", ">changed").Err(); err != nil {
				t.Fatal(err)
			}
			write(kind, "REDIS_URL", strings.Replace(r.redisAs(kind), ":secret@", ":changed@", 1))
			if err := client.Do(t.Context(), "CLIENT", "KILL", "USER", name).Err(); err != nil {
				t.Fatal(err)
			}
		}
		testenv.Execute(t, r.superuser, `select pg_terminate_backend(pid) from pg_stat_activity where usename = '`+name+`'`)
	}
	more()
	for i, p := range all {
		p.AwaitReady()
		if status, answer := processes.Ask(t, "GET", p.URL()+"/readyz?verbose", ""); status != 200 {
			t.Errorf("%s: %s", kinds[i], answer)
		}
		if code := p.Stop(); code != exitOK {
			t.Errorf("%s ended with %d", kinds[i], code)
		}
		if strings.Contains(p.Log(), "changed@") || strings.Contains(p.Log(), "secret@") {
			t.Errorf("%s logs a password", kinds[i])
		}
	}
}

func idOf(t *testing.T, answer string) string {
	t.Helper()
	id := between(answer, `"id":"`, `"`)
	if id == "" {
		t.Fatalf("no id: %s", answer)
	}
	return id
}

// refused are statements that a role must not run, whoever else may.
var refused = map[string][]string{
	"api": {
		`update tactus.leases set holder = 'me'`, `insert into tactus.relay_batches default values`, `delete from tactus.outbox`,
		`delete from tactus.schedules`, `delete from tactus.access_keys`, `insert into tactus.migrations default values`,
	},
	"relay": {
		`insert into tactus.schedules default values`, `insert into tactus.runs default values`, `update tactus.leases set holder = 'me'`,
		`insert into tactus.access_keys default values`, `update tactus.access_keys set role = 'admin'`, `delete from tactus.runs`,
		`update tactus.routes set queue = 'mine'`, `select tactus.drop_month(now())`, `select tactus.drop_events('schedule', 0, null, '{}')`,
		`select tactus.drop_detached('runs')`, `update tactus.notification_secrets set url = 'x'`,
	},
	"beat": {
		`insert into tactus.schedules default values`, `insert into tactus.relay_batches default values`, `select * from tactus.notification_secrets`,
		`insert into tactus.access_keys default values`, `update tactus.access_keys set role = 'admin'`, `update tactus.calendars set name = 'x'`,
		`select tactus.drop_month(now())`,
	},
	"upstream": {`select * from tactus.schedules`, `select * from tactus.runs`, `insert into tactus.schedules default values`, `select tactus.drop_month(now())`},
	"readonly": {
		`insert into tactus.schedules default values`, `update tactus.schedules set enabled = false`, `delete from tactus.runs`,
		`select * from tactus.access_keys`, `select * from tactus.access_sessions`, `select * from tactus.notification_secrets`,
		`select tactus.drop_month(now())`,
	},
}

// ofTheOwner are statements that nobody but the owner may run.
var ofTheOwner = []string{
	`drop table tactus.runs`, `truncate tactus.outbox`, `alter table tactus.schedules add column mine int`, `create table tactus.mine (id int)`,
	`create function tactus.mine() returns int language sql as 'select 1'`, `update tactus.outbox set version = 1`, `delete from tactus.outbox`,
	`insert into tactus.outbox (position, topic, aggregate_id, version, type, data) values (1, 'schedule', gen_random_uuid(), 1, 'x', '{}')`,
	`create trigger mine before insert on tactus.runs for each row execute function tactus.new_id()`,
	`insert into tactus.migrations (version_id, is_applied) values (1, true)`, `select nextval('tactus.outbox_position') from tactus.migration_lock`,
	`create schema mine`, `alter role current_user set tactus.owner = 'mine'`, `update tactus.installation set id = gen_random_uuid()`,
}

// TestRolesAreRefused logs in as each role, and tries what it must not do.
func TestRolesAreRefused(t *testing.T) {
	t.Parallel()
	r := newRoled(t)
	for _, kind := range migrations.Kinds {
		conn, err := pgx.Connect(t.Context(), r.as(kind))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		for _, sql := range append(refused[kind], ofTheOwner...) {
			if _, err := conn.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "42501") &&
				!strings.Contains(err.Error(), "22023") {
				t.Errorf("the %s may %s: %v", kind, sql, err)
			}
		}
		if kind == "readonly" {
			if _, err := conn.Exec(t.Context(), `select count(*) from tactus.runs, tactus.schedules, tactus.outbox`); err != nil {
				t.Error(err)
			}
		}
	}
	for kind, commands := range map[string][][]any{
		"relay": {{"FLUSHALL"}, {"KEYS", "*"}, {"CONFIG", "GET", "*"}, {"ACL", "LIST"}, {"SET", "theirs", "1"}, {"LPUSH", "other", "1"}, {"PUBLISH", "other", "1"}, {"SHUTDOWN"}},
		"beat":  {{"FLUSHALL"}, {"LPUSH", "work", "1"}, {"GET", "work"}, {"SET", "theirs", "1"}, {"PUBLISH", "celery_beat_schedule_updates", "1"}, {"EVAL", "return redis.call('DEL', KEYS[1])", "1", "work"}},
	} {
		client := testenv.Client(t, r.redisAs(kind))
		for _, command := range commands {
			if err := client.Do(t.Context(), command...).Err(); err == nil || !strings.Contains(err.Error(), "NOPERM") && !strings.Contains(err.Error(), "permission") {
				t.Errorf("the %s may %v: %v", kind, command, err)
			}
		}
	}
}
