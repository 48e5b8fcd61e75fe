package access_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// heldWorld is a server with four connections to a database, and a table there that somebody has locked.
type heldWorld struct {
	world
	beside *pgxpool.Pool
	unlock func()
}

// serveHeld serves GET /held, which reads the locked table, and GET /free, which reads no table.
func serveHeld(t *testing.T, c access.Config) heldWorld {
	t.Helper()
	url := testenv.DirectURL(t)
	beside := testenv.Connect(t, url)
	pool, err := postgres.Open(t.Context(), url+"&pool_max_conns=4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	lock, err := beside.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unlock := func() { _ = lock.Rollback(context.Background()) }
	if _, err := lock.Exec(t.Context(), "lock table tactus.schedules in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	guard := access.New(pool, c, slog.New(slog.NewTextHandler(t.Output(), nil)), registry)
	mux := http.NewServeMux()
	for path, sql := range map[string]string{"/held": "select from tactus.schedules limit 1", "/free": "select"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			if _, err := pool.Exec(r.Context(), sql); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		})
	}
	server := httptest.NewServer(guard.Middleware(mux))
	t.Cleanup(server.Close)
	t.Cleanup(unlock) // before the server is closed, which waits for what it answers
	return heldWorld{world{server.URL, pool, access.NewKeys(beside), registry}, beside, unlock}
}

// get sends a request with a key, and returns its status.
func (w heldWorld) get(ctx context.Context, path, key string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+path, nil)
	if err != nil {
		return 0, err
	}
	if key != "" {
		request.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := (&http.Client{Timeout: testenv.Patience}).Do(request)
	if err != nil {
		return 0, err
	}
	if status = response.StatusCode; status == http.StatusTooManyRequests && response.Header.Get("Retry-After") == "" {
		return status, errors.Join(errors.New("no Retry-After"), response.Body.Close())
	}
	return status, response.Body.Close()
}

// many sends requests for /held, whose statuses come into a channel.
func (w heldWorld) many(t *testing.T, ctx context.Context, n int, key string, came chan<- int) {
	t.Helper()
	for range n {
		go func() {
			status, err := w.get(ctx, "/held", key)
			if err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			came <- status
		}()
	}
}

// waiting returns an error unless so many statements wait for the lock.
func (w heldWorld) waiting(t *testing.T, want int) error {
	var n int
	const sql = `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
	err := w.beside.QueryRow(t.Context(), sql).Scan(&n)
	if err == nil && n != want {
		err = fmt.Errorf("%d wait", n)
	}
	return err
}

// TestOneCallerLeavesConnectionsToOthers has forty requests of a caller wait in the database: they have half of its
// connections, and another's request is answered meanwhile. So is one of an address, where nobody says who they are.
func TestOneCallerLeavesConnectionsToOthers(t *testing.T) {
	t.Parallel()
	w := serveHeld(t, access.Config{Ways: access.Ways{Keys: true}, Rate: 1000})
	eve, bob := w.key(t, "eve", access.Read), w.key(t, "bob", access.Read)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	gone, came := make(chan int, 20), make(chan int, 20)
	w.many(t, ctx, cap(gone), eve.Key, gone)
	w.many(t, t.Context(), cap(came), eve.Key, came)
	testenv.Eventually(t, "half of the connections wait", func() error { return w.waiting(t, 2) })
	for _, key := range []string{bob.Key, ""} {
		if status, err := w.get(t.Context(), "/free", key); err != nil || status != http.StatusOK {
			t.Fatalf("another: %d %v", status, err)
		}
	}
	if err := w.waiting(t, 2); err != nil {
		t.Errorf("of one caller: %v", err)
	}
	hangUp()
	for range cap(gone) {
		if status := <-gone; status != 0 {
			t.Errorf("who hung up is answered %d", status)
		}
	}
	testenv.Eventually(t, "others of the caller have the connections", func() error { return w.waiting(t, 2) })
	w.unlock()
	for range cap(came) {
		if status := <-came; status != http.StatusOK {
			t.Errorf("who waited is answered %d", status)
		}
	}
}

// TestCallersWaitInABoundedLine has an address send more than may wait: what comes then is refused, and as many
// as may wait are served.
func TestCallersWaitInABoundedLine(t *testing.T) {
	t.Parallel()
	w := serveHeld(t, access.Config{})
	const most = 2 + 256
	came := make(chan int, 10*most)
	w.many(t, t.Context(), most, "", came)
	sent := most
	testenv.Eventually(t, "a request is answered", func() error {
		w.many(t, t.Context(), 1, "", came)
		if sent++; len(came) == 0 {
			return errors.New("none is")
		}
		return nil
	})
	if status := <-came; status != http.StatusTooManyRequests {
		t.Errorf("one is answered %d while all wait", status)
	}
	w.unlock()
	served := 0
	for range sent - 1 {
		if <-came == http.StatusOK {
			served++
		}
	}
	if served < most {
		t.Errorf("%d of %d are answered, and %d may wait", served, sent, most)
	}
	if status, err := w.get(t.Context(), "/held", ""); err != nil || status != http.StatusOK {
		t.Errorf("when none waits: %d %v", status, err)
	}
}
