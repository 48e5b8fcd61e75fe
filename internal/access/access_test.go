package access_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// world is a server that answers who asks.
type world struct {
	url      string
	pool     *pgxpool.Pool
	keys     *access.Keys
	registry *prometheus.Registry
}

func serve(t *testing.T, c access.Config) world {
	t.Helper()
	pool, registry := testenv.Database(t), prometheus.NewRegistry()
	guard := access.New(pool, c, slog.New(slog.NewTextHandler(t.Output(), nil)), registry)
	mux := http.NewServeMux()
	guard.Mount(mux, bodies.NewBudget(bodies.Most))
	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, access.From(r.Context()).Actor())
	})
	mux.Handle("GET /admin", access.Require(access.Admin, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	server := httptest.NewServer(guard.Middleware(mux))
	t.Cleanup(server.Close)
	return world{server.URL, pool, access.NewKeys(pool), registry}
}

func (w world) key(t *testing.T, name string, role access.Role) access.IssuedKey {
	t.Helper()
	made, err := w.keys.Create(t.Context(), access.NewKey{Name: name, Role: role})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// ask sends a request, and returns the answer with its body.
func (w world) ask(t *testing.T, client *http.Client, method, path string, form url.Values, headers ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// once follows no redirects.
var once = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

var withKeys = access.Config{Ways: access.Ways{Keys: true}}

// TestSession logs in with a key, and ends the session in each of the ways in which one ends.
func TestSession(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	login := func(key access.IssuedKey) *http.Cookie {
		t.Helper()
		response, body := w.ask(t, once, "POST", "/login", url.Values{"key": {key.Key}, "next": {"/schedules?page=2"}})
		if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/schedules?page=2" || len(response.Cookies()) != 1 {
			t.Fatalf("%d %v %s", response.StatusCode, response.Header, body)
		}
		c := response.Cookies()[0]
		if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure || c.Path != "/" || c.MaxAge != 12*60*60 || strings.Contains(c.Value, key.Key) {
			t.Errorf("%+v", c)
		}
		return c
	}
	is := func(c *http.Cookie) string {
		t.Helper()
		_, body := w.ask(t, once, "GET", "/who", nil, "Cookie", c.Name+"="+c.Value)
		return body
	}
	gone := func(c *http.Cookie) {
		t.Helper()
		testenv.Eventually(t, "the session ends", func() error {
			if who := is(c); who != "" {
				return fmt.Errorf("it is still of %s", who)
			}
			return nil
		})
	}
	alice := w.key(t, "alice", access.Write)

	c := login(alice)
	if who := is(c); who != "key:alice" {
		t.Errorf("it is of %q", who)
	}
	response, _ := w.ask(t, once, "POST", "/logout", url.Values{}, "Cookie", c.Name+"="+c.Value)
	if response.StatusCode != http.StatusNoContent || len(response.Cookies()) != 1 || response.Cookies()[0].MaxAge >= 0 {
		t.Errorf("%d %v", response.StatusCode, response.Header)
	}
	gone(c)

	c = login(alice)
	if _, err := w.pool.Exec(t.Context(), `update tactus.access_sessions set expires_at = now() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
	gone(c)

	c = login(alice)
	if _, err := w.keys.Revoke(t.Context(), alice.ID); err != nil {
		t.Fatal(err)
	}
	gone(c)
	if response, body := w.ask(t, once, "POST", "/login", url.Values{"key": {alice.Key}}); response.StatusCode != 401 || !strings.Contains(body, "credentials_revoked") || len(response.Cookies()) != 0 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	var stored string
	if err := w.pool.QueryRow(t.Context(), `select concat(k, s) from tactus.access_keys k, tactus.access_sessions s`).Scan(&stored); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(stored, alice.Key[7:]) || strings.Contains(stored, c.Value) {
		t.Errorf("a secret is stored: %s", stored)
	}
}

// TestOnlyOwnPagesAfterLogin has somebody log in who came by a link that leads elsewhere.
func TestOnlyOwnPagesAfterLogin(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	key := w.key(t, "alice", access.Read)
	for _, next := range []string{"https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "evil", "/a\r\nb"} {
		response, _ := w.ask(t, once, "POST", "/login", url.Values{"key": {key.Key}, "next": {next}})
		if response.StatusCode != http.StatusNoContent || response.Header.Get("Location") != "" {
			t.Errorf("%q: %d %v", next, response.StatusCode, response.Header)
		}
	}
}

// TestGuessing guesses keys until it has to wait. Those who have a key do not.
func TestGuessing(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	good := "Bearer " + w.key(t, "alice", access.Admin).Key
	if response, body := w.ask(t, once, "GET", "/admin", nil, "Authorization", good); response.StatusCode != 200 {
		t.Fatalf("%d %s", response.StatusCode, body)
	}
	statuses := map[int]int{}
	for n := range 30 {
		guess := fmt.Sprintf("tactus_guess%d", n)
		response, body := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+guess)
		if n%2 == 1 {
			response, body = w.ask(t, once, "POST", "/login", url.Values{"key": {guess}})
		}
		statuses[response.StatusCode]++
		if response.StatusCode == http.StatusTooManyRequests && (response.Header.Get("Retry-After") == "" || !strings.Contains(body, "too_many_failures")) {
			t.Errorf("%v %s", response.Header, body)
		}
	}
	if statuses[401] < 4 || statuses[401] > 15 || statuses[429] < 15 || statuses[401]+statuses[429] != 30 {
		t.Errorf("%v", statuses)
	}
	unseen := w.key(t, "bob", access.Admin).Key
	if response, _ := w.ask(t, once, "POST", "/login", url.Values{"key": {unseen}}); response.StatusCode != 204 {
		t.Errorf("whoever logs in with a key that was not seen before: %d", response.StatusCode)
	}
	for _, key := range []string{good, "Bearer " + unseen, "Bearer " + w.key(t, "carol", access.Admin).Key} {
		if response, body := w.ask(t, once, "GET", "/admin", nil, "Authorization", key); response.StatusCode != 200 {
			t.Errorf("whoever has a key: %d %s", response.StatusCode, body)
		}
	}
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var counted float64
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "tactus_credentials_refused_total" {
				counted += metric.GetCounter().GetValue()
			}
		}
	}
	if counted != 45 {
		t.Errorf("%g refusals are counted", counted)
	}
}

// TestGuessingAtOnce guesses by many connections: their tries are counted together, and few are looked up at once.
func TestGuessingAtOnce(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "lock table tactus.access_keys in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	const guesses = 40
	begun, statuses := time.Now(), make(chan int, guesses)
	for n := range guesses {
		go func() {
			response, _ := w.ask(t, once, "GET", "/who", nil, "Authorization", fmt.Sprintf("Bearer tactus_guess%d", n))
			statuses <- response.StatusCode
		}()
	}
	var waiting, most int
	testenv.Eventually(t, "guesses wait for the table", func() error {
		err := w.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		if most = max(most, waiting); err == nil && waiting < 2 {
			err = fmt.Errorf("%d wait", waiting)
		}
		return err
	})
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	counted := map[int]int{}
	for range guesses {
		counted[<-statuses]++
	}
	if tries := 10 + int(time.Since(begun)/(6*time.Second)) + 1; counted[401] > tries || counted[401]+counted[429] != guesses || most > 2 {
		t.Errorf("%v, want at most %d answers 401; %d were looked up at once", counted, tries, most)
	}
}

// TestTooManyRequests sends more than one caller may, while another goes on.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	w := serve(t, access.Config{Ways: access.Ways{Keys: true}, Rate: 0.01})
	busy, other := "Bearer "+w.key(t, "busy", access.Read).Key, "Bearer "+w.key(t, "other", access.Read).Key
	if response, _ := w.ask(t, once, "GET", "/who", nil, "Authorization", busy); response.StatusCode != 200 {
		t.Fatal(response.StatusCode)
	}
	response, body := w.ask(t, once, "GET", "/who", nil, "Authorization", busy)
	if wait, err := time.ParseDuration(response.Header.Get("Retry-After") + "s"); response.StatusCode != 429 || err != nil || wait < 30*time.Second || !strings.Contains(body, "rate_limited") {
		t.Errorf("%d %v %s", response.StatusCode, response.Header, body)
	}
	if response, _ := w.ask(t, once, "GET", "/who", nil, "Authorization", other); response.StatusCode != 200 {
		t.Error(response.StatusCode)
	}
}

// TestLoginsAreCounted logs in with one key more often than it may send requests.
func TestLoginsAreCounted(t *testing.T) {
	t.Parallel()
	w := serve(t, access.Config{Ways: access.Ways{Keys: true}, Rate: 0.01})
	form := url.Values{"key": {w.key(t, "alice", access.Read).Key}, "next": {"/a"}}
	for _, want := range []string{"/a", "/login?refused=rate_limited&next=%2Fa"} {
		response, body := w.ask(t, once, "POST", "/login", form, "Accept", "text/html")
		if to := response.Header.Get("Location"); to != want {
			t.Errorf("%d on to %q, want %q: %s", response.StatusCode, to, want, body)
		}
	}
	response, body := w.ask(t, once, "POST", "/login", form)
	if response.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "rate_limited") {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

// TestSessionsAreFew logs in with one key more often than a key has sessions: the oldest end, and no other key's. What
// has expired is removed.
func TestSessionsAreFew(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	alice, bob := w.key(t, "alice", access.Read), w.key(t, "bob", access.Read)
	login := func(key access.IssuedKey) string {
		t.Helper()
		response, body := w.ask(t, once, "POST", "/login", url.Values{"key": {key.Key}})
		if response.StatusCode != http.StatusNoContent || len(response.Cookies()) != 1 {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
		return response.Cookies()[0].String()
	}
	rows := func() (n int) {
		t.Helper()
		if err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.access_sessions`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	ofBob := login(bob)
	var first, last string
	for range 120 {
		if last = login(alice); first == "" {
			first = last
		}
	}
	if n := rows(); n != 101 {
		t.Errorf("%d sessions after 121 logins by two keys, want 101", n)
	}
	for cookie, want := range map[string]string{first: "", last: "key:alice", ofBob: "key:bob"} {
		if _, who := w.ask(t, once, "GET", "/who", nil, "Cookie", strings.Split(cookie, ";")[0]); who != want {
			t.Errorf("a session is of %q, want %q", who, want)
		}
	}
	if err := access.PruneSessions(t.Context(), w.pool, time.Now()); err != nil || rows() != 101 {
		t.Errorf("%d sessions, %v", rows(), err)
	}
	if err := access.PruneSessions(t.Context(), w.pool, time.Now().Add(24*time.Hour)); err != nil || rows() != 0 {
		t.Errorf("%d sessions have ended, and are there, %v", rows(), err)
	}
}

// TestAnybodyHasNoLimit asks more often than one caller may where nobody says who they are.
func TestAnybodyHasNoLimit(t *testing.T) {
	t.Parallel()
	w := serve(t, access.Config{Rate: 0.01})
	for range 5 {
		if response, body := w.ask(t, once, "GET", "/who", nil); response.StatusCode != 200 {
			t.Fatalf("%d %s", response.StatusCode, body)
		}
	}
}

// TestWithoutADatabase tells callers that nobody could look them up, and not that they are nobody.
func TestWithoutADatabase(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	w.pool.Close()
	response, body := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer tactus_x")
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if response, _ := w.ask(t, once, "GET", "/livez", nil, "Authorization", "Bearer tactus_x"); response.StatusCode != http.StatusNotFound {
		t.Errorf("/livez: %d", response.StatusCode)
	}
}

// TestQueriesOfAKey sends many requests with one key: few of them ask the database.
func TestQueriesOfAKey(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	key := "Bearer " + w.key(t, "alice", access.Read).Key
	begun, before := time.Now(), w.pool.Stat().AcquireCount()
	for range 300 {
		if response, _ := w.ask(t, once, "GET", "/who", nil, "Authorization", key); response.StatusCode != 200 {
			t.Fatal(response.StatusCode)
		}
	}
	most := 3 + 2*int64(time.Since(begun)/time.Second)
	if asked := w.pool.Stat().AcquireCount() - before; asked > most {
		t.Errorf("300 requests asked the database %d times, want at most %d", asked, most)
	}
}

func TestWays(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{"": true, "none": true, "keys": true, "none,keys": false, "basic": false, "keys,": false} {
		if _, err := access.ParseWays(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}
