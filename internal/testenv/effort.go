package testenv

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// countEffort has PostgreSQL tell the client of each statement how many blocks it looked at, and what it took of a
// processor.
const countEffort = `load 'auto_explain';
set client_min_messages = log; set log_statement_stats = on;
set auto_explain.log_level = notice; set auto_explain.log_format = json; set auto_explain.log_min_duration = 0;
set auto_explain.log_analyze = on; set auto_explain.log_timing = off; set auto_explain.log_buffers = on`

// Effort counts what the statements of a pool make PostgreSQL do. Unlike the time by the clock, that does not depend on
// what else the machine does.
type Effort struct{ blocks, processor atomic.Int64 }

// CountEffort returns a pool like another, which a superuser must have opened without a pooler, and the effort of its
// statements.
func CountEffort(t testing.TB, like *pgxpool.Pool) (*pgxpool.Pool, *Effort) {
	t.Helper()
	var e Effort
	cfg := like.Config()
	begin := cfg.AfterConnect
	cfg.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if begin != nil {
			if err := begin(ctx, conn); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, countEffort, pgx.QueryExecModeSimpleProtocol)
		return err
	}
	cfg.ConnConfig.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		e.blocks.Add(blocksOf(n.Message))
		e.processor.Add(int64(processorOf(n.Detail)))
	}
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool, &e
}

// Of does something, and returns how many blocks (of 8 KiB) PostgreSQL looked at for it, and for how long it kept a
// processor busy.
func (e *Effort) Of(do func()) (blocks int, processor time.Duration) {
	e.blocks.Store(0)
	e.processor.Store(0)
	do()
	return int(e.blocks.Load()), time.Duration(e.processor.Load())
}

// Least does something three times, and returns the least time for which PostgreSQL kept a processor busy for it:
// neighbours on the processor only ever add to that.
func (e *Effort) Least(do func()) time.Duration {
	least := time.Duration(math.MaxInt64)
	for range 3 {
		_, processor := e.Of(do)
		least = min(least, processor)
	}
	return least
}

// blocksOf reads "duration: 1.0 ms  plan: {...}"; the root of a plan counts what is below it, too.
func blocksOf(message string) int64 {
	_, plan, is := strings.Cut(message, "plan:")
	var root struct {
		Plan struct {
			Hit  int64 `json:"Shared Hit Blocks"`
			Read int64 `json:"Shared Read Blocks"`
		}
	}
	if !is || json.Unmarshal([]byte(plan), &root) != nil {
		return 0
	}
	return root.Plan.Hit + root.Plan.Read
}

// processorOf reads the line "! 0.001000 s user, 0.000200 s system, 0.002000 s elapsed" of a statement's statistics.
func processorOf(detail string) time.Duration {
	for line := range strings.Lines(detail) {
		var user, system float64
		if n, _ := fmt.Sscanf(line, "!\t%f s user, %f s system", &user, &system); n == 2 {
			return time.Duration((user + system) * float64(time.Second))
		}
	}
	return 0
}

// Processor does something, and returns for how long this process kept processors busy meanwhile. No other test may be
// at work, so t cannot be parallel.
func Processor(t testing.TB, do func()) time.Duration {
	t.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	do()
	return used() - before
}
