package projection_test

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/testenv"
)

const tablesBeside = `select count(*) from pg_tables where schemaname = 'tactus' and tablename like 'schedules_rebuilt%'`

// openTypes counts the tables of a rebuild of whose row types others may make columns, which keep a table from being
// dropped.
const openTypes = `
select count(*) from pg_type t join pg_class c on c.oid = t.typrelid
where c.relnamespace = 'tactus'::regnamespace and c.relname ~ '^schedules_(rebuilt|replaced)' and c.relkind = 'r'
    and (t.typacl is null or exists (select from aclexplode(t.typacl) where grantee = 0))`

// TestKilledRebuildLeavesNothing kills a rebuild between filling the second table and the swap: the next rebuild drops
// the table.
func TestKilledRebuildLeavesNothing(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.sql(t, `update tactus.schedules set category = 'spoiled'`)
	busy, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := busy.Exec(t.Context(), `create table tactus.schedules_replaced ()`); err != nil { // the rebuild waits for this
		t.Fatal(err)
	}
	rebuild := testenv.Program{Env: []string{"DATABASE_URL=" + w.pool.Config().ConnString()}}.Start(t, "rebuild", "--swap")
	testenv.Eventually(t, "a table beside", func() error { return w.want(t, 1, tablesBeside) })
	if err := w.want(t, 0, openTypes); err != nil {
		t.Errorf("others may use the type of the table beside: %v", err)
	}
	rebuild.Kill()
	if err := busy.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.want(t, 1, tablesBeside); err != nil {
		t.Fatalf("the killed rebuild left no table: %v", err)
	}
	testenv.Eventually(t, "the next rebuild drops the table", func() error {
		w.rebuild(t, true)
		return w.want(t, 0, tablesBeside)
	})
	if told, r := w.rebuild(t, false); r.Different != 0 {
		t.Errorf("the second rebuild found %q", told)
	}
}

// TestRebuildLeavesAnothersTable has a second rebuild run while a first one is between two rows.
func TestRebuildLeavesAnothersTable(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.sql(t, `update tactus.schedules set category = 'spoiled'`)
	n := 0
	r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: true, Tell: func(projection.Difference) error {
		if n++; n != 2 {
			return nil
		}
		if _, second := w.rebuild(t, true); second.Replaced != 4 {
			t.Errorf("the second rebuild: %+v", second)
		}
		return w.want(t, 1, tablesBeside)
	}})
	if err != nil || r.Different != 4 || r.Replaced != 0 {
		t.Errorf("the first rebuild: %+v, %v", r, err)
	}
	if told, r := w.rebuild(t, false); r.Different != 0 {
		t.Errorf("%q", told)
	}
}
