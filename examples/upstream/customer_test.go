package upstream_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/examples/upstream"
	"github.com/tactus-dev/tactus/migrations"
	"github.com/tactus-dev/tactus/outbox"
)

// databaseURL returns DATABASE_URL, or the URL of a "tactus dev" that the test starts, as a developer would.
func databaseURL(t *testing.T) string {
	t.Helper()
	if url := os.Getenv("DATABASE_URL"); url != "" {
		return url
	}
	dir, err := os.MkdirTemp("", "upstream-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // as root, the servers run as another user
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	tactus := filepath.Join(dir, "tactus")
	build := exec.Command("go", "build", "-trimpath", "-o", tactus, "./cmd/tactus")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build tactus: %v: %s", err, out)
	}
	dev := exec.Command(tactus, "dev", "--state-dir", filepath.Join(dir, "state"), "--http-addr", "127.0.0.1:0")
	dev.Stdout, dev.Stderr = t.Output(), t.Output()
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(dev.Process.Signal(os.Interrupt), dev.Wait()); err != nil {
			t.Error(err)
		}
	})
	return awaitURL(t, filepath.Join(dir, "state", "dev.env"))
}

var databaseLine = regexp.MustCompile(`(?m)^DATABASE_URL=(.+)$`)

func awaitURL(t *testing.T, path string) string {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if found := databaseLine.FindStringSubmatch(string(text)); found != nil && strings.Contains(string(text), "TACTUS_URL=") {
			return found[1]
		}
	}
	t.Fatal("tactus dev is not ready in time")
	return ""
}

func agree(upstream.Customer) error { return nil }

func TestSignUp(t *testing.T) {
	ctx := t.Context()
	url := databaseURL(t)
	if err := migrations.Up(ctx, url); err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, upstream.CreateTable); err != nil {
		t.Fatal(err)
	}
	name := "Ada " + outbox.NewID().String() // the database may have other rows

	t.Run("a rollback leaves neither", func(t *testing.T) {
		var written upstream.Customer
		_, err := upstream.SignUp(ctx, pool, name, "0 7 * * *", "Europe/London", func(c upstream.Customer) error {
			written = c
			return upstream.ErrRefused
		})
		if !errors.Is(err, upstream.ErrRefused) || written.ID == 0 {
			t.Fatalf("%+v, %v", written, err)
		}
		left(t, ctx, pool, written, 0)
	})
	var first upstream.Customer
	t.Run("a commit leaves both", func(t *testing.T) {
		if first, err = upstream.SignUp(ctx, pool, name, "0 7 * * *", "Europe/London", agree); err != nil {
			t.Fatal(err)
		}
		left(t, ctx, pool, first, 1)
	})
	t.Run("a taken name does not abort the transaction", func(t *testing.T) {
		second, err := upstream.SignUp(ctx, pool, name, "0 8 * * *", "Europe/London", agree)
		if err != nil || second.Report == first.Report {
			t.Fatalf("%+v, %v", second, err)
		}
		left(t, ctx, pool, first, 1)
		left(t, ctx, pool, second, 1)
	})
	t.Run("what is wrong with a definition names the member", func(t *testing.T) {
		_, err := upstream.SignUp(ctx, pool, "Bob "+name, "61 * * * *", "EST", agree)
		if !errors.Is(err, &domain.Error{Code: "cron_syntax"}) || !errors.Is(err, &domain.Error{Code: "timezone_abbreviation"}) {
			t.Errorf("%v", err)
		}
	})
}

const count = `
select (select count(*) from customers where id = $1 and report = $2),
    (select count(*) from tactus.schedules where name = $2),
    (select count(*) from tactus.outbox where topic = 'schedule' and data->>'name' = $2)`

// left checks the number of a customer's rows, of the schedules and of their events.
func left(t *testing.T, ctx context.Context, pool *pgxpool.Pool, c upstream.Customer, want int) {
	t.Helper()
	var customers, schedules, events int
	if err := pool.QueryRow(ctx, count, c.ID, c.Report).Scan(&customers, &schedules, &events); err != nil {
		t.Fatal(err)
	}
	if customers != want || schedules != want || events != want {
		t.Errorf("%s: %d customers, %d schedules, %d events, want %d of each", c.Name, customers, schedules, events, want)
	}
}
