package tablelocks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/tablelocks"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestNamesWhoLocks has somebody lock a table, and somebody else wait for one behind an open transaction, as ALTER
// TABLE does behind a dump.
func TestNamesWhoLocks(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	begin := func(sql string) (tx pgx.Tx, pid int32) {
		t.Helper()
		tx, err := pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		if err := tx.QueryRow(t.Context(), `select pg_backend_pid()`).Scan(&pid); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		return tx, pid
	}
	if all, err := tablelocks.Tables(t.Context(), pool); err != nil || len(all) > 0 {
		t.Fatalf("nobody has locked anything: %v, %v", all, err)
	}
	_, dump := begin(`select from tactus.runs_default`)
	_, holder := begin(`lock table tactus.routes in share mode`)
	waiter, waits := begin(`select 1`)
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _ = waiter.Exec(ctx, `lock table tactus.runs_default in access exclusive mode`) })
	t.Cleanup(func() {
		cancel()
		waiting.Wait() // its connection is rolled back afterwards
	})
	var log bytes.Buffer
	watch := tablelocks.NewWatch(pool, slog.New(slog.NewTextHandler(&log, nil)))
	testenv.Eventually(t, "both are named", func() error {
		all, err := tablelocks.Tables(t.Context(), pool)
		if err != nil {
			return err
		}
		text := tablelocks.Text(all)
		for _, want := range []string{
			fmt.Sprintf("pid %d (role ", holder), "has locked the table tactus.routes (ShareLock)", fmt.Sprintf("pid %d (role ", waits),
			fmt.Sprintf("waits for a lock (AccessExclusiveLock) on the table tactus.runs_default, behind pid %d, ", dump),
		} {
			if !strings.Contains(text, want) {
				return fmt.Errorf("no %q in %s", want, text)
			}
		}
		return nil
	})
	watch.Look(t.Context())
	if watch.Lasting() != "" {
		t.Errorf("after one look %s lasts", watch.Lasting())
	}
	watch.Look(t.Context())
	if n, known := watch.Tables(); n != 2 || !known || !strings.Contains(log.String(), "tactus.runs_default") {
		t.Errorf("%d tables are locked (%v), and the log says\n%s", n, known, &log)
	}
	_, err := pool.Exec(t.Context(), `select set_config('lock_timeout', '50ms', false); insert into tactus.routes select * from tactus.routes`,
		pgx.QueryExecModeSimpleProtocol)
	if !postgres.LockTimedOut(err) {
		t.Fatalf("writing gave %v", err)
	}
	if err := tablelocks.Explain(t.Context(), pool, err); !postgres.LockTimedOut(err) || !strings.Contains(err.Error(), "tactus.routes") {
		t.Errorf("it is explained as %v", err)
	}
	if other := errors.New("another"); !errors.Is(tablelocks.Explain(t.Context(), pool, other), other) {
		t.Error("another error is explained")
	}
}

// TestRowsAreNotTables waits for a row while somebody has locked a whole table: the table is not to blame.
func TestRowsAreNotTables(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = holder.Rollback(t.Context()) }()
	if _, err := holder.Exec(t.Context(), `insert into tactus.leases (name, holder, epoch, expires_at) values ('l', '', 0, now());
		lock table tactus.deadletters in access exclusive mode`, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	b := tablelocks.NewBeside(pool, slog.New(slog.DiscardHandler))
	const sql = `with timeout as (select set_config('lock_timeout', '50ms', true))
		insert into tactus.leases (name, holder, epoch, expires_at) select 'l', '', 0, now() from timeout /* tactus.deadletters */`
	err = b.Do(t.Context(), sql, func(sql string) error {
		_, err := pool.Exec(t.Context(), sql)
		return err
	})
	if !postgres.LockTimedOut(err) {
		t.Fatalf("it gave %v", err)
	}
	if b.Blocks(sql, err) || b.Waits(sql) != "" {
		t.Errorf("blamed: %s", b.Waits(sql))
	}
}
