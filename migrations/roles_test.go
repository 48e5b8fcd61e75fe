package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// manual is docs/roles.md, with roles and a database of a test's own.
type manual struct {
	*testing.T
	superuser string
	blocks    []string
	names     *strings.Replacer
}

func newManual(t *testing.T, superuser string) manual {
	t.Helper()
	text, err := os.ReadFile("../docs/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(at.Path, "/")
	m := manual{T: t, superuser: superuser, names: strings.NewReplacer(
		"database shop", "database "+database, "tactus_owner", database+"_owner", "tactus_writer", database+"_writer", "tactus_upstream", database+"_upstream",
	)}
	for _, found := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		m.blocks = append(m.blocks, found[1])
	}
	if len(m.blocks) != 4 {
		t.Fatalf("the manual has %d blocks", len(m.blocks))
	}
	m.run(superuser, 0)
	for _, role := range []string{"tactus_owner", "tactus_writer", "tactus_upstream"} {
		t.Cleanup(func() {
			testenv.Execute(t, superuser, m.names.Replace(`drop owned by `+role+` cascade`), m.names.Replace(`drop role `+role))
		})
	}
	return m
}

// run runs a block.
func (m manual) run(url string, block int) {
	m.Helper()
	testenv.Execute(m, url, m.names.Replace(m.blocks[block]))
}

// as is the database as a role reaches it.
func (m manual) as(role string) string {
	m.Helper()
	at, err := url.Parse(m.superuser)
	if err != nil {
		m.Fatal(err)
	}
	at.User = url.UserPassword(m.names.Replace("tactus_"+role), "secret of the "+role)
	return at.String()
}

// everyRight has each right of a role on what is in the schema, by whatever way it has come to it. Of the columns of a
// table those are named on which the role has a right that it has not on the whole.
const everyRight = `
select array(
    select 'schema ' || p from unnest('{usage,create}'::text[]) p where has_schema_privilege($1, 'tactus', p)
    union all
    select p || ' ' || c.relname from pg_class c, unnest('{select,insert,update,delete,truncate,references,trigger}'::text[]) p
    where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege($1, c.oid, p)
    union all
    select p || ' ' || c.relname || ' (' || string_agg(a.attname, ' ' order by a.attname) || ')'
    from pg_class c join pg_attribute a on a.attrelid = c.oid and not a.attisdropped, unnest('{select,insert,update,references}'::text[]) p
    where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'f') and not has_table_privilege($1, c.oid, p)
        and has_column_privilege($1, c.oid, a.attnum, p)
    group by c.relname, p
    union all
    select p || ' ' || c.relname from pg_class c, unnest('{usage,select,update}'::text[]) p
    where c.relnamespace = 'tactus'::regnamespace and c.relkind = 'S' and has_sequence_privilege($1, c.oid, p)
    union all
    select distinct 'execute ' || proname from pg_proc where pronamespace = 'tactus'::regnamespace and has_function_privilege($1, oid, 'execute')
    union all
    select 'usage ' || t.typname from pg_type t left join pg_class c on c.oid = t.typrelid
    where t.typnamespace = 'tactus'::regnamespace and t.typelem = 0 and has_type_privilege($1, t.oid, 'usage')
        and coalesce(c.relkind <> 'S', true) -- before PostgreSQL 14 sequences have row types, too
    order by 1)`

// listed are the rights of the manual, in the words of everyRight.
var listed = map[string][]string{
	"upstream": {"execute adopted_id", "execute delete_schedule", "execute put_schedule", "schema usage"},
	"writer": {
		"execute adopted_id", "execute delete_schedule", "execute put_schedule",
		"insert outbox (aggregate_id data headers occurred_at topic type version)", "insert schedules", "schema usage",
		"select calendars", "select outbox", "select routes", "select schedules", "select stream_claims", "select stream_keys",
		"update schedules", "usage outbox_position",
	},
}

// TestRolesOfTheManual makes the roles of the manual. Each can do what is said, and no more.
func TestRolesOfTheManual(t *testing.T) {
	t.Parallel()
	m := newManual(t, testenv.EmptyURL(t))
	if err := migrations.Up(t.Context(), m.as("owner")); err != nil {
		t.Fatal(err)
	}
	m.run(m.as("owner"), 1)
	use(t, testenv.Connect(t, m.as("owner")))
	for role, rights := range listed {
		var has []string
		err := testenv.Connect(t, m.superuser).QueryRow(t.Context(), everyRight, m.names.Replace("tactus_"+role)).Scan(&has)
		if diff := cmp.Diff(rights, has); err != nil || diff != "" {
			t.Errorf("the rights of the %s (-listed +has):\n%s%v", role, diff, err)
		}
	}

	writer := testenv.Connect(t, m.as("writer"))
	err := outbox.InTx(t.Context(), writer, func(tx pgx.Tx) error { return writes(t.Context(), tx) })
	if err != nil {
		t.Errorf("the writer: %v", err)
	}
	err = outbox.InTx(t.Context(), writer, func(tx pgx.Tx) error {
		_, err := outbox.Put(t.Context(), tx, domain.Definition{
			Name: "n", CronExpression: "* * * * *", TaskName: "t", ExcludeCalendars: []string{"none"},
		})
		return err
	})
	if !errors.Is(err, &domain.Error{Code: domain.CodeCalendarUnknown}) {
		t.Errorf("the writer, of a calendar: %v", err)
	}
	testenv.Execute(t, m.as("owner"), m.names.Replace(`revoke select on tactus.routes, tactus.stream_claims, tactus.stream_keys from tactus_writer`)) // as once in the manual
	if err := outbox.InTx(t.Context(), writer, func(tx pgx.Tx) error { return writes(t.Context(), tx) }); err != nil {
		t.Errorf("the writer, without the right to read routes and claims: %v", err)
	}
	upstream := testenv.Connect(t, m.as("upstream"))
	for _, sql := range []string{
		`select tactus.put_schedule('{"name": "called", "task_name": "a", "cron_expression": "* * * * *"}')`, `select tactus.delete_schedule('called')`,
		`select tactus.adopted_id('public.t', '1')`,
	} {
		if _, err := upstream.Exec(t.Context(), sql); err != nil {
			t.Errorf("the upstream: %s: %v", sql, err)
		}
	}
	for _, sql := range []string{
		`select * from tactus.runs`, `insert into tactus.runs default values`, `delete from tactus.schedules`, `update tactus.outbox set version = 1`, `truncate tactus.outbox`,
		`drop table tactus.runs`, `alter table tactus.schedules add column mine int`, `create table tactus.mine (id int)`, `update tactus.leases set holder = 'me'`,
		`create function tactus.mine() returns int language sql as 'select 1'`, `select tactus.adopt_mend(1)`,
		`delete from tactus.outbox`, `insert into tactus.adoptions values ('public.t', 'django_celery_beat', 'UTC')`, `insert into tactus.migrations default values`,
	} {
		for role, pool := range map[string]interface {
			QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
		}{"writer": writer, "upstream": upstream} {
			if err := pool.QueryRow(t.Context(), sql).Scan(new(any)); err == nil || !strings.Contains(err.Error(), "42501") {
				t.Errorf("the %s may %s: %v", role, sql, err)
			}
		}
	}
	const placed = `insert into tactus.outbox (%s, topic, aggregate_id, version, type, data)
		values (%s, 'schedule', gen_random_uuid(), 1, 'schedule.deleted', '{}')`
	for column, value := range map[string]string{"position": "1", "xid": "'1'"} {
		if _, err := writer.Exec(t.Context(), fmt.Sprintf(placed, column, value)); err == nil || !strings.Contains(err.Error(), "42501") {
			t.Errorf("the writer may say the %s of an event: %v", column, err)
		}
	}
	if _, err := upstream.Exec(t.Context(), `select * from tactus.schedules`); err == nil {
		t.Error("the upstream may read schedules")
	}
	m.adopts()
}

// adopts follows a table of the upstream's.
func (m manual) adopts() {
	m.Helper()
	testenv.Execute(m, m.superuser, `create table public.celery_beat_schedules (id uuid primary key default gen_random_uuid(), name text, task_name text, cron_expression text, enabled boolean)`,
		m.names.Replace(`alter table public.celery_beat_schedules owner to tactus_upstream`))
	m.run(m.as("upstream"), 2)
	owner := testenv.Connect(m, m.as("owner"))
	source, err := adopt.Find(m.Context(), owner, "celery_beat_schedules", adopt.CeleryBeatSchedules)
	if err == nil {
		err = source.Adopt(m.Context(), "UTC")
	}
	if err != nil {
		m.Fatal(err)
	}
	testenv.Execute(m, m.as("upstream"), `insert into celery_beat_schedules (name, task_name, cron_expression, enabled) values ('theirs', 'a', '* * * * *', true)`)
	if _, err := outbox.GetByName(m.Context(), owner, "theirs"); err != nil {
		m.Error(err)
	}
	if _, left, err := source.Unadopt(m.Context(), false); err != nil || len(left) != 4 {
		m.Errorf("the triggers that the owner of the table is to drop: %q, %v", left, err)
	} else {
		testenv.Execute(m, m.as("upstream"), left...)
	}
}

// writes does all that package outbox offers in a transaction.
func writes(ctx context.Context, tx pgx.Tx) error {
	s, err := outbox.Put(ctx, tx, domain.Definition{Name: "written", CronExpression: "* * * * *", TaskName: "t"})
	if err != nil {
		return err
	}
	if _, err := outbox.Disable(ctx, tx, s.ID); err != nil {
		return err
	}
	if _, err := outbox.Enable(ctx, tx, s.ID); err != nil {
		return err
	}
	for _, d := range []domain.Definition{{Queue: "queue"}, {Stream: "stream"}} { // names of neighbours are looked for
		d.Name, d.CronExpression, d.TaskName = "written", "* * * * *", "t"
		if _, err := outbox.Put(ctx, tx, d); err != nil {
			return err
		}
	}
	return outbox.Delete(ctx, tx, s.ID)
}

// TestHandedOverToAPlainRole has a superuser migrate, as compose.yaml and dev once did, and the manual's block hand all
// over.
func TestHandedOverToAPlainRole(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	if err := migrations.UpTo(t.Context(), superuser, newest(t)-1); err != nil {
		t.Fatal(err)
	}
	m := newManual(t, superuser)
	testenv.Execute(t, superuser, m.names.Replace(`grant create on schema public to tactus_upstream`))
	for _, sort := range []string{"regclass", "regprocedure", "text"} { // what public has, and anybody may add to before PostgreSQL 15
		testenv.Execute(t, m.as("upstream"), m.names.Replace(`create function public.format(text, `+sort+`) returns text language plpgsql as $$ begin
			execute 'alter role tactus_upstream superuser'; return replace($1, '%s', $2::text); end $$`))
	}
	testenv.Execute(t, superuser, m.names.Replace(m.blocks[3]),
		m.names.Replace(`do $$ begin assert not (select rolsuper from pg_catalog.pg_roles where rolname = 'tactus_upstream'); end $$`))
	if err := migrations.Up(t.Context(), m.as("owner")); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, m.as("owner"))
	use(t, pool)
	if _, err := outbox.Maintain(t.Context(), pool, time.Now().AddDate(0, 0, 40), outbox.Retention{Runs: time.Hour, Keys: time.Hour}); err != nil {
		t.Error(err)
	}
	if faults := rightsOf(t, pool, m.names.Replace("tactus_owner")); len(faults) > 0 {
		t.Errorf("%s", strings.Join(faults, "\n"))
	}
}

// TestPasswordsAreWrittenAsTheManualSays connects with a password of characters that mean something to somebody.
func TestPasswordsAreWrittenAsTheManualSays(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	at, err := url.Parse(superuser)
	if err != nil {
		t.Fatal(err)
	}
	database := strings.TrimPrefix(at.Path, "/")
	const password = `it's "50%" \long@/`
	testenv.Execute(t, superuser, `create role `+database+` login password '`+strings.ReplaceAll(password, `'`, `''`)+`'`)
	t.Cleanup(func() { testenv.Execute(t, superuser, `drop role `+database) })
	for _, dsn := range []string{
		`postgres://` + database + `:it's%20"50%25"%20\long%40%2F@` + at.Host + at.Path + `?` + at.RawQuery,
		`host=` + at.Hostname() + ` port=` + at.Port() + ` dbname=` + database + ` user=` + database + ` password='` + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(password) + `'`,
	} {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Errorf("%s: %v", dsn, err)
			continue
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
