package api_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// serveOn serves the API over a database that the test can break.
func serveOn(t *testing.T, url string) service {
	t.Helper()
	pool, err := outbox.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	t.Cleanup(func() { server.Close(); pool.Close() })
	return service{server.URL + "/api/v1", pool}
}

// refused fails unless a request is answered with 503 and this code, and a time to try again.
func (s service) refused(t *testing.T, code, method, path, body string) {
	t.Helper()
	a := s.do(t, method, path, body).want(t, 503)
	if a.member(t, "code") != code || a.header.Get("Retry-After") == "" || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %v %s", method, path, a.header, a.body)
	}
	if strings.Contains(a.body, "127.0.0.1") || strings.Contains(a.body, "SQLSTATE") {
		t.Errorf("the answer tells insides: %s", a.body)
	}
}

// recovered waits until a request is answered as before the outage.
func (s service) recovered(t *testing.T, method, path, body string, status int) {
	t.Helper()
	testenv.Eventually(t, "the API has recovered", func() error {
		if a := s.do(t, method, path, body); a.status != status {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
}

func TestPostgresDown(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	s := serveOn(t, url)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the processes of the server have ended", func() error {
		if a := s.do(t, "GET", "/schedules", ""); a.status != 503 {
			return fmt.Errorf("%d %s", a.status, a.body)
		}
		return nil
	})
	for _, c := range [][3]string{
		{"GET", "/schedules", ""},
		{"POST", "/schedules", strings.Replace(minutely, `"n"`, `"m"`, 1)},
		{"GET", "/events", ""},
		{"POST", "/schedules/0192f0c1-2345-7abc-8def-0123456789ab/trigger", ""},
	} {
		s.refused(t, "unavailable", c[0], c[1], c[2])
	}
	s.do(t, "POST", "/schedules", `{}`).want(t, 422) // an invalid body is refused without a database
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.recovered(t, "GET", "/schedules?name=n", "", 200)
	if total := s.do(t, "GET", "/schedules", "").want(t, 200).member(t, "total"); total != "1" {
		t.Errorf("%s schedules after the outage", total)
	}
}

// TestPostgresSilent drops what PostgreSQL answers. The request is answered with an error after a while, and later ones
// succeed when the network is back.
func TestPostgresSilent(t *testing.T) {
	t.Parallel()
	proxy, through := testenv.Through(t, testenv.DirectURL(t))
	s := serveOn(t, through)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	proxy.BlackHole(testenv.ToClient)
	s.refused(t, "unavailable", "GET", "/schedules", "")
	proxy.Heal()
	s.recovered(t, "GET", "/schedules", "", 200)
}

func TestPostgresReadOnly(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	s := serveOn(t, url)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	set := func(value string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), "alter system set default_transaction_read_only = "+value); err != nil {
			t.Fatal(err)
		}
		if _, err := s.pool.Exec(t.Context(), "select pg_reload_conf()"); err != nil {
			t.Fatal(err)
		}
	}
	set("on")
	id := s.do(t, "GET", "/schedules", "").want(t, 200).member(t, "schedules.0.id")
	testenv.Eventually(t, "the server takes no changes", func() error {
		if a := s.do(t, "PATCH", "/schedules/"+id, `{"description":"d"}`); a.status != 503 {
			return errors.New(a.body)
		}
		return nil
	})
	other := strings.Replace(minutely, `"n"`, `"m"`, 1)
	for _, c := range [][3]string{{"POST", "/schedules", other}, {"DELETE", "/schedules/" + id, ""}, {"POST", "/schedules/" + id + "/trigger", ""}, {"POST", "/schedules/" + id + "/toggle", ""}} {
		s.refused(t, "database_read_only", c[0], c[1], c[2])
	}
	s.do(t, "GET", "/schedules/"+id, "").want(t, 200)
	set("off")
	s.recovered(t, "PUT", "/schedules/by-name/m", `{"interval_seconds":5,"task_name":"t"}`, 201)
	if err := server.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPostgresBusy has no connection left for the API.
func TestPostgresBusy(t *testing.T) {
	t.Parallel()
	_, url := testenv.Postgres(t, map[string]string{"max_connections": "4", "superuser_reserved_connections": "0", "max_wal_senders": "0"})
	s := serveOn(t, url)
	var held []*pgxpool.Pool
	testenv.Eventually(t, "all connections are taken", func() error { // one that was closed may not have ended yet
		pool := testenv.Connect(t, url)
		if err := pool.Ping(t.Context()); err != nil {
			pool.Close()
		} else {
			held = append(held, pool)
		}
		if len(held) < 4 {
			return fmt.Errorf("%d of 4 are", len(held))
		}
		return nil
	})
	s.refused(t, "database_busy", "GET", "/schedules", "")
	for _, pool := range held {
		pool.Close()
	}
	s.recovered(t, "GET", "/schedules", "", 200)
}

// TestUnmigratedDatabase has a database in which nobody has run tactus migrate: the answers say so.
func TestUnmigratedDatabase(t *testing.T) {
	t.Parallel()
	s := serveOn(t, testenv.EmptyURL(t))
	for _, c := range [][3]string{{"GET", "/schedules", ""}, {"POST", "/schedules", minutely}, {"GET", "/events", ""}} {
		a := s.do(t, c[0], c[1], c[2]).want(t, 503)
		if a.member(t, "code") != "unavailable" || !strings.Contains(a.member(t, "detail"), "tactus migrate") {
			t.Errorf("%s %s: %s", c[0], c[1], a.body)
		}
	}
}
