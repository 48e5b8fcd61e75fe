package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestKeys makes the first key in the database, and uses it for everything else over HTTP.
func TestKeys(t *testing.T) {
	t.Parallel()
	database := testenv.DatabaseURL(t)
	first := tactus(t, "key", "create", "alice", "--role=admin", "-o", "json", "--database-url="+database)
	var made struct{ ID, Key, CreatedBy string }
	if err := json.Unmarshal([]byte(first.out), &made); err != nil || first.code != exitOK || made.ID == "" || made.Key == "" {
		t.Fatalf("%+v: %v", first, err)
	}
	p := testenv.Program{Env: []string{"DATABASE_URL=" + database, "TACTUS_HTTP_ADDR=0.0.0.0:0", "TACTUS_AUTH=keys"}}.Start(t, "api")
	url := strings.NewReplacer("[::]", "127.0.0.1", "0.0.0.0", "127.0.0.1").Replace(p.URL())
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/openapi.json": 200, "/docs": 200, "/metrics": 401, "/api/v1/schedules": 401, "/api/v1/keys": 401,
	} {
		if status, body := get(t, url+path); status != want {
			t.Errorf("%s without a key: %d %s", path, status, body)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+made.Key)
	if status, body := send(t, request); status != 200 || !strings.Contains(body, "tactus_requests_limited_total") {
		t.Errorf("/metrics: %d", status)
	}

	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(made.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := func(args ...string) said {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), testenv.Binary(t, ""), args...)
		cmd.Env = []string{"TACTUS_URL=" + url, "TACTUS_TOKEN_FILE=" + file}
		var out, problems bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &problems
		_ = cmd.Run() // its exit code says it
		return said{cmd.ProcessState.ExitCode(), out.String(), problems.String()}
	}
	health := exec.CommandContext(t.Context(), testenv.Binary(t, ""), "health")
	health.Env = []string{"TACTUS_URL=" + url}
	if told, err := health.CombinedOutput(); err != nil || string(told) != "ready\n" {
		t.Errorf("the health check of an image, without a key: %s, %v", told, err)
	}
	second := program("key", "create", "deploy", "--role=write", "--scope=tag:a", "--expires=24h")
	if second.code != exitOK || !strings.HasPrefix(second.out, "tactus_") || strings.Count(second.out, "\n") != 1 ||
		!strings.Contains(second.problems, "once") {
		t.Errorf("%+v", second)
	}
	if got := program("key", "create", "scoped", "--role=admin", "--scope=tag:a"); got.code != exitOK || !strings.Contains(got.problems, "what the role write may") {
		t.Errorf("an admin with a scope: %+v", got)
	}
	deploy := "--token=" + strings.TrimSpace(second.out)
	if got := tactus(t, "schedule", "create", "--url="+url, deploy, "--name=n", "--cron=* * * * *", "--task=app.t"); got.code != exitFailure || !strings.Contains(got.problems, "scope_forbidden") {
		t.Errorf("out of scope: %+v", got)
	}
	if got := tactus(t, "schedule", "list", "--url="+url, deploy); got.code != exitOK {
		t.Errorf("%+v", got)
	}
	for _, args := range [][]string{{"key", "rotate", "deploy"}, {"key", "revoke", "deploy"}} {
		if got := program(args...); got.code != exitOK {
			t.Errorf("%v: %+v", args, got)
		}
	}
	page, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/system/keys", strings.NewReader("name=paged&role=read"))
	if err != nil {
		t.Fatal(err)
	}
	page.Header = http.Header{"Authorization": {"Bearer " + made.Key}, "Content-Type": {"application/x-www-form-urlencoded"}}
	if status, body := send(t, page); status != http.StatusCreated {
		t.Errorf("a key by the pages: %d %s", status, body)
	}
	// The log names who made, replaced and ended a key, and has no key.
	for _, what := range []string{`"a key was made"`, `"a key was rotated"`, `"a key was revoked"`} {
		p.AwaitLog("msg=" + what + " key=deploy key_id=[^ ]+ role=write scope=.tag:a. by=key:alice")
	}
	p.AwaitLog(`msg="a key was made" key=paged .* by=key:alice`)
	if log := p.Log(); strings.Contains(log, made.Key) || strings.Contains(log, strings.TrimSpace(second.out)) {
		t.Errorf("the log has keys: %s", log)
	}
	got := tactus(t, "key", "list", "--database-url="+database)
	if got.code != exitOK || strings.Count(got.out, "deploy") != 2 || strings.Count(got.out, "revoked") != 2 || strings.Contains(got.out, made.Key) {
		t.Errorf("%+v", got)
	}
	if got := tactus(t, "schedule", "list", "--url="+url); got.code != exitFailure || !strings.Contains(got.problems, "TACTUS_TOKEN") {
		t.Errorf("without a key: %+v", got)
	}
}

// TestRevokingANameEndsItsKeys revokes by name a key that has expired, and one that is rotated at the same moment.
func TestRevokingANameEndsItsKeys(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	pool, database := testenv.Connect(t, url), "--database-url="+url
	keys := access.NewKeys(pool)
	for _, name := range []string{"old", "busy"} {
		if _, err := keys.Create(t.Context(), access.NewKey{Name: name, Role: access.Read}); err != nil {
			t.Fatal(err)
		}
	}
	const expire = `update tactus.access_keys set expires_at = now() - interval '1 day' where name = 'old'`
	if _, err := pool.Exec(t.Context(), expire); err != nil {
		t.Fatal(err)
	}
	if got := tactus(t, "key", "revoke", "old", database); got.code != exitOK {
		t.Errorf("an expired one: %+v", got)
	}
	if _, err := keys.Create(t.Context(), access.NewKey{Name: "old", Role: access.Read}); err != nil {
		t.Errorf("its name: %v", err)
	}

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.access_keys where name = 'busy' for update`); err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for i, does := range []string{"rotate", "revoke"} {
		both.Go(func() {
			if got := tactus(t, "key", does, "busy", database); got.code != exitOK {
				t.Errorf("%s: %+v", does, got)
			}
		})
		testenv.Eventually(t, "it waits", func() error {
			var waiting int
			err := pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
				where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
			if err == nil && waiting <= i {
				err = fmt.Errorf("%d wait", waiting)
			}
			return err
		})
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	both.Wait()
	const notRevoked = `select count(*) from tactus.access_keys where name = 'busy' and revoked_at is null`
	var good int
	if err := pool.QueryRow(t.Context(), notRevoked).Scan(&good); err != nil || good != 0 {
		t.Errorf("%d keys of the name are good, %v", good, err)
	}
	if got := tactus(t, "key", "revoke", "busy", database); got.code != exitNotFound {
		t.Errorf("once more: %+v", got)
	}
}
