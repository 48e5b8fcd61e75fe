package beat

import (
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// fill makes n schedules without going through the write path: each minute's second is shared by n/60.
const fillSchedules = `
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select (lpad(to_hex(n), 12, '0') || '7000' || '8000' || substr(md5(n::text), 1, 12))::uuid, 'schedule-' || n, 1, true,
    case when n % 4 = 0 then '{"cron":"' || n % 60 || ' * * * *","dialect":"celery","timezone":"UTC","gap":"auto","overlap":"auto"}' else '{"every":3600}' end,
    case when n % 4 = 0 then null else date_trunc('hour', now()) + (n % 3600) * interval '1 second' end,
    '{"misfire":"latest","window":86400,"grace":60}', now(), now(), now(), now(), '', '{}',
    json_build_object('name', 'schedule-' || n, 'cron_expression', '5 * * * *', 'timezone', 'UTC', 'task_name', 'app.tasks.do_something', 'kwargs', json_build_object('customer', n), 'queue', 'celery', 'execution_policy', 'allow', 'misfire_policy', 'latest', 'misfire_window_seconds', 86400, 'misfire_grace_seconds', 60),
    json_build_object('task_name', 'app.tasks.do_something', 'args', '[]'::json, 'kwargs', json_build_object('customer', n), 'queue', 'celery')
from generate_series(1, $1::bigint) n`

func fill(tb testing.TB, pool *pgxpool.Pool, n int) {
	tb.Helper()
	if _, err := pool.Exec(tb.Context(), fillSchedules, n); err != nil {
		tb.Fatal(err)
	}
	if _, err := pool.Exec(tb.Context(), `vacuum analyze tactus.schedules`); err != nil {
		tb.Fatal(err)
	}
}

func benchSize() int {
	if n, err := strconv.Atoi(os.Getenv("TACTUS_BENCH_SCHEDULES")); err == nil {
		return n
	}
	return 100_000
}

func BenchmarkLoad(bench *testing.B) {
	pool := testenv.Database(bench)
	n := benchSize()
	fill(bench, pool, n)
	b, err := New(pool, nil, Config{Name: "bench", Log: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err != nil {
		bench.Fatal(err)
	}
	for bench.Loop() {
		b.memory = memory.New(domain.DefaultTakeover)
		if err := b.load(bench.Context(), time.Now().UnixMicro()); err != nil {
			bench.Fatal(err)
		}
	}
	b.memory = nil
	before := heap()
	if err := b.load(bench.Context(), time.Now().UnixMicro()); err != nil {
		bench.Fatal(err)
	}
	bench.ReportMetric(float64(heap()-before)/float64(n), "B/schedule")
	bench.ReportMetric(bench.Elapsed().Seconds()/float64(bench.N)/float64(n)*1e6, "s/1M")
	runtime.KeepAlive(b)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
