package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/logging"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestUpcomingOfOneLeavesConnections has a caller that asks the API and the pages forty times at once for what is due,
// while the schedules are locked and the pool has four connections. Another caller can read routes before most of these
// requests have had their turn, although each gives up its wait for the lock after a while.
func TestUpcomingOfOneLeavesConnections(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	pool, err := postgres.Open(t.Context(), direct+"&pool_max_conns=4")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	beside, registry := testenv.Connect(t, direct), telemetry.NewRegistry()
	log, err := logging.New(t.Output(), "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log.Logger, registry)
	health := &telemetry.Health{}
	server := httptest.NewServer(apiHandler(guard, pool, "UTC", celery.Config{}, api.Limits{}, log.Logger, health, nil,
		operators(health, registry, log)))
	t.Cleanup(server.Close)
	get := func(path, key string) int {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		request.Header.Set("Authorization", "Bearer "+key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			return 0
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		return response.StatusCode
	}
	keys := access.NewKeys(beside)
	eve, err := keys.Create(t.Context(), access.NewKey{Name: "eve", Role: access.Read, Scope: access.Scope{"name:none"}})
	if err != nil {
		t.Fatal(err)
	}
	bob, err := keys.Create(t.Context(), access.NewKey{Name: "bob", Role: access.Read})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := beside.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Rollback(context.Background()) }()
	if _, err := lock.Exec(t.Context(), "lock table tactus.schedules in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	const asked = 40
	var answered atomic.Int64
	var all sync.WaitGroup
	for n := range asked {
		all.Go(func() {
			get([]string{"/api/v1/upcoming", "/schedules"}[n%2], eve.Key)
			answered.Add(1)
		})
	}
	testenv.Eventually(t, "all are in work", func() error {
		var waiting int
		err := beside.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		if err == nil && waiting < 2 {
			err = fmt.Errorf("%d wait for the lock", waiting)
		}
		return err
	})
	if status := get("/api/v1/routes", bob.Key); status != http.StatusOK {
		t.Errorf("another is answered %d", status)
	}
	if n := answered.Load(); n > asked/2 {
		t.Errorf("another waited until %d of %d were answered", n, asked)
	}
	if err := lock.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}
