package migrations_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// public are the functions that whoever has USAGE on the schema may call.
var public = []string{"adopted_id", "delete_schedule", "put_schedule"}

// definers run with the owner's rights, whoever calls them, or writes to the table that they are a trigger of.
var definers = []string{
	"adopt_related", "adopt_row", "adopt_statement", "adopt_truncate", "check_calendars", "delete_schedule", "drop_detached", "drop_events", "drop_month", "make_month", "make_partition", "put_schedule",
	"routes_are_bounded",
}

// composed are the functions that put text into SQL as it is (%s), with what that text is.
var composed = map[string]string{
	"adopt_check_table":   "a regclass",
	"adopt_install":       "a regclass",
	"adopt_lock":          "a regclass",
	"adopt_lock_related":  "a regclass, and the name of a built-in type",
	"adopt_many":          "a regclass, and the name of a built-in type",
	"adopt_related":       "a regclass",
	"adopt_statement":     "names of known columns (tactus.adopted_differs_sql)",
	"adopt_sweep":         "a regclass",
	"adopt_triggers":      "a regclass",
	"adoptee":             "a regclass, and names of known columns (tactus.adopted_row_sql)",
	"adoptees_sql":        "a regclass, names of known columns (tactus.adopted_row_sql), and the name of a built-in type",
	"adopted_differs_sql": "names of known columns, with their aliases",
	"adopted_keys":        "a regclass",
}

// executed is what may follow EXECUTE.
var executed = []string{"format", "function", "statement", "tactus.adopt_wanted_sql"}

// function is one of ours, as the catalog has it.
type function struct {
	Name    string
	Owner   string
	Plain   bool // the owner is no superuser
	Definer bool
	Path    string
	Public  bool
	Granted int // to whom else
	Source  string
}

const everyFunction = `
select p.proname, r.rolname, not r.rolsuper, p.prosecdef, coalesce((select c from unnest(p.proconfig) as c where c like 'search_path=%'), ''),
    p.proacl is null or exists (select from aclexplode(p.proacl) where grantee = 0),
    (select count(*) from aclexplode(p.proacl) where grantee not in (0, p.proowner)), p.prosrc
from pg_proc p join pg_roles r on r.oid = p.proowner where p.pronamespace = 'tactus'::regnamespace order by 1`

var (
	isPath    = regexp.MustCompile(`^search_path=pg_catalog(, tactus)?, pg_temp$`)
	execution = regexp.MustCompile(`\bexecute\s+([a-z_.]+)`)
	comment   = regexp.MustCompile(`--[^\n]*`)
)

// faults are the rights of a function that were not given.
func (f function) faults(owner string) (faults []string) {
	say := func(format string, args ...any) { faults = append(faults, f.Name+" "+fmt.Sprintf(format, args...)) }
	if f.Owner != owner || !f.Plain {
		say("is owned by %s", f.Owner)
	}
	if f.Definer != slices.Contains(definers, f.Name) {
		say("has the caller's or the owner's rights, otherwise than listed")
	}
	if f.Definer && !isPath.MatchString(f.Path) {
		say("looks names up by %q", f.Path)
	}
	if f.Public != slices.Contains(public, f.Name) || f.Granted > 0 {
		say("may be called by others than listed: revoke execute from public")
	}
	source := comment.ReplaceAllString(f.Source, "")
	if strings.Contains(strings.ToLower(source), "%s") && strings.Contains(source, "execute") && composed[f.Name] == "" {
		say("puts text into SQL as it is")
	}
	for _, found := range execution.FindAllStringSubmatch(strings.ToLower(source), -1) {
		if !slices.Contains(executed, found[1]) {
			say("executes %s", found[1])
		}
	}
	return faults
}

// TestFunctionsGiveNoRights walks the catalog after a plain role has migrated: every migration that makes a function
// says who may call it. Bad functions, one of each kind, are found.
func TestFunctionsGiveNoRights(t *testing.T) {
	t.Parallel()
	superuser := testenv.EmptyURL(t)
	owner, url := testenv.Role(t, superuser)
	testenv.Execute(t, superuser, `do $$ begin execute format('grant create on database %I to `+owner+`', current_database()); end $$`)
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	pool := testenv.Connect(t, url)
	if faults := rightsOf(t, pool, owner); len(faults) > 0 {
		t.Errorf("%s", strings.Join(faults, "\n"))
	}
	for want, sql := range map[string]string{
		"may be called":           `create function tactus.later() returns int language sql as 'select 1'`,
		"owner's rights":          `create function tactus.later() returns int language sql security definer as 'select 1'`,
		"looks names up":          `create or replace function tactus.delete_schedule(schedule text) returns boolean language sql security definer as 'select true'`,
		"puts text into SQL":      `create function tactus.later(a text) returns void language plpgsql as $$ begin execute format('select %s', a); end $$`,
		"executes a":              `create function tactus.later(a text) returns void language plpgsql as $$ begin execute a; end $$`,
		"is owned by":             `create function tactus.later() returns int language sql as 'select 1'`,
		"others than listed: rev": `grant execute on function tactus.adopt_mend(int) to pg_monitor`,
	} {
		by := pool
		if want == "is owned by" {
			by = testenv.Connect(t, superuser)
		}
		tx, err := by.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		if faults := rightsOf(t, tx, owner); !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("%s: not found, only %q", sql, faults)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var given int
	if err := pool.QueryRow(t.Context(), `select count(*) from pg_class, aclexplode(relacl) where relnamespace = 'tactus'::regnamespace and grantee <> relowner`).Scan(&given); err != nil || given > 0 {
		t.Errorf("%d rights on tables are others', %v", given, err)
	}
}

// TestConstraintsOfOthersAreNotPlannedWith holds that the triggers of adopted tables, which anybody's session runs with
// our rights, set what would have the planner evaluate the constraints of those tables. Replacing a function takes its
// settings away, unless they are given again.
func TestConstraintsOfOthersAreNotPlannedWith(t *testing.T) {
	t.Parallel()
	var without string
	err := testenv.Database(t).QueryRow(t.Context(), `
		select coalesce(string_agg(proname, ' '), '') from pg_proc where pronamespace = 'tactus'::regnamespace and prosecdef
			and proname like 'adopt%' and not coalesce('constraint_exclusion=off' = any (proconfig), false)`).Scan(&without)
	if err != nil || without != "" {
		t.Errorf("%s do not set constraint_exclusion = off; %v", without, err)
	}
}

const openTypes = `
select coalesce(string_agg(t.oid::regtype::text, ' '), '') from pg_type t join pg_class c on c.oid = t.typrelid
where t.typnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p')
    and (t.typacl is null or exists (select from aclexplode(t.typacl) where grantee = 0))`

// TestRowTypesAreOurs holds that nobody else may make a column of the row type of one of our tables, which would keep
// the table from being dropped or altered. That holds for partitions that are made later, too.
func TestRowTypesAreOurs(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	later := time.Now().AddDate(1, 0, 0)
	if _, err := outbox.Maintain(t.Context(), pool, later, outbox.Retention{}); err != nil {
		t.Fatal(err)
	}
	made, open := false, ""
	err := pool.QueryRow(t.Context(), `select to_regclass('tactus.runs_' || to_char($1::timestamptz at time zone 'UTC', 'YYYY_MM')) is not null,
		(`+openTypes+`)`, later).Scan(&made, &open)
	if err != nil || !made || open != "" {
		t.Errorf("a partition was made: %v; others may use %s; %v", made, open, err)
	}
}

func rightsOf(t *testing.T, db interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, owner string,
) (faults []string) {
	t.Helper()
	rows, err := db.Query(t.Context(), everyFunction)
	if err != nil {
		t.Fatal(err)
	}
	functions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[function])
	if err != nil || len(functions) < 50 {
		t.Fatalf("%d functions, %v", len(functions), err)
	}
	for _, f := range functions {
		faults = append(faults, f.faults(owner)...)
	}
	return faults
}
