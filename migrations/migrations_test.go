package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// newest is the version of the migrations in this program.
func newest(t *testing.T) int64 {
	t.Helper()
	s, err := migrations.Look(t.Context(), testenv.Database(t))
	if err != nil || len(s.Missing) > 0 || len(s.Applied) == 0 {
		t.Fatalf("a test database is at %+v, %v", s, err)
	}
	return s.Applied[len(s.Applied)-1]
}

// before is a database on the schema before this one.
func before(t *testing.T) string {
	t.Helper()
	url := testenv.EmptyURL(t)
	if err := migrations.UpTo(t.Context(), url, newest(t)-1); err != nil {
		t.Fatal(err)
	}
	return url
}

// TestProcessesMigrateAtOnce starts several on an empty database, some of them through a pooler when there is one.
func TestProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	direct := testenv.EmptyURL(t)
	urls := []string{direct, testenv.Pooled(t, direct)}
	all := make([]*testenv.Process, 6)
	for i := range all {
		all[i] = testenv.Program{Env: []string{"DATABASE_URL=" + urls[i%2]}}.Start(t, "migrate")
	}
	for _, p := range all {
		if code := p.Wait(); code != 0 || !strings.Contains(p.Log(), "schema version") {
			t.Errorf("ended with %d: %s", code, p.Log())
		}
	}
	conn, err := pgx.Connect(t.Context(), direct)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `select version_id from tactus.migrations where version_id > 0 order by id`)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	files, globErr := filepath.Glob("*.sql")
	if err := errors.Join(err, globErr); err != nil || len(applied) != len(files) || applied[len(applied)-1] != newest(t) {
		t.Errorf("applied %v, %v", applied, err)
	}
}

// TestMigratorKilled kills one that waits in the middle of its work: the next takes over when the lease has run out.
func TestMigratorKilled(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyURL(t)
	pool := testenv.Connect(t, url)
	program := testenv.Program{Env: []string{"DATABASE_URL=" + url}}
	if _, err := pool.Exec(t.Context(), `create schema tactus`); err != nil {
		t.Fatal(err)
	}
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), `create table tactus.schedules (in_the_way int)`); err != nil {
			return err
		}
		first := program.Start(t, "migrate")
		testenv.Eventually(t, "the migrator waits", func() error { return waitsForLock(t, pool) })
		first.Kill()
		return errors.New("out of the way")
	})
	if err == nil || err.Error() != "out of the way" {
		t.Fatal(err)
	}
	if code := program.Start(t, "migrate").Wait(); code != 0 {
		t.Fatalf("the next one ended with %d", code)
	}
	if err := migrations.Ready(t.Context(), pool); err != nil {
		t.Error(err)
	}
}

func waitsForLock(t *testing.T, pool *pgxpool.Pool) error {
	t.Helper()
	var waiting bool
	err := pool.QueryRow(t.Context(), `select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')`).Scan(&waiting)
	if err == nil && !waiting {
		err = errors.New("nobody waits for a lock")
	}
	return err
}

func TestNotReadyOnAnOldSchema(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyURL(t)
	pool := testenv.Connect(t, url)
	if err := migrations.Ready(t.Context(), pool); err == nil || !strings.Contains(err.Error(), "tactus migrate") {
		t.Errorf("an empty database: %v", err)
	}
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Ready(t.Context(), pool); err != nil {
		t.Errorf("migrated: %v", err)
	}
}

// TestRunsOnNeighbouringSchemas uses the program on the schema before its own, and on one that a later version has
// added to: a rolling upgrade has both.
func TestRunsOnNeighbouringSchemas(t *testing.T) {
	t.Parallel()
	t.Run("before", func(t *testing.T) {
		t.Parallel()
		use(t, testenv.Connect(t, before(t)))
	})
	t.Run("after", func(t *testing.T) {
		t.Parallel()
		pool := testenv.Database(t)
		for _, sql := range []string{
			`alter table tactus.schedules add column later text not null default 'x'`,
			`alter table tactus.outbox add column later text`,
			`alter table tactus.runs add column later jsonb`,
			`create table tactus.later (id bigint primary key)`,
			`insert into tactus.migrations (version_id, is_applied) select max(version_id) + 1, true from tactus.migrations`,
		} {
			if _, err := pool.Exec(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
		}
		use(t, pool)
	})
}

// use writes and reads as the program does.
func use(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	if err := migrations.Ready(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), domain.Definition{Name: "n", CronExpression: "* * * * *", TaskName: "t"}, "key", []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Merge(t.Context(), s.ID, 1, []byte(`{"description":"d"}`)); err != nil {
		t.Error(err)
	}
	if _, err := store.Trigger(t.Context(), s.ID); err != nil {
		t.Error(err)
	}
	if _, err := outbox.Maintain(t.Context(), pool, time.Now().AddDate(1, 0, 0), outbox.Retention{Runs: time.Hour, Keys: time.Hour}); err != nil {
		t.Error(err)
	}
	if err := store.Delete(t.Context(), s.ID, 0); err != nil {
		t.Error(err)
	}
}

// TestMigrateSaysWhoKeepsItWaiting has a role without any right hold the lock, until it was told of.
func TestMigrateSaysWhoKeepsItWaiting(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyURL(t)
	role, plain := testenv.Role(t, url)
	stranger, err := pgx.Connect(t.Context(), plain+"&application_name=stranger")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stranger.Exec(t.Context(), `select pg_advisory_lock(7461637475730001)`); err != nil {
		t.Fatal(err)
	}
	var said []string
	err = migrations.Up(t.Context(), url, func(text string) {
		said = append(said, text)
		if err := stranger.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf(`held by process %d of role %s, application "stranger"`, stranger.PgConn().PID(), role); len(said) != 1 || !strings.HasSuffix(said[0], want) {
		t.Errorf("%q, want %q", said, want)
	}
}
