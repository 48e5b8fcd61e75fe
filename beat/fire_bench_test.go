package beat

import (
	"log/slog"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// BenchmarkFire settles as many schedules as there are, all due in the same second.
func BenchmarkFire(bench *testing.B) {
	pool := testenv.Database(bench)
	n := benchSize()
	fill(bench, pool, n)
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	if _, err := pool.Exec(bench.Context(), `update tactus.schedules set trigger = '{"every":60}', anchor = $1::timestamptz - id_n.n % 1000 * interval '1 millisecond' from (select id, row_number() over () as n from tactus.schedules) id_n where id_n.id = schedules.id`, due); err != nil {
		bench.Fatal(err)
	}
	if _, err := pool.Exec(bench.Context(), `vacuum analyze tactus.schedules`); err != nil {
		bench.Fatal(err)
	}
	b, err := New(pool, nil, Config{Name: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		bench.Fatal(err)
	}
	if err := b.start(bench.Context()); err != nil {
		bench.Fatal(err)
	}
	now := time.Now().UnixMicro()
	for {
		wake, err := b.step(bench.Context(), now)
		if err != nil {
			bench.Fatal(err)
		}
		if wake > now {
			break
		}
	}
	for bench.Loop() {
		bench.StopTimer()
		began := time.Now()
		now = max(now+60_000_000, b.memory.NextFire()+1_000_000)
		for b.memory.NextFire() <= now {
			bench.StartTimer()
			if err := b.fire(bench.Context(), now); err != nil {
				bench.Fatal(err)
			}
			bench.StopTimer()
		}
		bench.Logf("%d in %s", b.stats.Fired, time.Since(began))
		bench.StartTimer()
	}
	bench.ReportMetric(float64(n)*float64(bench.N)/bench.Elapsed().Seconds(), "runs/s")
}
