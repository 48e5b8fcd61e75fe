package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/processes"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestStrangersLearnNoReasons closes a beat's database to connections. From /readyz, a stranger learns which check
// fails, and nothing about the server. A caller who may read everything learns the reason, which is also in the log.
func TestStrangersLearnNoReasons(t *testing.T) {
	t.Parallel()
	database, other := testenv.DirectURL(t), testenv.DirectURL(t)
	c := processes.New(t, database, testenv.RedisURL(t), "TACTUS_AUTH=keys,proxy", "TACTUS_PROXY_FROM=127.0.0.1",
		"TACTUS_GROUP_ROLES=ops=read")
	var name, key string
	if err := c.Pool.QueryRow(t.Context(), `select current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	key = strings.TrimSpace(tactus(t, "key", "create", "alice", "--role=read", "--database-url="+database).out)
	beat := c.Beat("b")
	ready := func(headers ...string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, beat.URL()+"/readyz?verbose", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		return send(t, request)
	}
	if status, body := ready(); status != http.StatusOK || body != `{"status":"ready"}`+"\n" {
		t.Errorf("a stranger: %d %s", status, body)
	}
	if status, body := ready("Authorization", "Bearer "+key); status != http.StatusOK || !strings.Contains(body, `"zone data"`) {
		t.Errorf("the holder of a key: %d %s", status, body)
	}

	testenv.Execute(t, other, `alter database `+pgx.Identifier{name}.Sanitize()+` with allow_connections false`,
		`select pg_terminate_backend(pid) from pg_stat_activity where datname = '`+name+`'`)
	why := "not currently accepting connections"
	testenv.Eventually(t, "who may read everything learns why", func() error {
		status, body := ready("X-Forwarded-User", "alice", "X-Forwarded-Groups", "ops")
		if status != http.StatusServiceUnavailable || strings.Count(body, why) < 2 { // of the beat, and of postgres
			return fmt.Errorf("%d %s", status, body)
		}
		if strings.Contains(body, "standby") {
			t.Errorf("what takes no connections is called a standby: %s", body)
		}
		return nil
	})
	testenv.Eventually(t, "a key that can no longer be looked up counts for none, once it is forgotten", func() error {
		status, body := ready("Authorization", "Bearer "+key)
		if status != http.StatusServiceUnavailable || strings.Contains(body, why) || !strings.Contains(body, `"postgres"`) {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	at, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	for who, headers := range map[string][]string{
		"a stranger":                  nil,
		"who has no role":             {"X-Forwarded-User", "eve"},
		"who cannot be looked up":     {"Authorization", "Bearer " + key},
		"whose name no proxy vouches": {"X-Forwarded-Groups", "ops"},
	} {
		status, body := ready(headers...)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"postgres"`) || !strings.Contains(body, `"beat"`) {
			t.Errorf("%s: %d %s", who, status, body)
		}
		for _, secret := range []string{why, name, at.Port(), at.User.Username(), "facts"} {
			if strings.Contains(body, secret) {
				t.Errorf("%s learns %q: %s", who, secret, body)
			}
		}
	}
	beat.AwaitLog(`the process is not ready.* condition=postgres .*` + why)
}
