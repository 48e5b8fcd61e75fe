package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// laid is what another role, which may create schemas, makes before the first migration: a function, and a table in
// which the function records who has run it.
const laid = `
create schema traps; grant usage on schema traps to public;
create table traps.loot (who text); grant insert on traps.loot to public;
create function traps.spring() returns boolean language plpgsql as
    'begin insert into traps.loot values (current_user); return true; end';
create function traps.sprung() returns trigger language plpgsql as
    'begin insert into traps.loot values (current_user); return null; end'`

// asView puts the function behind a view in place of the table of migrations.
const asView = `
create schema tactus; grant usage on schema tactus to public;
create view tactus.migrations as select 1::bigint as version_id, true as is_applied where traps.spring();
grant select on tactus.migrations to public`

// asTriggers lets everybody use the whole schema, which the other role has made, and adds a trigger that calls the
// function to each of its tables. The leases change all the time, so a process would soon run it.
const asTriggers = `
grant usage on schema tactus to public; grant all on all tables in schema tactus to public;
grant all on all sequences in schema tactus to public;
do $$
declare one regclass;
begin
    for one in select oid from pg_class where relnamespace = 'tactus'::regnamespace and relkind in ('r', 'p') and not relispartition loop
        execute format('create trigger t after insert or update or delete on %s execute function traps.sprung()', one);
    end loop;
end $$`

// TestCodeOfOthersRunsInNoCommand has another role make the schema tactus, with a single view or as the whole schema
// with triggers. Every command and process that then opens the database refuses it, as a superuser, too, and runs none
// of the other role's code.
func TestCodeOfOthersRunsInNoCommand(t *testing.T) {
	t.Parallel()
	for form, lay := range map[string]func(t *testing.T, theirs string){
		"a view": func(t *testing.T, theirs string) { testenv.Execute(t, theirs, laid, asView) },
		"a whole schema": func(t *testing.T, theirs string) {
			if got := tactus(t, "migrate", "--database-url="+theirs); got.code != exitOK {
				t.Fatalf("%+v", got)
			}
			testenv.Execute(t, theirs, laid, asTriggers)
		},
	} {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			superuser := testenv.EmptyURL(t)
			as, theirs := ownerAndStranger(t, superuser)
			lay(t, theirs)
			redis := "--redis-url=" + testenv.RedisURL(t)
			for who, database := range map[string]string{"the owner": as, "a superuser": superuser} {
				for _, args := range [][]string{
					{"migrate"},
					{"migrate", "--status"},
					{"migrate", "--plan"},
					{"doctor"},
					{"key", "create", "k", "--role=read"},
					{"key", "list"},
					{"relay", "--forget=events", redis},
					{"rebuild"},
					{"verify", redis},
				} {
					got := tactus(t, append(args, "--database-url="+database)...)
					if said := got.out + got.problems; got.code == exitOK || !strings.Contains(said, "owns the schema tactus") {
						t.Errorf("%s: %s: %d: %s", who, args, got.code, said)
					} else if !strings.Contains(said, "connect as that role") ||
						strings.Contains(said, "alter schema") != (who == "the owner") {
						t.Errorf("%s: %s: another mend: %s", who, args, said)
					}
				}
			}
			env := []string{"DATABASE_URL=" + as, strings.Replace(redis, "--redis-url", "REDIS_URL", 1), "TACTUS_BEAT_NAME=b"}
			for _, process := range []string{"api", "relay", "beat"} {
				p := testenv.Program{Env: env}.Start(t, process, "--http-addr", "127.0.0.1:0")
				testenv.Eventually(t, "the "+process+" says whose the schema is", func() error {
					status, body := get(t, p.URL()+"/readyz")
					if status != http.StatusServiceUnavailable || !strings.Contains(body, "owns the schema tactus") {
						return fmt.Errorf("%d %s", status, body)
					}
					return nil
				})
			}
			if ran := sprung(t, theirs); ran != 0 {
				t.Errorf("code of the stranger ran %d times", ran)
			}
		})
	}
}

// TestSchemaComesIntoOtherHands puts a trigger that calls another role's function on a table of a running process. Once
// the process has looked again, it runs no other statement until the trigger is dropped.
func TestSchemaComesIntoOtherHands(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	as, theirs := ownerAndStranger(t, superuser)
	if got := tactus(t, "migrate", "--database-url="+as); got.code != exitOK {
		t.Fatalf("%+v", got)
	}
	testenv.Execute(t, theirs, laid)
	p := testenv.Program{Env: []string{"DATABASE_URL=" + as}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	trap := `create trigger t before insert on tactus.schedules for each statement execute function traps.sprung()`
	testenv.Execute(t, superuser, trap)
	testenv.Eventually(t, "it is not ready any more", func() error {
		status, body := get(t, p.URL()+"/readyz")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "owns the function of the trigger t") {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if status, body := create(t, p); status != http.StatusServiceUnavailable {
		t.Errorf("%d %s", status, body)
	}
	if ran := sprung(t, theirs); ran != 0 {
		t.Errorf("code of the stranger ran %d times", ran)
	}
	testenv.Execute(t, superuser, `drop trigger t on tactus.schedules`)
	p.AwaitReady()
	if status, body := create(t, p); status != http.StatusCreated {
		t.Errorf("%d %s", status, body)
	}
}

// TestProcessesLookUnasked checks that processes look who owns the schema even if nobody asks for /readyz. They use a
// connection of their own for that, so each process has two: its pool has one, and the relay has none to listen.
func TestProcessesLookUnasked(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	pool := testenv.Connect(t, url)
	env := []string{
		"REDIS_URL=" + testenv.RedisURL(t), "TACTUS_BEAT_NAME=b", "TACTUS_LISTEN_URL=none", "TACTUS_RESULTS_ENABLED=false",
	}
	for _, process := range []string{"api", "relay", "beat"} {
		named := "DATABASE_URL=" + url + "&pool_max_conns=1&application_name=looks_" + process
		testenv.Program{Env: append(env, named)}.Start(t, process, "--http-addr", "127.0.0.1:0")
		testenv.Eventually(t, "the "+process+" looks", func() error {
			var n int
			err := pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
				where application_name = $1 and datname = current_database()`, "looks_"+process).Scan(&n)
			if err == nil && n < 2 {
				err = fmt.Errorf("it has %d connections", n)
			}
			return err
		})
	}
}

// ownerAndStranger makes two roles that may create schemas, and names the database as each reaches it.
func ownerAndStranger(t *testing.T, superuser string) (owner, stranger string) {
	t.Helper()
	one, owner := testenv.Role(t, superuser)
	two, stranger := testenv.Role(t, superuser)
	testenv.Execute(t, superuser, `do $$ begin
		execute format('grant create on database %I to `+one+`, `+two+`', current_database()); end $$`)
	return owner, stranger
}

func create(t *testing.T, p *testenv.Process) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL()+"/api/v1/schedules",
		strings.NewReader(`{"name": "a", "task_name": "t", "cron_expression": "* * * * *"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	return send(t, request)
}

// sprung returns how often roles other than the stranger have run the function.
func sprung(t *testing.T, theirs string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), theirs)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	// What the stranger did in a schema of their own is no loot.
	err = conn.QueryRow(t.Context(), `select count(*) from traps.loot where who <> current_user`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
