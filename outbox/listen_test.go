package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestBellOutlastsTimeouts has an administrator end idle sessions soon. The bell is heard all the same, on one
// connection.
func TestBellOutlastsTimeouts(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	pool := testenv.Connect(t, url)
	var version int
	if err := pool.QueryRow(t.Context(), `select current_setting('server_version_num')::int`).Scan(&version); err != nil {
		t.Fatal(err)
	}
	if version < 140000 {
		return // PostgreSQL 13 ends no idle sessions
	}
	_, err := pool.Exec(t.Context(), `do $$ begin execute format('alter database %I set idle_session_timeout = 200', current_database()); end $$`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	rings, deaf, done := make(chan string, 100), make(chan error, 100), make(chan struct{})
	go func() {
		defer close(done)
		outbox.Listen(ctx, url, func(topic string) { rings <- topic }, func(err error) { deaf <- err })
	}()
	defer func() { cancel(); <-done }()
	<-rings
	idle, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close(context.WithoutCancel(t.Context()))
	waiting, stop := context.WithTimeout(t.Context(), testenv.Patience)
	defer stop()
	if _, err := idle.WaitForNotification(waiting); err == nil || waiting.Err() != nil {
		t.Fatalf("an idle session ends with %v", err)
	}
	if _, err := pool.Exec(t.Context(), `select pg_notify('`+sqlexpr.Channel+`', 'run')`); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-deaf:
		t.Errorf("the bell is not heard: %v", err)
	case topic := <-rings:
		if topic != "run" {
			t.Errorf("the bell is heard anew, and tells %q", topic)
		}
	case <-time.After(testenv.Patience):
		t.Error("nothing is heard")
	}
}
