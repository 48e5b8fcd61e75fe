package migrations_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// TestReadyGoesByWhatWasApplied takes migrations and columns away from a schema that has the newest version.
func TestReadyGoesByWhatWasApplied(t *testing.T) {
	t.Parallel()
	last := newest(t)
	for _, c := range []struct{ name, sql, lacks string }{
		{"one in the middle", `delete from tactus.migrations where version_id = 4`, "lacks 0004_deadletters"},
		{"some", `delete from tactus.migrations where version_id in (4, 30)`, "lacks 0004_deadletters, 0030_hot_runs"},
		{"the newest", fmt.Sprintf(`delete from tactus.migrations where version_id = %d`, last), ""},
		{"the newest, after a later program", fmt.Sprintf(`update tactus.migrations set version_id = %d + 1 where version_id = %[1]d`, last), "tactus migrate"},
		{"all", `delete from tactus.migrations`, "tactus migrate"},
		{"a column", `alter table tactus.runs drop column redelivered`, "runs.redelivered (0001_schema)"},
		{"a table", `drop table tactus.access_keys cascade`, "access_keys.expires_at (0054_access)"},
		{"a column that a later program drops", fmt.Sprintf(`alter table tactus.runs drop column redelivered;
			insert into tactus.migrations (version_id, is_applied) values (%d, true)`, last+1), ""},
		{"nothing", `select`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := testenv.DirectURL(t)
			testenv.Execute(t, url, c.sql)
			err := migrations.Ready(t.Context(), testenv.Connect(t, url))
			if (err != nil) != (c.lacks != "") || err != nil && !strings.Contains(err.Error(), c.lacks) {
				t.Errorf("%v, want %q", err, c.lacks)
			}
		})
	}
}

// TestMigrateMendsWhatLandedOtherwise brings up databases that began with other texts of migrations than are there now,
// or had them in another order.
func TestMigrateMendsWhatLandedOtherwise(t *testing.T) {
	t.Parallel()
	fifth, err := os.ReadFile("0005_shadow.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		upTo int64
		sql  []string
	}{
		{"0001 without redelivered", 86, []string{`alter table tactus.runs drop column redelivered`}},
		{"0001 as it was at first", 86, []string{`
			alter table tactus.runs drop column redelivered;
			alter table tactus.relay_sinks drop column opened, drop column after_batch, drop column after_place,
				drop column floor, drop column late, drop column confirmed_batch, drop column confirmed_place;
			alter table tactus.relay_batches drop column kind, drop column from_position, drop column since;
			drop table tactus.relay_forwards;
			alter table tactus.idempotency rename column made to schedule_id;
			drop index tactus.idempotency_age`}},
		{"0005 before 0004", 3, []string{string(fifth), `insert into tactus.migrations (version_id, is_applied) values (5, true)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := testenv.EmptyURL(t)
			if err := migrations.UpTo(t.Context(), url, c.upTo); err != nil {
				t.Fatal(err)
			}
			testenv.Execute(t, url, c.sql...)
			if err := migrations.Up(t.Context(), url); err != nil {
				t.Fatal(err)
			}
			pool := testenv.Connect(t, url)
			use(t, pool)
			if got, want := parts(t, pool), parts(t, testenv.Database(t)); got != want {
				t.Errorf("it has %s, want %s", got, want)
			}
		})
	}
}

// parts are the columns, indexes and constraints of the schema, in one text.
func parts(t *testing.T, pool *pgxpool.Pool) (all string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `
		select string_agg(part, e'\n' order by part) from (
			select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull
				|| coalesce(' ' || pg_get_expr(d.adbin, d.adrelid), '')
			from pg_attribute a join pg_class c on c.oid = a.attrelid
			left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
			where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
				and a.attnum > 0 and not a.attisdropped
			union all
			select pg_get_indexdef(i.indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid
			where c.relnamespace = 'tactus'::regnamespace and not c.relispartition
			union all
			select c.relname || ' ' || pg_get_constraintdef(k.oid) from pg_constraint k join pg_class c on c.oid = k.conrelid
			where c.relnamespace = 'tactus'::regnamespace and not c.relispartition
		) p (part)`).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMigrateRefusesWhatItCannotMend has a column be missing that no migration makes again.
func TestMigrateRefusesWhatItCannotMend(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	testenv.Execute(t, url, `alter table tactus.shadow_sent drop column task_name`)
	if err := migrations.Up(t.Context(), url); err == nil || !strings.Contains(err.Error(), "shadow_sent.task_name (0005_shadow)") {
		t.Errorf("it is told that %v", err)
	}
}

// TestPlanNamesLocks plans for a schema that is some migrations behind.
func TestPlanNamesLocks(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyURL(t)
	if err := migrations.UpTo(t.Context(), url, 29); err != nil {
		t.Fatal(err)
	}
	testenv.Execute(t, url, `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
		select gen_random_uuid(), gen_random_uuid(), now() + n * interval '1 microsecond', 'scheduled', 'due', 1
		from generate_series(1, 5000) n`)
	pool := testenv.Connect(t, url)
	steps, err := migrations.Plan(t.Context(), pool)
	if err != nil || len(steps) < 10 {
		t.Fatalf("%d steps, %v", len(steps), err)
	}
	first := steps[0]
	if first.Name != "0030_hot_runs" || len(first.Locks) != 1 || first.Locks[0].Table != "runs" || !first.Locks[0].Readers ||
		first.Locks[0].Bytes < 100<<10 || strings.Join(first.Locks[0].Work, " ") != "index" {
		t.Errorf("first is %+v", first)
	}
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if steps, err = migrations.Plan(t.Context(), pool); err != nil || len(steps) > 0 {
		t.Errorf("after it: %+v, %v", steps, err)
	}
}
