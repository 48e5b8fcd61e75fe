package postgres_test

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestOneURLServesPoolsAndConnections connects by a URL that says how many connections a pool has, as that of every
// process and command may. PostgreSQL knows no such setting: by it migrations failed, and a relay did not hear the
// bell.
func TestOneURLServesPoolsAndConnections(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t) + "&pool_max_conns=3&pool_max_conn_idle_time=1m"
	conn, err := postgres.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	db, err := postgres.OpenDB(url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	pool, err := postgres.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if got := pool.Config().MaxConns; got != 3 {
		t.Errorf("the pool has %d connections at most", got)
	}
}
