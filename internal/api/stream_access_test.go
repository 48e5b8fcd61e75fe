package api_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// serveLogin is the API with the login, where one caller may hold two streams.
func serveLogin(t *testing.T) guardedService {
	t.Helper()
	pool := testenv.Database(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log, prometheus.NewRegistry())
	mux := http.NewServeMux()
	mux.Handle("/api/", api.New(pool, "UTC", log, celery.Config{}, api.Limits{StreamsPerClient: 2}))
	guard.Mount(mux, bodies.NewBudget(bodies.Most))
	server := httptest.NewServer(guard.Middleware(mux))
	t.Cleanup(server.Close)
	return guardedService{service{server.URL + "/api/v1", pool}, access.NewKeys(pool)}
}

// send sends a request with a header that says who asks.
func (s guardedService) send(t *testing.T, method, address, body, header, value string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set(header, value)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// TestStreamsEndWithTheirCredential revokes the key of a stream, has another expire, and logs the session of a third
// out: nothing that happens after that is sent.
func TestStreamsEndWithTheirCredential(t *testing.T) {
	t.Parallel()
	s := serveLogin(t)
	writer, revoked, expired := s.key(t, "writer", access.Write), s.key(t, "revoked", access.Read), s.key(t, "expired", access.Read)
	site := strings.TrimSuffix(s.url, "/api/v1")
	login := s.send(t, "POST", site+"/login", url.Values{"key": {writer.Key}}.Encode(), "Accept", "*/*")
	if len(login.Cookies()) != 1 {
		t.Fatal(login.Status)
	}
	cookie := login.Cookies()[0].Name + "=" + login.Cookies()[0].Value
	listeners := map[string]listener{}
	for name, says := range map[string][2]string{
		"revoked": {"Authorization", "Bearer " + revoked.Key}, "expired": {"Authorization", "Bearer " + expired.Key}, "session": {"Cookie", cookie},
	} {
		response := s.send(t, "GET", s.url+"/events/stream", "", says[0], says[1])
		if response.StatusCode != http.StatusOK {
			t.Fatal(name, response.Status)
		}
		listeners[name] = listener{response, bufio.NewScanner(response.Body)}
	}
	s.as(t, writer.Key, "POST", "/schedules", minutely).want(t, 201)
	for name, l := range listeners {
		if _, _, _, ok := l.next(); !ok {
			t.Errorf("%s: no event", name)
		}
	}
	if _, err := s.keys.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.pool.Exec(t.Context(), `update tactus.access_keys set expires_at = clock_timestamp() where id = $1`, expired.ID); err != nil {
		t.Fatal(err)
	}
	s.send(t, "POST", site+"/logout", "", "Cookie", cookie)
	s.refusedSoon(t, revoked.Key, "credentials_revoked")
	s.refusedSoon(t, expired.Key, "credentials_expired")
	testenv.Eventually(t, "the session has ended", func() error {
		if got := s.send(t, "GET", s.url+"/whoami", "", "Cookie", cookie).StatusCode; got != http.StatusUnauthorized {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
	s.as(t, writer.Key, "PUT", "/schedules/by-name/after", `{"interval_seconds":5,"task_name":"t"}`).want(t, 201)
	for name, l := range listeners {
		if _, _, data, ok := l.next(); ok {
			t.Errorf("%s: another event: %s", name, data)
		}
	}
}

// TestStreamsAreLimitedByCaller has one caller hold all the streams that one may: another of the same address has
// theirs. What is answered to either is kept by no cache for the other.
func TestStreamsAreLimitedByCaller(t *testing.T) {
	t.Parallel()
	s := serveLogin(t)
	eve, bob := "Bearer "+s.key(t, "eve", access.Read).Key, "Bearer "+s.key(t, "bob", access.Write).Key
	for _, c := range []struct {
		who    string
		status int
	}{{eve, 200}, {eve, 200}, {eve, 429}, {bob, 200}} {
		if got := s.send(t, "GET", s.url+"/events/stream?after=now", "", "Authorization", c.who); got.StatusCode != c.status {
			t.Errorf("%s, want %d", got.Status, c.status)
		}
	}
	got := s.send(t, "GET", s.url+"/schedules", "", "Authorization", bob).Header
	if got.Get("Cache-Control") != "private" || !strings.Contains(got.Get("Vary"), "Cookie") || !strings.Contains(got.Get("Vary"), "Authorization") {
		t.Errorf("%v", got)
	}
}

// TestAnswersAreBoundedByCaller has one caller ask for large pages without reading them, until that caller's answers
// are as large as they may be: another of the same address is answered.
func TestAnswersAreBoundedByCaller(t *testing.T) {
	t.Parallel()
	s := serveLogin(t)
	eve, bob := "Bearer "+s.key(t, "eve", access.Read).Key, s.key(t, "bob", access.Write).Key
	s.as(t, bob, "POST", "/schedules", fmt.Sprintf(`{"task_name":"t","cron_expression":"* * * * *","kwargs":{"x":%q}}`,
		strings.Repeat("x", 250<<10))).want(t, 201)
	if _, err := s.pool.Exec(t.Context(), `
		insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
		select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
		from tactus.schedules, generate_series(1, 60) n`); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		answer := s.send(t, "GET", s.url+"/schedules", "", "Authorization", eve)
		if answer.StatusCode != http.StatusOK {
			if told, _ := io.ReadAll(answer.Body); !strings.Contains(string(told), "answers_too_large") {
				t.Logf("%s %s", answer.Status, told) // a busy machine
				continue
			}
			s.inTime(t, "/schedules", "Authorization", "Bearer "+bob).want(t, 200)
			return
		}
	}
	t.Error("none of 12 answers of 12 MiB was refused")
}
