package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/migrations"
)

// TestAPIProcess starts the API before the schema exists: it says what is missing, and becomes ready once the schema is
// there.
func TestAPIProcess(t *testing.T) {
	t.Parallel()
	url := testenv.EmptyURL(t)
	p := testenv.Program{Env: []string{"DATABASE_URL=" + url}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	if status, body := get(t, p.URL()+"/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d %s", status, body)
	}
	if status, body := get(t, p.URL()+"/readyz"); status != http.StatusServiceUnavailable ||
		!strings.Contains(body, "tactus migrate") {
		t.Errorf("/readyz without a schema: %d %s", status, body)
	}
	if err := migrations.Up(t.Context(), url); err != nil {
		t.Fatal(err)
	}
	p.AwaitReady()
	if status, body := get(t, p.URL()+"/readyz?verbose"); status != http.StatusOK ||
		!strings.Contains(body, "zone data") {
		t.Errorf("/readyz?verbose: %d %s", status, body)
	}
	if status, body := get(t, p.URL()+"/metrics"); status != http.StatusOK ||
		!strings.Contains(body, "process_cpu_seconds_total") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	if status, body := get(t, p.URL()+"/api/v1/schedules"); status != http.StatusOK ||
		!strings.Contains(body, `"total":0`) {
		t.Errorf("the API: %d %s", status, body)
	}
	status, page := get(t, p.URL()+"/docs")
	for _, shown := range []string{`id="create-schedule"`, `id="list-runs"`, `href="#type-ScheduleDefinition"`, "daily-report", "What becomes of due times that were missed"} {
		if status != http.StatusOK || !strings.Contains(page, shown) {
			t.Errorf("/docs: %d, without %s", status, shown)
		}
	}
	if outside := regexp.MustCompile(`(?:src|href|action)="(?:https?:)?//`).FindString(page); outside != "" {
		t.Errorf("/docs loads from elsewhere: %s", outside)
	}
	if code := p.Stop(); code != exitOK {
		t.Errorf("stopped with %d", code)
	}
}

// TestSettingsAreChecked gives invalid settings: the message names the setting, and the exit code is 2.
func TestSettingsAreChecked(t *testing.T) {
	t.Parallel()
	const database = "--database-url=postgres://127.0.0.1:1/none"
	for _, c := range []struct {
		names string
		args  []string
	}{
		{"DATABASE_URL is not set", []string{"api"}},
		{"DATABASE_URL is not set", []string{"migrate"}},
		{"DATABASE_URL is not set", []string{"beat", "--redis-url=redis://127.0.0.1:1"}},
		{"DATABASE_URL is not set", []string{"beat"}},
		{"REDIS_URL is not set", []string{"beat"}},
		{"DATABASE_URL is not set", []string{"relay"}},
		{"REDIS_URL is not set", []string{"relay"}},
		{"REDIS_URL is not set", []string{"beat", database}},
		{"DATABASE_URL", []string{"api", "--database-url=no such thing"}},
		{"TACTUS_AUTH", []string{"api", database, "--http-addr=0.0.0.0:0"}},
		{"TACTUS_AUTH", []string{"api", database, "--http-addr=:0"}},
		{"TACTUS_AUTH", []string{"api", database, "--http-addr=[::]:0"}},
		{"TACTUS_AUTH", []string{"api", database, "--http-addr=example.org:80"}},
		{"TACTUS_AUTH", []string{"api", database, "--http-addr=127.0.0.1:0", "--auth=basic"}},
		{"TACTUS_PROXY_FROM", []string{"api", database, "--http-addr=127.0.0.1:0", "--auth=keys,proxy"}},
		{"TACTUS_PROXY_FROM", []string{"api", database, "--http-addr=127.0.0.1:0", "--proxy-from=proxy"}},
		{"TACTUS_GROUP_ROLES", []string{"api", database, "--http-addr=127.0.0.1:0", "--auth=proxy", "--proxy-from=127.0.0.1"}},
		{"TACTUS_PROXY_GROUPS_HEADER", []string{"api", database, "--auth=proxy", "--group-roles=*=read", "--proxy-from=127.0.0.1", "--proxy-user-header=Remote-User"}},
		{"TACTUS_PROXY_USER_HEADER", []string{"api", database, "--auth=proxy", "--group-roles=*=read", "--proxy-from=127.0.0.1", "--proxy-groups-header=Remote-Groups"}},
		{"TACTUS_GROUP_ROLES", []string{"api", database, "--http-addr=127.0.0.1:0", "--group-roles=ops"}},
		{"TACTUS_TLS_CLIENT_CA", []string{"api", database, "--http-addr=127.0.0.1:0", "--auth=mtls", "--group-roles=*=read"}},
		{"TACTUS_TLS_KEY", []string{"api", database, "--http-addr=127.0.0.1:0", "--tls-cert=none.pem"}},
		{"TACTUS_TLS_CERT", []string{"api", database, "--http-addr=127.0.0.1:0", "--tls-cert=none.pem", "--tls-key=none.pem"}},
		{"TACTUS_OIDC_ISSUER", []string{"api", database, "--http-addr=127.0.0.1:0", "--auth=oidc", "--group-roles=*=read"}},
		{"TACTUS_OIDC_REDIRECT_URL", []string{"api", database, "--http-addr=127.0.0.1:0", "--oidc-redirect-url=https://a.example/"}},
		{"TACTUS_RATE_LIMIT", []string{"api", database, "--http-addr=127.0.0.1:0", "--rate-limit=-1"}},
		{"TACTUS_ALLOWED_HOSTS", []string{
			"api", database, "--http-addr=127.0.0.1:0",
			"--allowed-hosts=http://example.org",
		}},
		{"TACTUS_HTTP_ADDR", []string{"api", database, "--http-addr=8000"}},
		{"CELERY_TIMEZONE", []string{"api", database, "--celery-timezone=Mars/Base"}},
		{"TACTUS_RUN_RETENTION", []string{"api", database, "--run-retention=1h"}},
		{"CELERY_BEAT_MIN_SYNC_INTERVAL", []string{
			"beat", database, "--redis-url=redis://127.0.0.1:1",
			"--celery-beat-min-sync-interval=0",
		}},
		{"TACTUS_SHADOW_RETENTION 1h0m0s", []string{
			"beat", database, "--redis-url=redis://127.0.0.1:1",
			"--shadow-retention=1h",
		}},
		{"--late cannot be negative", []string{"shadow", "report", database, "--late=-1s"}},
		{"--no-such-flag", []string{"api", "--no-such-flag"}},
		{"no-such-command", []string{"no-such-command"}},
	} {
		if got := tactus(t, c.args...); got.code != exitUsage || !strings.Contains(got.problems, c.names) ||
			got.out != "" {
			t.Errorf("%v: exit code %d, %q, %q; want 2 and %s", c.args, got.code, got.out, got.problems, c.names)
		}
	}
}

func TestListensBeyondThisMachineWhenToldWhoMayCall(t *testing.T) {
	t.Parallel()
	p := testenv.Program{Env: []string{
		"DATABASE_URL=" + testenv.DatabaseURL(t), "TACTUS_HTTP_ADDR=0.0.0.0:0",
		"TACTUS_AUTH=none",
	}}.Start(t, "api")
	if !strings.HasPrefix(p.URL(), "http://[::]:") && !strings.HasPrefix(p.URL(), "http://0.0.0.0:") {
		t.Errorf("listens on %s", p.URL())
	}
}

// TestOnlyTheNamesOfAProcessReachIt sends what a browser sends from a web page whose name resolves to the process, and
// from a page of another origin.
func TestOnlyTheNamesOfAProcessReachIt(t *testing.T) {
	t.Parallel()
	env := []string{
		"DATABASE_URL=" + testenv.DatabaseURL(t), "REDIS_URL=" + testenv.RedisURL(t),
		"TACTUS_ALLOWED_HOSTS=tactus.example", "TACTUS_HTTP_ADDR=127.0.0.1:0",
	}
	for _, process := range []string{"api", "relay", "beat"} {
		url := testenv.Program{Env: env}.Start(t, process).URL()
		for host, want := range map[string]int{
			"evil.example":   http.StatusMisdirectedRequest,
			"tactus.example": http.StatusOK, "localhost:8000": http.StatusOK,
		} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/livez", nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = host
			if status, body := send(t, request); status != want {
				t.Errorf("%s as %s: %d %s", process, host, status, body)
			}
		}
		// the last one is the API's alone
		for _, path := range []string{"/livez", "/readyz", "/metrics", "/api/v1/schedules"} {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Origin", "https://evil.example")
			if status, body := send(t, request); status != http.StatusForbidden {
				t.Errorf("%s%s for a page of another origin: %d %s", process, path, status, body)
			}
		}
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := "--database-url=" + testenv.EmptyURL(t)
	status, planned := tactus(t, "migrate", url, "--status"), tactus(t, "migrate", url, "--plan")
	migrated, again := tactus(t, "migrate", url), tactus(t, "migrate", url)
	if !strings.HasPrefix(status.out, "schema version 0 of ") || status.code != exitFailure ||
		!strings.Contains(status.out, "\nmissing: migration 0001_schema\n") {
		t.Errorf("before: %+v", status)
	}
	if planned.code != exitOK || !strings.Contains(planned.out, "0001_schema\n  stops nobody\n") {
		t.Errorf("the plan: %+v", planned)
	}
	if after := tactus(t, "migrate", url, "--status"); after.code != exitOK || strings.Contains(after.out, "missing") {
		t.Errorf("after: %+v", after)
	}
	if strings.Contains(migrated.out, "version 0") || migrated != again || migrated.code != exitOK {
		t.Errorf("%+v, again %+v", migrated, again)
	}
	if got := tactus(t, "migrate",
		"--database-url=postgres://127.0.0.1:1/none?connect_timeout=1"); got.code != exitFailure ||
		!strings.Contains(got.problems, "migrate") {
		t.Errorf("no server: %+v", got)
	}
}
