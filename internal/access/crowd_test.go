package access_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestManyLogInAtOnce has a key with all the sessions that it may have, and more of them begin at once.
func TestManyLogInAtOnce(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	key := w.key(t, "crowd", access.Read)
	const fill = `
insert into tactus.access_sessions (hash, key_id, kind, name, role, scope, created_at, expires_at)
select sha256(n::text::bytea), $1::uuid, 'key', 'crowd', 'read', '{}', now() - n * interval '1 second', now() + interval '1 hour'
from generate_series(1, 100) n`
	if _, err := w.pool.Exec(t.Context(), fill, key.ID); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if r, body := w.ask(t, once, "POST", "/login", url.Values{"key": {key.Key}}); r.StatusCode != http.StatusNoContent {
				t.Errorf("%d %s", r.StatusCode, body)
			}
		})
	}
	all.Wait()
	var n int
	if err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.access_sessions`).Scan(&n); err != nil || n != 100 {
		t.Errorf("%d sessions: %v", n, err)
	}
}

// TestStrangersKeepNobodyFromLoggingIn has a session that may only connect hold the advisory lock that logins once
// took.
func TestStrangersKeepNobodyFromLoggingIn(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	key := w.key(t, "crowd", access.Read)
	stranger, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Rollback(context.Background()) }()
	const hold = `select pg_advisory_xact_lock(hashtextextended('tactus session key:crowd', 0))`
	if _, err := stranger.Exec(t.Context(), hold); err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: testenv.Patience, CheckRedirect: once.CheckRedirect}
	if r, body := w.ask(t, client, "POST", "/login", url.Values{"key": {key.Key}}); r.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}

// TestLogoutReadsLittle sends more to it than it wants, and keeps the rest back.
func TestLogoutReadsLittle(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	body, rest := io.Pipe()
	defer rest.Close()
	go io.Copy(rest, strings.NewReader("next=/"+strings.Repeat("x", 1<<20))) //nolint:errcheck // the server hangs up
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/logout", body)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = 9_900_000
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Logf("the server has hung up: %v", err)
		return
	}
	_ = response.Body.Close()
}
