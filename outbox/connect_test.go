package outbox_test

import (
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestThroughPooler writes and reads through PgBouncer in transaction mode, by the URL that its users have, at once
// from more connections than the pooler has sessions: each statement meets sessions that do not know it.
func TestThroughPooler(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, suite string
		settings    map[string]string
		loses       bool
	}{
		{"of this machine", "", few(nil), true},
		{"1.24 that keeps statements", "trixie", few(map[string]string{"max_prepared_statements": "200"}), false},
		{"1.24 that keeps none", "trixie", few(map[string]string{"max_prepared_statements": "0"}), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if release, err := os.ReadFile("/etc/os-release"); c.suite != "" && (err != nil || !strings.Contains(string(release), "\nID=debian\n")) {
				t.Skip("only Debian has its other suites beside its own")
			}
			url := testenv.PoolerURL(t, testenv.DirectURL(t), c.suite, c.settings)
			pool := testenv.Connect(t, url)
			if failed := writeMany(t, pool); len(failed) > 0 {
				t.Errorf("%d writes failed, the first: %v", len(failed), failed[0])
			}
			if !c.loses {
				return
			}
			deceived, err := pgxpool.New(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer deceived.Close()
			if failed := writeMany(t, deceived); len(failed) == 0 {
				t.Error("prepared statements do no harm here: this test would not see them")
			}
		})
	}
}

// few settings make a pooler have fewer sessions than a pool has connections.
func few(settings map[string]string) map[string]string {
	all := map[string]string{"default_pool_size": "2"}
	maps.Copy(all, settings)
	return all
}

// writeMany has twenty writers change a schedule of their own twenty times each, and returns what failed.
func writeMany(t *testing.T, pool *pgxpool.Pool) (failed []error) {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for writer := range 20 {
		wg.Go(func() {
			for n := range 20 {
				err := outbox.InTx(t.Context(), pool, func(tx pgx.Tx) error {
					_, err := outbox.Put(t.Context(), tx, domain.Definition{
						Name: fmt.Sprintf("writer %d", writer), IntervalSeconds: float64(60 + n), TaskName: "t",
					})
					return err
				})
				if err == nil {
					_, err = outbox.Routes(t.Context(), pool)
				}
				if err != nil {
					mu.Lock()
					failed = append(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return failed
}

// TestPoolerComesLater puts a pooler between a pool and its server while the pool is in use.
func TestPoolerComesLater(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	pooled := testenv.PoolerURL(t, direct, "", nil)
	proxy, url := testenv.Through(t, direct)
	pool, err := outbox.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if failed := writeMany(t, pool); len(failed) > 0 {
		t.Fatal(failed[0])
	}
	proxy.Retarget(t, pooled)
	for range 100 { // as whoever writes tries again
		if err = pool.Ping(t.Context()); err == nil {
			break
		}
	}
	if failed := writeMany(t, pool); err != nil || len(failed) > 0 {
		t.Errorf("%v; %d writes failed: %v", err, len(failed), failed)
	}
}

// TestPoolerWithAnOpenSchema has everybody create functions in public, as up to PostgreSQL 14 everybody may. Behind a
// pooler tactus cannot leave public out of its statements' search_path: a function there whose arguments fit exactly
// goes before one of PostgreSQL's that takes any. Such a session is refused, until the role's search_path leaves public
// out.
func TestPoolerWithAnOpenSchema(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	config, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	other := config.Database + "_other"
	database := pgx.Identifier{config.Database}.Sanitize()
	testenv.Execute(t, direct, `create role `+other+` login`, `grant create on schema public to public`,
		`create function public.cardinality(text[]) returns int language plpgsql as $$ begin raise 'hostile'; end $$`,
		`create operator public.<<< (leftarg = uuid, rightarg = uuid, function = pg_catalog.uuid_lt)`,
		`create domain public.to_json as text`)
	t.Cleanup(func() { testenv.Execute(t, direct, `drop role `+other) })
	err = open(t, testenv.PoolerURL(t, direct, "", nil)).Ping(t.Context())
	if err == nil || !strings.Contains(err.Error(), "search_path") || !strings.Contains(err.Error(), "public") {
		t.Errorf("it is not refused: %v", err)
	}
	testenv.Execute(t, direct, `alter database `+database+` set search_path = pg_catalog`)
	if failed := writeMany(t, open(t, testenv.PoolerURL(t, direct, "", nil))); len(failed) > 0 {
		t.Error(failed[0])
	}
	testenv.Execute(t, direct, `alter database `+database+` reset search_path`, `revoke create on schema public from public`)
	for what, of := range map[string]string{
		"the function public.cardinality": `function public.cardinality(text[])`,
		"the operator public.<<<":         `operator public.<<< (uuid, uuid)`,
		"the type public.to_json":         `domain public.to_json`,
	} {
		testenv.Execute(t, direct, `alter `+of+` owner to `+other)
		err := open(t, testenv.PoolerURL(t, direct, "", nil)).Ping(t.Context())
		if err == nil || !strings.Contains(err.Error(), what+" of another role") || !strings.Contains(err.Error(), "set search_path = pg_catalog") {
			t.Errorf("%s left in public: %v", what, err)
		}
		testenv.Execute(t, direct, `alter `+of+` owner to `+pgx.Identifier{config.User}.Sanitize())
	}
	if err := open(t, testenv.PoolerURL(t, direct, "", nil)).Ping(t.Context()); err != nil {
		t.Errorf("nobody else may create there any more: %v", err)
	}
}

// open is how every process of tactus opens a database.
func open(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// TestFunctionsOfOthersAreNotCalled has somebody put functions into public whose arguments fit those of calls exactly,
// where PostgreSQL's own take any. A writer's sessions have public in their search_path.
func TestFunctionsOfOthersAreNotCalled(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	testenv.Execute(t, url,
		`create function public.format(text, text) returns text language plpgsql as $$ begin raise 'hostile'; end $$`,
		`create function public.unnest(text[]) returns setof text language plpgsql as $$ begin raise 'hostile'; end $$`,
		`create function public.json_build_object(text, text) returns json language plpgsql as $$ begin raise 'hostile'; end $$`,
		`create function public.hostile(uuid[], uuid) returns uuid[] language plpgsql as $$ begin raise 'hostile'; end $$`,
		`create aggregate public.array_agg(uuid) (sfunc = public.hostile, stype = uuid[])`)
	pool := testenv.Connect(t, url)
	if failed := writeMany(t, pool); len(failed) > 0 {
		t.Error(failed[0])
	}
	err := outbox.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		_, err := outbox.Put(t.Context(), tx, domain.Definition{Name: "to a stream", IntervalSeconds: 60, TaskName: "t", Stream: "jobs"})
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := outbox.PutRoute(t.Context(), pool, domain.Route{Pattern: "a.*", Queue: "q"}, "", nil); err != nil {
		t.Error(err)
	}
	if _, err := outbox.RoutesOf(t.Context(), pool, []string{"a.b"}); err != nil {
		t.Error(err)
	}
}
