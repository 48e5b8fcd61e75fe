package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/wait"
)

// waitingRuns is a database with runs that were recorded while no relay served their sink.
type waitingRuns struct {
	pool      *pgxpool.Pool
	client    goredis.UniversalClient
	n         int
	wal, size int64 // before the runs were recorded
	stop      func() error
}

const recordRuns = `
with run as (
    insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
    select gen_random_uuid(), s.id, now() - n * interval '1 microsecond', 'scheduled', 'due', 1
    from tactus.schedules s, generate_series(1, @n::bigint) n
    returning id, schedule_id, due_at
)
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'run', run.id, 1, 'run.due', tactus.run_due(s.id, s.name, s.task, run.id, run.due_at, 'scheduled')
from run join tactus.schedules s on s.id = run.schedule_id`

// backlogOf records n runs of one schedule after a relay has served the sink and gone.
func (l *Lab) backlogOf(ctx context.Context, n int) (b *waitingRuns, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	b = &waitingRuns{pool: pool, n: n, stop: drop}
	defer func() {
		if err != nil {
			err = errors.Join(err, drop())
		}
	}()
	if b.client, err = l.Redis(ctx); err != nil {
		return nil, err
	}
	if err := seed(ctx, pool, 1, everySecond()); err != nil {
		return nil, err
	}
	s, err := startStation(ctx, pool, b.client)
	if err != nil {
		return nil, err
	}
	err = served(ctx, s)
	s.stop()
	if err != nil {
		return nil, err
	}
	if err := pool.QueryRow(ctx, bytesWritten).Scan(&b.wal, &b.size); err != nil {
		return nil, fmt.Errorf("measure what was written: %w", err)
	}
	if _, err := pool.Exec(ctx, recordRuns, pgx.NamedArgs{"n": n}); err != nil {
		return nil, fmt.Errorf("record runs: %w", err)
	}
	return b, nil
}

// served waits until a station serves all sinks.
func served(ctx context.Context, s *station) error {
	for {
		all := true
		for _, sink := range s.Stats() {
			all = all && sink.Mark.Epoch != "" && sink.Problem == nil
		}
		if all {
			return nil
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

const anyDue = `select count(*) from (select from tactus.runs where status = 'due' limit 1) one`

// handOver runs a relay until all tasks are in their list and Postgres says so, and returns how many a second were.
func (b *waitingRuns) handOver(ctx context.Context) (float64, error) {
	start := time.Now()
	s, err := startStation(ctx, b.pool, b.client)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	for {
		n, err := b.client.LLen(ctx, typical().Queue).Result()
		if err != nil {
			return 0, err
		}
		if n == int64(b.n) {
			break
		}
		if time.Since(start) > patience {
			return 0, fmt.Errorf("waited %s for %d tasks: %d were handed over", patience, b.n, n)
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	rate := float64(b.n) / time.Since(start).Seconds()
	for due := 1; due > 0; {
		if err := b.pool.QueryRow(ctx, anyDue).Scan(&due); err != nil {
			return 0, fmt.Errorf("count due runs: %w", err)
		}
		if time.Since(start) > patience {
			return 0, fmt.Errorf("waited %s for the confirmation", patience)
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return 0, err
		}
	}
	return rate, nil
}

// afterOutage compares how fast a backlog of runs reaches its list with plain LPUSHes of the same messages.
func afterOutage(ctx context.Context, l *Lab) ([]Figure, error) {
	n := l.Size(100_000)
	var messages []string
	name := fmt.Sprintf("hand-over of a backlog of %d runs, to pipelined LPUSHes of the same messages", n)
	f, err := l.Compare(ctx, name, AtLeast(0.35),
		func(ctx context.Context) (float64, error) {
			rate, texts, err := l.drainRuns(ctx, n)
			messages = texts
			return rate, err
		},
		func(ctx context.Context) (float64, error) {
			if messages == nil {
				var err error
				if _, messages, err = l.drainRuns(ctx, l.Size(page)); err != nil {
					return 0, err
				}
			}
			return l.pushAll(ctx, messages, n)
		})
	return []Figure{f}, err
}

// drainRuns hands over a backlog, and also returns the first messages of it.
func (l *Lab) drainRuns(ctx context.Context, n int) (rate float64, messages []string, err error) {
	b, err := l.backlogOf(ctx, n)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if rate, err = b.handOver(ctx); err != nil {
		return 0, nil, err
	}
	messages, err = b.client.LRange(ctx, typical().Queue, 0, page-1).Result()
	return rate, messages, err
}

// pushAll pushes n messages in pipelines.
func (l *Lab) pushAll(ctx context.Context, messages []string, n int) (float64, error) {
	client, err := l.Redis(ctx)
	if err != nil {
		return 0, err
	}
	return Timed(n, func(ctx context.Context) error {
		for done := 0; done < n; done += page {
			if _, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for i := range min(page, n-done) {
					p.LPush(ctx, typical().Queue, messages[i%len(messages)])
				}
				return nil
			}); err != nil {
				return err
			}
		}
		return nil
	})(ctx)
}
