package main

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestReadyWhileRequestsHaveThePool has requests that hold every connection of an API's pool. The API works, so /readyz
// must not tell a load balancer to take it out.
func TestReadyWhileRequestsHaveThePool(t *testing.T) {
	t.Parallel()
	const connections = 2
	url := testenv.DirectURL(t)
	pool := testenv.Connect(t, url)
	p := testenv.Program{Env: []string{fmt.Sprintf("DATABASE_URL=%s&pool_max_conns=%d", url, connections)}}.
		Start(t, "api", "--http-addr", "127.0.0.1:0")
	address := p.URL()
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedules`); err != nil {
		t.Fatal(err)
	}
	for range 4 * connections {
		go func() {
			for t.Context().Err() == nil {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v1/schedules", nil)
				if err != nil {
					t.Error(err)
					return
				}
				if response, err := http.DefaultClient.Do(request); err == nil { // else the test has ended
					_ = response.Body.Close()
				}
			}
		}()
	}
	testenv.Eventually(t, "requests have all connections", func() error {
		var n int
		err := pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		if err == nil && n < connections {
			err = fmt.Errorf("%d wait for the lock", n)
		}
		return err
	})
	if status, body := get(t, address+"/readyz"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}
