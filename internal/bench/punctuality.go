package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/wait"
)

// punctuality measures how late runs are handed over while 1,000 are due each second: from the due time until the relay
// knows that the list has the task. The goal depends on what a commit takes.
func punctuality(ctx context.Context, l *Lab) ([]Figure, error) {
	n := l.Size(1000)
	wanted := []Wanted{
		{fmt.Sprintf("lateness of tasks while %d are due each second, p50", n), Milliseconds, Goal{}},
		{"the same, p99", Milliseconds, Goal{}},
		{"a commit, p50", Milliseconds, Goal{}},
	}
	figures, err := l.Repeat(ctx, wanted, func(ctx context.Context) ([]float64, error) { return l.lateness(ctx, n) })
	if err == nil {
		figures[1].Goal = AtMost(2*figures[2].Value + 20)
	}
	return figures, err
}

const lateness = `
select percentile_disc(0.5) within group (order by late), percentile_disc(0.99) within group (order by late)
from (
    select 1000 * extract(epoch from sent_at - due_at)::float8 as late from tactus.runs
    where sent_at is not null and due_at > $1) r`

func (l *Lab) lateness(ctx context.Context, n int) (values []float64, err error) {
	on, err := l.load(ctx, n, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, on.stop()) }()
	if err := wait.For(ctx, warmUp); err != nil {
		return nil, err
	}
	commit, err := commitTime(ctx, on.pool)
	if err != nil {
		return nil, err
	}
	var from time.Time
	if err := on.pool.QueryRow(ctx, "select clock_timestamp()").Scan(&from); err != nil {
		return nil, err
	}
	if err := wait.For(ctx, l.window()+time.Second); err != nil {
		return nil, err
	}
	var p50, p99 float64
	if err := on.pool.QueryRow(ctx, lateness, from).Scan(&p50, &p99); err != nil {
		return nil, fmt.Errorf("read how late runs were: %w", err)
	}
	return []float64{p50, p99, commit}, nil
}

// commitTime returns the median time of a transaction that writes one row, in milliseconds.
func commitTime(ctx context.Context, pool *pgxpool.Pool) (float64, error) {
	if _, err := pool.Exec(ctx, "create table if not exists public.bench_commit (n bigint)"); err != nil {
		return 0, err
	}
	var took []float64
	for n := range 50 {
		start := time.Now()
		if _, err := pool.Exec(ctx, "insert into public.bench_commit values ($1)", n); err != nil {
			return 0, err
		}
		took = append(took, float64(time.Since(start))/float64(time.Millisecond))
	}
	return median(took), nil
}
