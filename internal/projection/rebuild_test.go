package projection_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

type world struct {
	pool  *pgxpool.Pool
	store *outbox.Store
}

// filled returns a world with four schedules of three versions each; the last one is deleted.
func filled(t *testing.T) world {
	t.Helper()
	pool := testenv.Database(t)
	w := world{pool, outbox.NewStore(pool, "", handover.Limits{}.Check)}
	for _, name := range []string{"a", "b", "c", "d"} {
		for i := range 3 {
			w.put(t, name, i)
		}
	}
	d, err := outbox.GetByName(t.Context(), pool, "d")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.Delete(t.Context(), d.ID, 0); err != nil {
		t.Fatal(err)
	}
	return w
}

func definition(name string, i int) domain.Definition {
	return domain.Definition{
		Name: name, CronExpression: "*/5 * * * *", TaskName: "app.task", Description: fmt.Sprint("<change> ", i), Tags: []string{"x"},
		Kwargs: []byte(`{"big":12345678901234567890}`),
	}
}

func (w world) put(t *testing.T, name string, i int) {
	t.Helper()
	if _, _, err := w.store.Put(t.Context(), definition(name, i)); err != nil {
		t.Fatal(err)
	}
}

func (w world) sql(t *testing.T, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// rows returns the rows of the table as text, without the columns that every change moves.
func (w world) rows(t *testing.T) (all []string) {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `select (to_jsonb(s) - '{version,effective_from,updated_at}'::text[])::text from tactus.schedules s order by id`)
	if err != nil {
		t.Fatal(err)
	}
	if all, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		t.Fatal(err)
	}
	return all
}

func (w world) rebuild(t *testing.T, swap bool) (told []string, r projection.Result) {
	t.Helper()
	r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: swap, Tell: func(d projection.Difference) error {
		told = append(told, d.What...)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return told, r
}

func (w world) count(t *testing.T, sql string) (n int) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestSpoiledIsPutRight spoils the table, and checks that a rebuild finds and corrects it, with one event for each row.
func TestSpoiledIsPutRight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil []string
		want  []string // beginnings of the differences
	}{
		"nothing":          {[]string{`select 1`}, nil},
		"a changed column": {[]string{`update tactus.schedules set policy = replace(policy, '60', '61') where name = 'a'`}, []string{"policy is "}},
		"times that no program can say": {[]string{
			`update tactus.schedules set effective_from = 'infinity', created_at = '-infinity' where name = 'a'`,
			`update tactus.schedules set updated_at = '58880-01-01 00:00:00+00', anchor = '-infinity' where name = 'b'`,
		}, []string{"effective_from is 9999-12-31T23:59:59.999999Z, want ", "created_at is 0001-01-01T00:00:00Z, want ", "anchor is 0001-01-01T00:00:00Z, want ", "updated_at is 9999-12-31T23:59:59.999999Z, want "}},
		"an older version":       {[]string{`update tactus.schedules set version = 2 where name = 'a'`}, []string{"version is 2, want 3"}},
		"a row that is gone":     {[]string{`delete from tactus.schedules where name = 'b'`}, []string{"there are events and no row"}},
		"a tombstone that lives": {[]string{`update tactus.schedules set deleted_at = null where name = 'd'`}, []string{"deleted_at is null, want "}},
		"two have each other's names": {[]string{
			`update tactus.schedules set name = 'x' where name = 'a'`, `update tactus.schedules set name = 'a' where name = 'b'`,
			`update tactus.schedules set name = 'b' where name = 'x'`,
		}, []string{"name is b, want a", "name is a, want b"}},
		"a row without events":   {[]string{`insert into tactus.schedules select gen_random_uuid(), 'made up', version, enabled, invalid_reason, managed_by, trigger, anchor, policy, effective_from, trigger_set_at, created_at, updated_at, deleted_at, category, tags, definition, task from tactus.schedules where name = 'a'`}, []string{"there is a row and no event"}},
		"all rows that are gone": {[]string{`delete from tactus.schedules`}, slices.Repeat([]string{"there are events and no row"}, 4)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := filled(t)
			before := w.rows(t)
			for _, sql := range c.spoil {
				w.sql(t, sql)
			}
			spoiled, strays := w.rows(t), w.count(t, `select count(*) from tactus.schedules where name = 'made up'`)
			told, r := w.rebuild(t, false)
			if !slices.EqualFunc(told, c.want, strings.HasPrefix) || (len(c.want) == 0) != (r.Different == 0) {
				t.Errorf("found %q, want %q; %+v", told, c.want, r)
			}
			if !slices.Equal(w.rows(t), spoiled) {
				t.Error("a rebuild without --swap has written")
			}
			if _, r = w.rebuild(t, true); r.Replaced != r.Different || r.Left != 0 {
				t.Errorf("%+v", r)
			}
			if got := w.rows(t); !slices.Equal(got, before) {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(before, "\n"))
			}
			if told, again := w.rebuild(t, false); again.Different != 0 {
				t.Errorf("after the swap a rebuild still finds %q", told)
			}
			if n := w.count(t, `select count(*) from pg_tables where tablename like 'schedules_rebuilt%'`); n != 0 {
				t.Errorf("%d second tables are left", n)
			}
			if n := w.count(t, `select count(*) from tactus.outbox where topic = 'schedule'`); n != 13+int(r.Different)-strays {
				t.Errorf("%d events for %d corrected rows", n, r.Different)
			}
		})
	}
}

// TestReplacedIsKept finds the old rows in tactus.schedules_replaced.
func TestReplacedIsKept(t *testing.T) {
	t.Parallel()
	w := filled(t)
	w.sql(t, `update tactus.schedules set policy = 'spoiled' where name = 'a'`)
	w.rebuild(t, true)
	if n := w.count(t, `select count(*) from tactus.schedules_replaced where schedule->>'policy' = 'spoiled' and version = 3`); n != 1 {
		t.Errorf("%d old rows are kept", n)
	}
	if err := w.want(t, 0, openTypes); err != nil {
		t.Errorf("others may use the type of the table: %v", err)
	}
}

// TestUnreadableIsLeft has an event that cannot be decoded: the rebuild reports its row and leaves it.
func TestUnreadableIsLeft(t *testing.T) {
	t.Parallel()
	w := filled(t)
	before := w.rows(t)
	w.sql(t, `update tactus.outbox set data = '{"schema": 9}' where position = 3`)
	told, r := w.rebuild(t, true)
	if r.Different != 1 || r.Left != 1 || len(told) != 1 || !strings.HasPrefix(told[0], "it cannot be rebuilt: ") {
		t.Errorf("%q, %+v", told, r)
	}
	if !slices.Equal(w.rows(t), before) {
		t.Error("the row was changed")
	}
}

// TestBeatReadsAgain has a beat that loaded a wrong trigger: the rebuild's events make it read the right one.
func TestBeatReadsAgain(t *testing.T) {
	t.Parallel()
	w := filled(t)
	if _, _, err := w.store.Put(t.Context(), domain.Definition{Name: "each second", IntervalSeconds: 1, TaskName: "app.task"}); err != nil {
		t.Fatal(err)
	}
	w.sql(t, `update tactus.schedules set trigger = '{"every":3600}' where name = 'each second'`)
	b, err := beat.New(w.pool, nil, beat.Config{Name: "a", MinResync: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	testenv.Eventually(t, "the beat leads", func() error { return w.want(t, 1, `select count(*) from tactus.leases where holder like 'a/%'`) })
	if _, r := w.rebuild(t, true); r.Replaced != 1 {
		t.Errorf("%+v", r)
	}
	testenv.Eventually(t, "the beat fires each second", func() error { return w.want(t, 1, `select least(count(*), 1) from tactus.runs`) })
	stop()
	running.Wait()
}

func (w world) want(t *testing.T, want int, sql string) error {
	t.Helper()
	if n := w.count(t, sql); n != want {
		return fmt.Errorf("%s: %d, want %d", sql, n, want)
	}
	return nil
}

// TestSwapLosesNoWrite rebuilds a spoiled table again and again while writers update, create, rename and delete.
func TestSwapLosesNoWrite(t *testing.T) {
	t.Parallel()
	w := filled(t)
	var writers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for n := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				w.put(t, fmt.Sprint("schedule ", n, i%5), i)
				w.put(t, "shared", i)
			}
		})
	}
	replaced := int64(0)
	for i := 0; i < 20 || replaced == 0; i++ {
		w.sql(t, `update tactus.schedules set category = 'spoiled', task = '{}' where random() < 0.5`)
		_, r := w.rebuild(t, true)
		replaced += r.Replaced
	}
	stop()
	writers.Wait()
	w.rebuild(t, true)
	if told, r := w.rebuild(t, false); r.Different != 0 {
		t.Errorf("%q", told)
	}
	if n := w.count(t, `select count(*) from (select aggregate_id, version from tactus.outbox where topic = 'schedule' group by 1, 2 having count(*) > 1) twice`); n != 0 {
		t.Errorf("%d versions were written twice, so a write was lost", n)
	}
	if n := w.count(t, `select count(*) from (select version - lag(version, 1, 0::bigint) over (partition by aggregate_id order by position) as step from tactus.outbox where topic = 'schedule') s where step <> 1`); n != 0 {
		t.Errorf("%d versions do not follow the one before by one", n)
	}
	t.Logf("%d rows corrected during %d changes", replaced, w.count(t, `select count(*) from tactus.outbox`))
}
