package adopt_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// siege is a database of three plain roles: tactus' owner, an upstream that may call its functions and whose tables it
// adopts, and the superuser, who only made them. Code of the upstream's says as whom it ran.
type siege struct {
	*testing.T
	superuser, owner, upstream string // roles and their databases
	ownerPool, upstreamPool    *pgxpool.Pool
	mu                         *sync.Mutex
	ran                        map[string]bool // the roles as which the upstream's code has run
}

func newSiege(t *testing.T) *siege {
	t.Helper()
	url := testenv.EmptyURL(t)
	owner, ownerURL := testenv.Role(t, url)
	upstream, upstreamURL := testenv.Role(t, url)
	testenv.Execute(t, url, `do $$ begin execute format('grant create on database %I to `+owner+`, `+upstream+`', current_database()); end $$`)
	if err := migrations.Up(t.Context(), ownerURL); err != nil {
		t.Fatal(err)
	}
	s := &siege{T: t, superuser: url, owner: owner, upstream: upstream, mu: &sync.Mutex{}, ran: map[string]bool{}}
	s.ownerPool, s.upstreamPool = s.connect(ownerURL), s.connect(upstreamURL)
	s.as(s.ownerPool, `grant usage on schema tactus to `+upstream)
	return s
}

// connect hears what the upstream's code says.
func (s *siege) connect(url string) *pgxpool.Pool {
	s.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		s.Fatal(err)
	}
	config.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if who, ok := strings.CutPrefix(n.Message, "ran as "); ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ran[who] = true
		}
	}
	pool, err := pgxpool.NewWithConfig(s.Context(), config)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(pool.Close)
	return pool
}

func (s *siege) as(pool *pgxpool.Pool, sql string) {
	s.Helper()
	if _, err := pool.Exec(s.Context(), sql); err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// held reports that no code of the upstream's has run as the owner.
func (s *siege) held(what string) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ran[s.owner] {
		s.Errorf("%s: the upstream's code ran as %s", what, s.owner)
	}
	s.ran = map[string]bool{}
}

// table makes a schema of the upstream's with a table to adopt, and code that tells as whom it runs.
func (s *siege) table(schema string) {
	s.Helper()
	s.as(s.upstreamPool, strings.ReplaceAll(strings.ReplaceAll(`
create schema X;
create function X.evil(anything text) returns text language plpgsql immutable as $$ begin raise warning 'ran as %', current_user; return anything; end $$;
create function X.evil_true() returns boolean language sql as $$ select X.evil('x') = 'x' $$;
create table X.celery_beat_schedules (id uuid primary key default gen_random_uuid(), name text not null, task_name text not null, cron_expression text not null,
	enabled boolean not null default true, args json default '[]', kwargs json default '{}', description text);
insert into X.celery_beat_schedules (name, task_name, cron_expression) values ('X first', 'a', '* * * * *');
grant usage, create on schema X to OWNER;
grant select, update, trigger on X.celery_beat_schedules to OWNER`, "X", schema), "OWNER", s.owner))
}

const adoptedTable = ".celery_beat_schedules"

// attacks are what the owner of a table may do to it. X is the schema.
var attacks = map[string]struct{ sql, told string }{
	"cast": {
		`create type X.bad as (t text);
		create function X.to_json(X.bad) returns json language sql as $$ select to_json(X.evil('x')) $$;
		create cast (X.bad as json) with function X.to_json(X.bad);
		alter table X.celery_beat_schedules drop column args, add column args X.bad default row('x')::X.bad`,
		"column args of X.celery_beat_schedules has the type X.bad",
	},
	"text": {
		`create type X.bad as (t text);
		create function X.to_text(X.bad) returns text language sql as $$ select X.evil('x') $$;
		create cast (X.bad as text) with function X.to_text(X.bad);
		alter table X.celery_beat_schedules drop column id, add column id X.bad default row('x')::X.bad`,
		"column id of X.celery_beat_schedules has the type X.bad",
	},
	"domain": {
		`create domain X.bad as text check (X.evil(coalesce(value,
			'x')) is not null); alter table X.celery_beat_schedules alter column description type X.bad`,
		"column description of X.celery_beat_schedules has the type X.bad",
	},
	"view": {
		`alter table X.celery_beat_schedules rename to hidden;
		create view X.celery_beat_schedules as select id, X.evil(name) as name, task_name, cron_expression, enabled, args, kwargs, description from X.hidden;
		grant select, update, trigger on X.celery_beat_schedules to OWNER`,
		"is called of_view.hidden now",
	},
	"policy": {
		`alter table X.celery_beat_schedules enable row level security, force row level security;
		create policy bad on X.celery_beat_schedules using (X.evil_true())`,
		"has row-level security",
	},
	"index":     {`create index on X.celery_beat_schedules ((X.evil('x') || name))`, "X.evil(text)"},
	"predicate": {`create index on X.celery_beat_schedules (name) where X.evil('x') = name`, "X.evil(text)"},
	"statistics": {
		`create statistics X.bad on (X.evil('x') || name), task_name from X.celery_beat_schedules`,
		"X.evil(text)",
	},
	"child": {
		`create table X.child () inherits (X.celery_beat_schedules); alter table X.child add constraint c check (name <> X.evil('x'))`,
		"X.evil(text)",
	},
	"operator": {
		`create operator X.<<>> (leftarg = text, rightarg = text, function = X.pair);
		create index on X.celery_beat_schedules ((('a'::text operator(X.<<>>) 'b'::text) || name))`,
		"X.<<>>",
	},
}

// TestOwnersOfAdoptedTablesGainNothing has the owner of an adopted table put code of its own wherever reading the table
// may run it: nothing of it runs as tactus, the upstream goes on, and what is wrong is told.
func TestOwnersOfAdoptedTablesGainNothing(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	var version int
	if err := s.ownerPool.QueryRow(t.Context(),
		"select current_setting('server_version_num')::int").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for name, attack := range attacks {
		if name == "statistics" && version < 140000 {
			continue // statistics of expressions are new in PostgreSQL 14
		}
		name = "of_" + name
		s.table(name)
		s.as(s.upstreamPool, strings.ReplaceAll(
			`create function X.pair(text, text) returns text language sql immutable as $$ select X.evil($1 || $2) $$`,
			"X.", name+"."))
		sql := strings.NewReplacer("X.", name+".", "OWNER", s.owner).Replace(attack.sql)
		told := strings.ReplaceAll(attack.told, "X.", name+".")
		source, err := adopt.Find(t.Context(), s.ownerPool, name+adoptedTable, adopt.CeleryBeatSchedules)
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Adopt(t.Context(), "UTC"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.as(s.upstreamPool, sql)
		written := name + adoptedTable
		if name == "of_view" {
			written = name + ".hidden"
		}
		if _, err := s.ownerPool.Exec(t.Context(), `select tactus.adopt_round(100)`); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.held(name + ", by the sweep")
		s.tellsOnce(name, told)
		s.as(s.upstreamPool, fmt.Sprintf(`update %s set name = 'again'`, written))
		s.as(s.upstreamPool, fmt.Sprintf(
			`insert into %s (name, task_name, cron_expression) values ('more', 'a', '* * * * *')`, written))
		s.held(name + ", by the triggers")
		if _, err := adopt.Mend(t.Context(), s.ownerPool); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.held(name + ", by mending")
		s.tellsOnce(name, told)
		s.refusesToAdopt(name, told)
	}
}

// parked are what the owner of a table may do while the beat waits for one of its rows.
var parked = map[string][]string{
	"parked_index":      {`create index on X.celery_beat_schedules ((X.evil('x') || name))`},
	"parked_statistics": {`create statistics X.bad on (X.evil('x') || name), task_name from X.celery_beat_schedules`},
	"parked_child":      {`create table X.child (check (name <> X.evil('x'))) inherits (X.celery_beat_schedules)`},
	"parked_schema": {
		`alter schema X rename to X_hidden`, `create schema X`,
		`create view X.celery_beat_schedules as select id, X_hidden.evil(name) as name, task_name, cron_expression,
			enabled, args, kwargs, description from X_hidden.celery_beat_schedules`,
		`grant usage on schema X to OWNER`, `grant select, update on X.celery_beat_schedules to OWNER`,
	},
}

// TestOwnersOfAdoptedTablesCannotParkTheBeat holds the beat up at the lock of a row, between the check of a table and
// the statements that read its next rows, and changes meanwhile what reading it runs.
func TestOwnersOfAdoptedTablesCannotParkTheBeat(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	for name, changes := range parked {
		s.table(name)
		table := name + adoptedTable
		s.as(s.upstreamPool, `insert into `+table+` (name, task_name, cron_expression) select '`+name+`' || n, 'a', '* * * * *' from generate_series(1, 20) as n`)
		source, err := adopt.Find(t.Context(), s.ownerPool, table, adopt.CeleryBeatSchedules)
		if err != nil {
			t.Fatal(err)
		}
		if err := source.Adopt(t.Context(), "UTC"); err != nil {
			t.Fatal(err)
		}
		s.as(s.upstreamPool, strings.ReplaceAll(
			`alter table X disable trigger user; update X
				set description = 'changed'; alter table X enable trigger user`, "X", table))
		holder, err := s.upstreamPool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec(t.Context(), `select from `+table+` for update`); err != nil {
			t.Fatal(err)
		}
		round := s.roundThatWaits()
		for _, sql := range changes {
			sql = strings.NewReplacer("X", name, "OWNER", s.owner).Replace(sql)
			if _, err := s.upstreamPool.Exec(t.Context(), `set lock_timeout = '300ms'; `+sql); err != nil {
				t.Logf("%s: %v", sql, err) // kept away, or not known to this version
			}
		}
		if err := holder.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-round; err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s.held(name)
		s.as(s.ownerPool, `delete from tactus.adoptions; delete from tactus.adopt_failures`)
	}
}

// roundThatWaits begins a round, and returns once it waits for a lock. A round gives up soon: one that was not seen to
// wait is followed by another.
func (s *siege) roundThatWaits() (ended chan error) {
	s.Helper()
	begin := func() {
		round := make(chan error, 1)
		go func() {
			_, err := s.ownerPool.Exec(s.Context(), `select tactus.adopt_round(100)`)
			round <- err
		}()
		ended = round
	}
	begin()
	testenv.Eventually(s, "a round waits for a lock", func() error {
		select {
		case err := <-ended:
			begin()
			return fmt.Errorf("it has ended: %w", err)
		default:
		}
		var waiting bool
		err := s.ownerPool.QueryRow(s.Context(), `select exists (select from pg_stat_activity where usename = current_user
			and pid <> pg_backend_pid() and wait_event_type = 'Lock' and strpos(query, 'tactus.adopt_round') > 0)`).Scan(&waiting)
		if err == nil && !waiting {
			err = errors.New("nothing waits")
		}
		return err
	})
	return ended
}

// TestOwnersOfAdoptedTablesCannotHideBehindASnapshot writes in a transaction that does not see a child of the table
// made after its snapshot, which the planner finds all the same.
func TestOwnersOfAdoptedTablesCannotHideBehindASnapshot(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	s.table("x")
	source, err := adopt.Find(t.Context(), s.ownerPool, "x"+adoptedTable, adopt.CeleryBeatSchedules)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Adopt(t.Context(), "UTC"); err != nil {
		t.Fatal(err)
	}
	tx, err := s.upstreamPool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select count(*) from pg_namespace`); err != nil {
		t.Fatal(err)
	}
	s.as(s.upstreamPool, `create table x.child (check (name <> x.evil('x'))) inherits (x.celery_beat_schedules)`)
	if _, err := tx.Exec(t.Context(),
		`insert into x.celery_beat_schedules (name, task_name, cron_expression) values ('late', 'a', '* * * * *')`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.held("a child after the snapshot")
	s.as(s.upstreamPool, `drop table x.child`)
	if _, err := adopt.Mend(t.Context(), s.ownerPool); err != nil {
		t.Fatal(err)
	}
	s.as(s.ownerPool, `select tactus.adopt_round(100)`)
	var late int
	if err := s.ownerPool.QueryRow(t.Context(),
		`select count(*) from tactus.schedules where name = 'late' and deleted_at is null`).Scan(&late); err != nil ||
		late != 1 {
		t.Errorf("%d schedules of a row written at REPEATABLE READ, %v", late, err)
	}
}

func (s *siege) tellsOnce(name, told string) {
	s.Helper()
	rows, err := s.ownerPool.Query(s.Context(),
		`select coalesce(key || ': ', '') || reason from tactus.adopt_failures where source = $1`, name+adoptedTable)
	if err != nil {
		s.Fatal(err)
	}
	reasons, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(reasons) != 1 || !strings.Contains(reasons[0], told) &&
		!(name == "of_view" && strings.Contains(reasons[0], "is not a table")) {
		s.Errorf("%s: told is %q, %v, want %s", name, reasons, err, told)
	}
}

// refusesToAdopt does the same before the table is adopted.
func (s *siege) refusesToAdopt(name, told string) {
	s.Helper()
	s.as(s.ownerPool, fmt.Sprintf(`select tactus.adopt_uninstall('%s')`, name+adoptedTable))
	source, err := adopt.Find(s.Context(), s.ownerPool, name+adoptedTable, adopt.CeleryBeatSchedules)
	if err == nil {
		_, previewed := source.Preview(s.Context(), "UTC", time.Now())
		err = source.Adopt(s.Context(), "UTC")
		if previewed == nil {
			s.Errorf("%s: it is shown what would come", name)
		}
	}
	if err == nil || name != "of_view" && !strings.Contains(err.Error(), told) {
		s.Errorf("%s: adopting answers %v, want %s", name, err, told)
	}
	s.held(name + ", by adopting")
}

// TestFunctionsAreNotForOthers calls all of our functions, and makes triggers of them, as a role that may call
// put_schedule.
func TestFunctionsAreNotForOthers(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	s.table("x")
	rows, err := s.ownerPool.Query(t.Context(), `
		select case when prorettype = 'trigger'::regtype
			then format('create trigger bad after update on x.celery_beat_schedules for each row execute function %s(%L, %L)', oid::regproc, '(select x.evil(name), * from x.celery_beat_schedules) x', 'name')
			else format('select %s(%s)', oid::regproc, (select string_agg('null::' || format_type(a, null), ', ') from unnest(proargtypes) as a)) end
		from pg_proc where pronamespace = 'tactus'::regnamespace and proname not in ('put_schedule', 'delete_schedule', 'adopted_id')`)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(calls) < 30 {
		t.Fatalf("%d functions, %v", len(calls), err)
	}
	for _, call := range calls {
		if _, err := s.upstreamPool.Exec(t.Context(), call); err == nil ||
			!strings.Contains(err.Error(), "permission denied for ") {
			t.Errorf("%s: %v", call, err)
		}
	}
	s.as(s.upstreamPool, `select tactus.put_schedule('{"name": "mine", "task_name": "a", "cron_expression": "* * * * *"}')`)
	s.as(s.upstreamPool, `select tactus.delete_schedule('mine'), tactus.adopted_id('a', 'b')`)
}

// TestCallersNamesMeanNothing calls, and writes to an adopted table, with functions, operators and tables of the
// caller's own in front of ours and of PostgreSQL's.
func TestCallersNamesMeanNothing(t *testing.T) {
	t.Parallel()
	s := newSiege(t)
	s.table("x")
	source, err := adopt.Find(t.Context(), s.ownerPool, "x"+adoptedTable, adopt.CeleryBeatSchedules)
	if err != nil {
		t.Fatal(err)
	}
	if err := source.Adopt(t.Context(), "UTC"); err != nil {
		t.Fatal(err)
	}
	conn, err := s.upstreamPool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, sql := range []string{
		`create function x.text_eq(text, text) returns boolean language sql as $$ select x.evil_true() $$`,
		`create operator x.= (leftarg = text, rightarg = text, function = x.text_eq)`,
		`create function x.uuid_eq(uuid, uuid) returns boolean language sql as $$ select x.evil_true() $$`,
		`create operator x.= (leftarg = uuid, rightarg = uuid, function = x.uuid_eq)`,
		`create function x.clock_timestamp() returns timestamptz language sql as $$ select now() where x.evil_true() $$`,
		`create function x.to_jsonb(anyelement) returns jsonb language sql as $$ select '{}'::jsonb
			where x.evil_true() $$`,
		`create function x.trim(text) returns text language sql as $$ select x.evil($1) $$`,
		`create function x.length(text) returns int language sql as $$ select 1 where x.evil_true() $$`,
		`create temporary table schedules (like x.celery_beat_schedules)`,
		`create temporary table pg_class (oid oid)`,
		`set search_path = pg_temp, x, tactus, pg_catalog`,
		`insert into x.celery_beat_schedules (name, task_name, cron_expression) values ('theirs', 'a', '* * * * *')`,
		`update x.celery_beat_schedules set description = 'd'`,
		`select tactus.put_schedule('{"name": "called", "task_name": "a", "cron_expression": "* * * * *"}')`,
		`select tactus.put_schedule('{"name": "deleted", "task_name": "a", "cron_expression": "* * * * *"}')`,
		`select tactus.delete_schedule('deleted')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	s.held("names in front")
	var living, failures int
	if err := s.ownerPool.QueryRow(t.Context(),
		`select (select count(*) from tactus.schedules where deleted_at is null),
			(select count(*) from tactus.adopt_failures)`).
		Scan(&living, &failures); err != nil || living != 3 || failures != 0 {
		t.Errorf("%d schedules, %d failures, %v", living, failures, err)
	}
}
