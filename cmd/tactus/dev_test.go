package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// dev starts "tactus dev" on a folder, and waits until it is ready.
func dev(t *testing.T, state string, env ...string) *testenv.Process {
	t.Helper()
	p := testenv.Program{Env: env}.Start(t, "dev", "--state-dir", state, "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	return p
}

// stateDir is a folder that the servers can enter when the test is run by root.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "state")
}

// TestDevAsANewcomer does what the banner says, stops dev with Ctrl-C, starts it again, and finds everything again.
func TestDevAsANewcomer(t *testing.T) {
	t.Parallel()
	state := stateDir(t)
	p := dev(t, state)
	banner := p.AwaitLog(`(?s)tactus is running.*Ctrl-C`)[0]
	env := readEnv(t, filepath.Join(state, "dev.env"))
	if env["TACTUS_URL"] != p.URL() || env["CELERY_BROKER_URL"] != env["REDIS_URL"] || env["CELERY_RESULT_BACKEND"] != env["REDIS_URL"] {
		t.Errorf("dev.env: %v", env)
	}
	for _, said := range []string{
		p.URL() + "/api/v1", secretOf(env["DATABASE_URL"]).String(),
		secretOf(env["REDIS_URL"]).String(), state,
	} {
		if !strings.Contains(banner, said) {
			t.Errorf("the banner does not tell %s:\n%s", said, banner)
		}
	}
	hasPlainRole(t, env["DATABASE_URL"])
	if strings.Contains(p.Log(), "superuser") {
		t.Errorf("it speaks of a superuser: %s", p.Log())
	}
	if status, body := curl(t, banner); status != http.StatusCreated {
		t.Errorf("the line to try: %d %s", status, body)
	}
	if err := testenv.Client(t, env["REDIS_URL"]).Set(t.Context(), "mine", "kept", 0).Err(); err != nil {
		t.Fatal(err)
	}
	postgres, redis := serverPIDs(t, state, env["REDIS_URL"])
	p.Signal(syscall.SIGINT)
	if code := p.Wait(); code != exitOK {
		t.Errorf("Ctrl-C: exit code %d: %s", code, p.Log())
	}
	for _, pid := range []int{postgres, redis} {
		if runs(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	log, err := os.ReadFile(filepath.Join(state, "postgres", "postgres.log"))
	if err != nil || !strings.Contains(string(log), "database system is shut down") {
		t.Errorf("PostgreSQL was not shut down: %v %s", err, log)
	}

	p = dev(t, state)
	if status, body := get(t, p.URL()+"/api/v1/schedules?name=minutely"); status != http.StatusOK ||
		!strings.Contains(body, `"total":1`) {
		t.Errorf("after a restart: %d %s", status, body)
	}
	env = readEnv(t, filepath.Join(state, "dev.env"))
	if kept, err := testenv.Client(t, env["REDIS_URL"]).Get(t.Context(), "mine").Result(); err != nil ||
		kept != "kept" {
		t.Errorf("Redis has %q, %v", kept, err)
	}
}

// curl sends what the line in the banner sends.
func curl(t *testing.T, banner string) (status int, body string) {
	t.Helper()
	line := regexp.MustCompile(`curl -X (\S+) (\S+) -d '([^']*)'`).FindStringSubmatch(banner)
	if line == nil {
		t.Fatalf("there is no line to try in %s", banner)
	}
	request, err := http.NewRequestWithContext(t.Context(), line[1], line[2], strings.NewReader(line[3]))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded") // the type that curl -d sends
	return send(t, request)
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return send(t, request)
}

func send(t *testing.T, request *http.Request) (status int, body string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = value
	}
	return env
}

// serverPIDs returns the process ids of the servers that dev has started.
func serverPIDs(t *testing.T, state, redisURL string) (postgres, redis int) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(state, "postgres", "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := testenv.Client(t, redisURL).Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	second := regexp.MustCompile(`process_id:(\d+)`).FindStringSubmatch(info)
	if postgres, err = strconv.Atoi(first); err != nil || second == nil {
		t.Fatalf("process ids %q, %v, %v", first, second, err)
	}
	if redis, err = strconv.Atoi(second[1]); err != nil {
		t.Fatal(err)
	}
	return postgres, redis
}

func runs(pid int) bool { return syscall.Kill(pid, 0) == nil }

// hasPlainRole makes a table without naming a schema, as a service does, and checks that the table is in the schema
// public. The role must not be a superuser.
func hasPlainRole(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var schema string
	var super bool
	_, err = conn.Exec(t.Context(), `create table services_own (id int)`)
	if err == nil {
		err = conn.QueryRow(t.Context(),
			`select relnamespace::regnamespace, rolsuper from pg_class, pg_roles
				where pg_class.oid = 'services_own'::regclass and rolname = current_user`).Scan(&schema, &super)
	}
	if err != nil || schema != "public" || super {
		t.Errorf("a service's table is in the schema %s, superuser %v, %v", schema, super, err)
	}
}

// TestDevKilledLeavesNoChild kills dev as a crash does, and starts it again on the same data.
func TestDevKilledLeavesNoChild(t *testing.T) {
	t.Parallel()
	state := stateDir(t)
	p := dev(t, state)
	curl(t, p.AwaitLog(`(?s)tactus is running.*Ctrl-C`)[0])
	postgres, redis := serverPIDs(t, state, readEnv(t, filepath.Join(state, "dev.env"))["REDIS_URL"])
	p.Kill()
	testenv.Eventually(t, "no child is left", func() error {
		if runs(postgres) || runs(redis) {
			return fmt.Errorf("PostgreSQL runs: %v, Redis runs: %v", runs(postgres), runs(redis))
		}
		return nil
	})
	p = dev(t, state)
	if status, body := get(t, p.URL()+"/api/v1/schedules?name=minutely"); status != http.StatusOK ||
		!strings.Contains(body, `"total":1`) {
		t.Errorf("after the crash: %d %s", status, body)
	}
}

// TestDevOnGivenServers uses the servers whose URLs are set, and starts none.
func TestDevOnGivenServers(t *testing.T) {
	t.Parallel()
	state, database := stateDir(t), testenv.DirectURL(t)
	p := dev(t, state, "DATABASE_URL="+database, "REDIS_URL="+testenv.RedisURL(t))
	curl(t, p.AwaitLog(`(?s)tactus is running.*Ctrl-C`)[0])
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if !strings.Contains(p.Log(), "tactus is a superuser") {
		t.Error("it does not say that it was given a superuser")
	}
	var n int
	if err := conn.QueryRow(t.Context(),
		`select count(*) from tactus.schedules where name = 'minutely'`).Scan(&n); err != nil || n != 1 {
		t.Errorf("%d schedules in the given database, %v", n, err)
	}
	for _, name := range []string{"postgres", "redis"} {
		if _, err := os.Stat(filepath.Join(state, name)); !os.IsNotExist(err) {
			t.Errorf("a %s was started: %v", name, err)
		}
	}
	second := testenv.Program{}.Start(t, "dev", "--state-dir", state, "--http-addr", "127.0.0.1:0")
	if code := second.Wait(); code != exitUsage || !strings.Contains(second.Log(), "TACTUS_STATE_DIR") {
		t.Errorf("a second one on the same folder: exit code %d: %s", code, second.Log())
	}
	if p.HasEnded() {
		t.Error("the first one has ended")
	}
}

// TestBannerTellsOfKeys checks that the banner has the commands that make a key and send it, if callers may use keys.
func TestBannerTellsOfKeys(t *testing.T) {
	t.Parallel()
	for auth, want := range map[string]bool{"": false, "none": false, "keys": true, "proxy,keys": true, "oidc": false} {
		var out strings.Builder
		devEnv{url: "http://127.0.0.1:1"}.banner(&out, "/state", auth)
		told := strings.Contains(out.String(), "tactus key create me --role admin") &&
			strings.Contains(out.String(), `/api/v1/schedules -H "Authorization: Bearer $TACTUS_TOKEN" -d`)
		if told != want || strings.Contains(out.String(), "%!") {
			t.Errorf("with %q:\n%s", auth, out.String())
		}
	}
}
