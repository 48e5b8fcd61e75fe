package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/wait"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// drain compares how fast a relay publishes a full log to the stream with plain XADDs of the same entries.
func drain(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	n := l.Size(200_000)
	if err := Backlog(ctx, pool, n); err != nil {
		return nil, err
	}
	for _, notices := range []string{"", "bench:notices"} {
		client, err := l.Redis(ctx)
		if err != nil {
			return figures, err
		}
		name, goal := fmt.Sprintf("drain of %d changes, to encoded XADDs", n), AtLeast(0.6)
		if notices != "" {
			name, goal = fmt.Sprintf("drain of %d changes with notices, to encoded XADDs without", n), Goal{}
		}
		_, entries, err := drained(ctx, pool, client, notices, n)
		if err != nil {
			return figures, err
		}
		f, err := l.Compare(ctx, name, goal,
			func(ctx context.Context) (float64, error) { return Drain(ctx, pool, client, notices, n) },
			func(ctx context.Context) (float64, error) { return addAll(ctx, client, entries, n) })
		if err != nil {
			return figures, err
		}
		figures = append(figures, f)
	}
	return figures, nil
}

const backlog = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', gen_random_uuid(), 1, 'schedule.created', @data::json from generate_series(1, @n::bigint)`

// Backlog fills the log with n events of typical schedules.
func Backlog(ctx context.Context, pool *pgxpool.Pool, n int) error {
	id, now := outbox.NewID(), time.Now().UTC()
	d := typical()
	d.CronExpression = "*/5 8-18 * * 1-5"
	d, _, err := d.Normalize(domain.Context{ID: id, Now: now})
	if err != nil {
		return err
	}
	data, err := json.Marshal(domain.Schedule{ID: id, Version: 1, Definition: d, CreatedAt: now, UpdatedAt: now, EffectiveFrom: now, TriggerSetAt: now})
	if err != nil {
		return err
	}
	if _, err = pool.Exec(ctx, backlog, pgx.NamedArgs{"n": n, "data": string(data)}); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	_, err = pool.Exec(ctx, "vacuum analyze tactus.outbox")
	return err
}

// Drain runs a relay with a new sink until everything is in the sink's stream, and then removes the stream.
func Drain(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, notices string, n int,
) (rate float64, err error) {
	rate, _, err = drained(ctx, pool, client, notices, n)
	return rate, err
}

// drained does the same, and also returns the first entries that the relay has written, as arguments of XADD.
func drained(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, notices string, n int,
) (rate float64, entries [][]any, err error) {
	stream := "bench:" + outbox.NewID().String()
	route := relay.Route{
		Name: stream, Topic: outbox.Schedules, Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
		Sink: redis.NewEventSink(client, redis.EventConfig{Stream: stream, Channel: notices}),
	}
	r, err := relay.New(pool, []relay.Route{route}, relay.Config{})
	if err != nil {
		return 0, nil, err
	}
	running, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	rate, err = Timed(n, func(ctx context.Context) error {
		go func() {
			defer close(done)
			r.Run(running)
		}()
		for r.Stats()[0].Published < int64(n) {
			if err := wait.For(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})(ctx)
	cancel()
	<-done
	if err != nil {
		return 0, nil, err
	}
	if entries, err = firstEntries(ctx, client, stream); err != nil {
		return 0, nil, err
	}
	return rate, entries, client.Unlink(ctx, stream).Err()
}

func firstEntries(ctx context.Context, client goredis.UniversalClient, stream string) (entries [][]any, err error) {
	first, err := client.XRangeN(ctx, stream, "-", "+", page).Result()
	for _, e := range first {
		var values []any
		for name, value := range e.Values {
			values = append(values, name, value)
		}
		entries = append(entries, values)
	}
	return entries, err
}

// addAll adds n entries in pipelines of the same size as the relay's calls.
func addAll(ctx context.Context, client goredis.UniversalClient, entries [][]any, n int) (rate float64, err error) {
	stream := "bench:" + outbox.NewID().String()
	rate, err = Timed(n, func(ctx context.Context) error {
		for done := 0; done < n; done += page {
			_, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
				for i := range min(page, n-done) {
					p.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: entries[i%len(entries)]})
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})(ctx)
	if err != nil {
		return 0, err
	}
	return rate, client.Unlink(ctx, stream).Err()
}
