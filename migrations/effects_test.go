package migrations_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

const effectsFile = "effects.txt"

// TestEffects applies the migrations one after the other, each in its transaction, and compares the columns that they
// make and the locks that they take with effects.txt, by which a process judges a schema and migrate --plan tells what
// is to come. -update writes the file.
func TestEffects(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testenv.EmptyURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), "create schema tactus"); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob("*.sql")
	if err != nil {
		t.Fatal(err)
	}
	columns, lines := map[string]string{}, []string{} // the version that made a column, by table and name
	for _, name := range names {
		version := name[:4]
		for _, lock := range apply(t, conn, name) {
			lines = append(lines, version+" lock "+lock)
		}
		there := linesOf(t, conn, columnsSQL)
		for _, c := range there {
			if columns[c] == "" {
				columns[c] = version
			}
		}
		for c := range columns {
			if !slices.Contains(there, c) {
				delete(columns, c)
			}
		}
	}
	for c, version := range columns {
		lines = append(lines, version+" column "+c)
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.WriteFile(effectsFile, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(effectsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s does not say what the migrations do (go test ./migrations -run Effects -update):\n%s", effectsFile, diff)
	}
}

// lastWorking is the last migration that goes through a whole table while it keeps writers from it. It has landed.
const lastWorking = "0073"

// TestMigrationsStopWritersForAnInstant holds that no new migration builds an index, checks each row or writes a table
// anew under a lock that stops writers: however many rows there are, they wait for an instant. An index is built
// concurrently, a constraint is added as not valid and validated by another statement, outside of the transaction.
func TestMigrationsStopWritersForAnInstant(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(effectsFile)
	if err != nil {
		t.Fatal(err)
	}
	last := ""
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); words[1] == "lock" && len(words) > 4 {
			last = words[0]
		}
	}
	if last != lastWorking {
		t.Errorf("migration %s works on a whole table while writers wait, want none after %s", last, lastWorking)
	}
}

const columnsSQL = `
select c.relname || ' ' || a.attname from pg_attribute a join pg_class c on c.oid = a.attrelid
where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
    and a.attnum > 0 and not a.attisdropped
order by 1`

// apply runs a migration, and returns the locks on tables that were there before and that stop writers.
func apply(t *testing.T, conn *pgx.Conn, name string) (locks []string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}()
	if _, err := tx.Exec(t.Context(), beforeSQL, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	if err := conn.PgConn().Exec(t.Context(), string(text)).Close(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return linesOf(t, conn, locksSQL)
}

// beforeSQL keeps which tables, indexes and constraints there are, until the transaction ends.
const beforeSQL = `
create temporary table tables_before on commit drop as
    select c.oid, c.relfilenode, coalesce(pg_partition_root(c.oid), c.oid)::oid as root from pg_class c
    where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p');
create temporary table made_before on commit drop as
    select oid from pg_class where relkind in ('i', 'I') union all select oid from pg_constraint`

// locksSQL has one line a table, for the strongest lock on it or on one of its partitions.
const locksSQL = `
with stops (mode, rank) as (
    values ('ShareLock', 1), ('ShareRowExclusiveLock', 2), ('ExclusiveLock', 3), ('AccessExclusiveLock', 4)
), held as (
    select b.root, max(s.rank) as rank from pg_locks l join tables_before b on b.oid = l.relation join stops s using (mode)
    where l.pid = pg_backend_pid() and l.locktype = 'relation' group by 1
), work as (
    select distinct b.root, 'index' as what from pg_index i join tables_before b on b.oid = i.indrelid
    where i.indexrelid not in (select oid from made_before)
    union
    select b.root, 'scan' from pg_constraint k join tables_before b on b.oid = k.conrelid
    where k.contype in ('c', 'f') and k.convalidated and k.oid not in (select oid from made_before)
    union
    select b.root, 'rewrite' from tables_before b join pg_class c on c.oid = b.oid where c.relfilenode <> b.relfilenode
)
select r.relname || ' ' || s.mode || coalesce((select ' ' || string_agg(what, ' ' order by what) from work w where w.root = h.root), '')
from held h join stops s using (rank) join pg_class r on r.oid = h.root order by 1`

// linesOf returns the only column of a query.
func linesOf(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}
