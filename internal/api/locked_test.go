package api_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestLockedScheduleTakesNoConnections locks one schedule and a name that is not committed yet, while many requests
// write to either, over a pool of four connections. Their answers name the schedule. Requests about other schedules are
// served meanwhile, since of the waiting requests, only one for each of the two holds a connection.
func TestLockedScheduleTakesNoConnections(t *testing.T) {
	t.Parallel()
	direct := testenv.DirectURL(t)
	s := serveOn(t, direct+"&pool_max_conns=4")
	locked := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	other := s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"other"`, 1)).want(t, 201).member(t, "id")
	tx, err := testenv.Connect(t, direct).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `select from tactus.schedules where id = $1 for update`, locked); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `select tactus.put_schedule('{"name":"taken","cron_expression":"* * * * *","task_name":"a"}')`); err != nil {
		t.Fatal(err)
	}
	watch := testenv.Connect(t, direct)
	locks := func() (waits int) {
		err := watch.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
		return waits
	}
	var waiting sync.WaitGroup
	for n := range 20 {
		waiting.Go(func() {
			method, path, body, names := "PATCH", "/schedules/"+locked, fmt.Sprintf(`{"description":"%d"}`, n), locked
			if n%2 == 0 {
				method, path, body, names = "PUT", "/schedules/by-name/taken", strings.Replace(minutely, `"name":"n",`, "", 1), "taken"
			}
			a := s.do(t, method, path, body)
			if a.status != 409 || a.member(t, "code") != "schedule_locked" || a.header.Get("Retry-After") == "" ||
				!strings.Contains(a.member(t, "detail"), names) {
				t.Errorf("%s %s: %d %v %s", method, path, a.status, a.header, a.body)
			}
		})
	}
	testenv.Eventually(t, "a write waits", func() error {
		if waits := locks(); waits == 0 {
			return errors.New("none waits")
		}
		return nil
	})
	for n := range 20 {
		s.do(t, "PATCH", "/schedules/"+other, fmt.Sprintf(`{"description":"%d"}`, n)).want(t, 200)
		s.do(t, "POST", "/schedules/"+locked+"/trigger", "").want(t, 202)
		if waits := locks(); waits > 2 {
			t.Errorf("%d connections wait for the two that are locked", waits)
		}
	}
	waiting.Wait()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "PATCH", "/schedules/"+locked, `{"description":"free"}`).want(t, 200)
}

// TestLockedTable locks the whole table of the counts, as VACUUM FULL does. Requests that read schedules are answered
// with this reason, and do not wait until the lock is released.
func TestLockedTable(t *testing.T) {
	t.Parallel()
	s := serve(t)
	id := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/schedules", "/schedules/" + id} {
		a := s.do(t, "GET", path, "").want(t, 503)
		if a.member(t, "code") != "database_locked" || !strings.Contains(a.member(t, "detail"), "pg_locks") || a.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v %s", path, a.header, a.body)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.do(t, "GET", "/schedules", "").want(t, 200)
}
