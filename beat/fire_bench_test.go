package beat

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// BenchmarkFire fires all schedules, which were due in the second before the benchmark began, by one statement at a
// time and by several. Nothing fires before it is due, so each round fires the same due times again, after the tables
// were emptied.
func BenchmarkFire(bench *testing.B) {
	for _, statements := range []int{1, 2, 4} {
		bench.Run(fmt.Sprint("statements=", statements), func(bench *testing.B) { benchmarkFire(bench, statements) })
	}
}

func benchmarkFire(bench *testing.B, statements int) {
	pool := testenv.Database(bench)
	n := benchSize()
	fill(bench, pool, n)
	if _, err := pool.Exec(bench.Context(), dueJustNow); err != nil {
		bench.Fatal(err)
	}
	if _, err := pool.Exec(bench.Context(), `vacuum analyze tactus.schedules`); err != nil {
		bench.Fatal(err)
	}
	b, err := New(pool, nil, Config{Name: "bench", Statements: statements, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		bench.Fatal(err)
	}
	if err := b.start(bench.Context()); err != nil {
		bench.Fatal(err)
	}
	now := time.Now().UnixMicro()
	if err := b.renew(bench.Context(), now); err != nil {
		bench.Fatal(err)
	}
	for bench.Loop() {
		bench.StopTimer()
		if _, err := pool.Exec(bench.Context(), `truncate tactus.runs, tactus.outbox`); err != nil {
			bench.Fatal(err)
		}
		if err := b.load(bench.Context(), memory.Always); err != nil {
			bench.Fatal(err)
		}
		before := b.stats.Fired
		for b.memory.NextFire() <= now {
			bench.StartTimer()
			if err := b.fire(bench.Context(), now); err != nil {
				bench.Fatal(err)
			}
			bench.StopTimer()
		}
		if fired := b.stats.Fired - before; fired != int64(n) {
			bench.Fatalf("%d of %d fired", fired, n)
		}
		bench.StartTimer()
	}
	bench.ReportMetric(float64(n)*float64(bench.N)/bench.Elapsed().Seconds(), "runs/s")
}

const dueJustNow = `
update tactus.schedules set trigger = '{"every":3600}',
    effective_from = now() - interval '1 minute', anchor = now() - numbered.n % 1000 * interval '1 millisecond'
from (select id, row_number() over () as n from tactus.schedules) numbered where numbered.id = schedules.id`
