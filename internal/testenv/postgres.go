package testenv

import (
	"context"
	"fmt"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

const template = "tactus_template"

// shared is the PostgreSQL of this process, with the migrated template in it.
var shared = sync.OnceValues(func() (*sharedPostgres, error) {
	ctx := context.Background()
	direct := os.Getenv("TACTUS_TEST_DATABASE_URL")
	if direct == "" {
		cfg, err := serverConfig(unqualified(nil))
		if err != nil {
			return nil, err
		}
		server, err := startPostgres(ctx, cfg)
		if err != nil {
			return nil, err
		}
		onClose(server.Stop)
		direct = server.URL("postgres")
	}
	s := &sharedPostgres{direct: direct, template: fmt.Sprintf("%s_%d", template, os.Getpid())}
	if err := s.choose(ctx); err != nil {
		return nil, err
	}
	if err := s.execute(ctx, "create database "+s.template); err != nil {
		return nil, err
	}
	onClose(func(ctx context.Context) error { return s.execute(ctx, "drop database "+s.template) })
	url, err := s.url(s.template)
	if err != nil {
		return nil, err
	}
	return s, migrations.Up(ctx, url)
})

// unqualified adds a search_path without the schema tactus, which is in it by default because the user has the same
// name: a statement that does not name the schema shall fail here, as it would for another user.
func unqualified(settings map[string]string) map[string]string {
	all := map[string]string{"search_path": "public"}
	maps.Copy(all, settings)
	return all
}

type sharedPostgres struct {
	direct   string
	template string
	strategy string // of cloning
	clone    sync.Mutex
}

// choose chooses how databases are cloned: by copying files. PostgreSQL 15 and newer copy through the write-ahead log
// unless told otherwise, which takes twice the processor time. Older versions know no other way than files.
func (s *sharedPostgres) choose(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.direct)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var version int
	if err := conn.QueryRow(ctx, `select current_setting('server_version_num')::int`).Scan(&version); err != nil {
		return err
	}
	if version >= 150_000 {
		s.strategy = " strategy file_copy"
	}
	return nil
}

func (s *sharedPostgres) execute(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.direct)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

func (s *sharedPostgres) url(database string) (string, error) {
	c, err := pgx.ParseConfig(s.direct)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%s?sslmode=disable", c.User, c.Password, c.Host, c.Port, database), nil
}

var databases atomic.Int64

// DirectURL makes a migrated database for t and names it, never through a pooler: for LISTEN and for admin work.
func DirectURL(t testing.TB) string {
	t.Helper()
	return cloneURL(t, func(s *sharedPostgres) string { return s.template })
}

// EmptyURL makes a database for t with nothing in it, not even the schema, and names it as DirectURL does.
func EmptyURL(t testing.TB) string {
	t.Helper()
	return cloneURL(t, func(*sharedPostgres) string { return "template0" })
}

func cloneURL(t testing.TB, template func(*sharedPostgres) string) string {
	t.Helper()
	url, drop, err := clone(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := drop(); err != nil {
			t.Errorf("drop the database: %v", err)
		}
	})
	return url
}

func clone(ctx context.Context, template func(*sharedPostgres) string) (url string, drop func() error, err error) {
	s, err := shared()
	if err != nil {
		return "", nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	s.clone.Lock() // a template can be cloned by one session at a time
	err = s.execute(ctx, fmt.Sprintf("create database %s template %s", name, template(s))+s.strategy)
	s.clone.Unlock()
	if err != nil {
		return "", nil, fmt.Errorf("make a database: %w", err)
	}
	url, err = s.url(name)
	return url, func() error { return s.execute(context.Background(), "drop database "+name+" with (force)") }, err
}

// ExampleURL makes a migrated database for an example, which has no test to fail: what goes wrong is a panic.
func ExampleURL() (url string, drop func()) {
	url, end, err := clone(context.Background(), func(s *sharedPostgres) string { return s.template })
	if err != nil {
		panic(err)
	}
	return url, func() {
		if err := end(); err != nil {
			panic(err)
		}
	}
}

// ViaPooler reports whether databases are reached through PgBouncer in transaction mode.
func ViaPooler() bool { return os.Getenv("TACTUS_TEST_VIA_PGBOUNCER") == "1" }

// pooler is the PgBouncer of this process, in front of the shared PostgreSQL.
var pooler = sync.OnceValues(func() (*servers.PgBouncer, error) {
	b, err := startPooler(context.Background(), "", nil)
	if err == nil {
		onClose(b.Stop)
	}
	return b, err
})

func startPooler(ctx context.Context, suite string, settings map[string]string) (*servers.PgBouncer, error) {
	s, err := shared()
	if err != nil {
		return nil, err
	}
	cfg, err := serverConfig(settings)
	if err != nil {
		return nil, err
	}
	cfg.Suite = suite
	return servers.StartPgBouncer(ctx, s.direct, cfg)
}

// Pooled names the database of a direct URL as it is reached in this run of the tests.
func Pooled(t testing.TB, direct string) string {
	t.Helper()
	if !ViaPooler() {
		return direct
	}
	b, err := pooler()
	if err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
	return b.URL(databaseOf(t, direct))
}

// PoolerURL starts a pooler for t alone, of a suite and with settings, and names the database of a direct URL through
// it.
func PoolerURL(t testing.TB, direct, suite string, settings map[string]string) string {
	t.Helper()
	b, err := startPooler(t.Context(), suite, settings)
	if err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b.URL(databaseOf(t, direct))
}

// PooledApart is Pooled through a pooler of t's own, for tests that kill processes: PgBouncer 1.18 ends ("bad client
// state") when the sender of a cancel request is killed. As its service manager does, this starts it again.
func PooledApart(t testing.TB, direct string) string {
	t.Helper()
	if !ViaPooler() {
		return direct
	}
	b, err := startPooler(t.Context(), "", nil)
	if err != nil {
		t.Fatalf("start PgBouncer: %v", err)
	}
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-stop:
				stopped <- b.Stop(context.Background())
				return
			case <-b.Ended():
				if err := b.Start(context.Background()); err != nil {
					<-stop
					stopped <- err
					return
				}
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
	return b.URL(databaseOf(t, direct))
}

func databaseOf(t testing.TB, url string) string {
	t.Helper()
	c, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	return c.Database
}

// DatabaseURL makes a migrated database for t and names it.
func DatabaseURL(t testing.TB) string {
	t.Helper()
	return Pooled(t, DirectURL(t))
}

// Database makes a migrated database for t and connects to it.
func Database(t testing.TB) *pgxpool.Pool {
	t.Helper()
	return Connect(t, DatabaseURL(t))
}

// Connect opens a pool that ends with t.
func Connect(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := outbox.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// Postgres starts a PostgreSQL for t alone, with a migrated database in it, for tests that crash it.
func Postgres(t testing.TB, settings map[string]string) (server *servers.Postgres, url string) {
	t.Helper()
	server = PostgresServer(t, settings)
	if err := server.CreateDatabase(t.Context(), "tactus"); err != nil {
		t.Fatal(err)
	}
	url = server.URL("tactus")
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	return server, url
}

// PostgresServer starts a PostgreSQL for t alone, with nothing in it.
func PostgresServer(t testing.TB, settings map[string]string) *servers.Postgres {
	t.Helper()
	cfg, err := serverConfig(unqualified(settings))
	if err != nil {
		t.Fatal(err)
	}
	server, err := startPostgres(t.Context(), cfg)
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	t.Cleanup(func() { _ = server.Kill() }) // nothing in it is needed any more
	return server
}

// startPostgres starts the version of PostgreSQL that this run of the tests is about. One of another suite of Debian
// may be unable to load its compiler of statements, which needs that suite's libraries.
func startPostgres(ctx context.Context, cfg servers.Config) (*servers.Postgres, error) {
	cfg.Suite = os.Getenv("TACTUS_TEST_POSTGRES")
	if _, said := cfg.Settings["jit"]; cfg.Suite != "" && !said {
		settings := map[string]string{"jit": "off"}
		maps.Copy(settings, cfg.Settings)
		cfg.Settings = settings
	}
	return servers.StartPostgres(ctx, cfg)
}
