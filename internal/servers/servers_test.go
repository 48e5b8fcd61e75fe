package servers_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

func config(t *testing.T) servers.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "tactus-servers-")
	if err != nil {
		t.Fatal(err)
	}
	if err := servers.OwnDir(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // before PostgreSQL 15 a process writes statistics when the server itself has ended
		err := os.RemoveAll(dir)
		for end := time.Now().Add(time.Minute); err != nil && time.Now().Before(end); err = os.RemoveAll(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return servers.Config{Dir: filepath.Join(dir, "server"), Log: func(s string) { t.Log(s) }}
}

func TestPostgresKeepsItsDataThroughACrash(t *testing.T) {
	t.Parallel()
	for _, ignore := range []bool{false, true} {
		t.Run("from cache "+strconv.FormatBool(ignore), func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.IgnoreInstalled = ignore
			cfg.Durable = true
			p, err := servers.StartPostgres(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			query(t, p.URL("postgres"), "create table t as select 42 as answer")
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := query(t, p.URL("postgres"), "select answer from t"); got != "42" {
				t.Errorf("after the crash: %q", got)
			}
			if err := p.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// query runs one statement and returns the first column of its first row, as text.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(results[0].Rows) == 0 {
		return ""
	}
	return string(results[0].Rows[0][0])
}

func connect(t *testing.T, r *servers.Redis) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(r.URL(0))
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() }) // fails if the server is gone
	return client
}

func TestRedisStopsAndComesBackWithOrWithoutItsData(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	cfg.Durable = true
	r, err := servers.StartRedis(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Kill()
	client := connect(t, r)
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	restart := func(between func() error) string {
		t.Helper()
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := between(); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		value, err := client.Get(t.Context(), "k").Result()
		if err != nil && err != redis.Nil {
			t.Fatal(err)
		}
		return value
	}
	if got := restart(func() error { return nil }); got != "v" {
		t.Errorf("after a restart: %q", got)
	}
	if got := restart(r.Wipe); got != "" {
		t.Errorf("after a wipe: %q", got)
	}
}

func TestPgBouncerPools(t *testing.T) {
	t.Parallel()
	p, err := servers.StartPostgres(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	b, err := servers.StartPgBouncer(t.Context(), p.URL("postgres"), config(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Stop(context.Background())
	if got := query(t, b.URL("postgres"), "select 1 + 1"); got != "2" {
		t.Errorf("through the pooler: %q", got)
	}
}

// TestChildEndsWithItsParent kills a process that has started a server, and waits for the server to end.
func TestChildEndsWithItsParent(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	parent := exec.Command(os.Args[0], "-test.run=^TestParentProcess$")
	parent.Env = append(os.Environ(), "TACTUS_TEST_PARENT_DIR="+cfg.Dir)
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 64)
	n, err := out.Read(text)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the child is not running: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	for deadline := time.Now().Add(time.Minute); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d has outlived its parent", pid)
		}
	}
}

// TestParentProcess is the parent of TestChildEndsWithItsParent, in a process of its own.
func TestParentProcess(t *testing.T) {
	dir := os.Getenv("TACTUS_TEST_PARENT_DIR")
	if dir == "" {
		return
	}
	r, err := servers.StartRedis(t.Context(), servers.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString(strconv.Itoa(r.PID()) + "\n")
	<-t.Context().Done()
	select {}
}
