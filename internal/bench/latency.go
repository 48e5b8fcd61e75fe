package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/wait"
	"github.com/tactus-dev/tactus/outbox"
)

// changesPerSecond is the rate of changes at which latency is measured.
const changesPerSecond = 500

// commitToConsumer measures the time from the commit of a change to the delivery of its event to a subscriber, at a
// steady rate of changes: first alone, and then while an unrelated transaction that has written stays open.
func commitToConsumer(ctx context.Context, l *Lab) (figures []Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	client, err := l.Redis(ctx)
	if err != nil {
		return nil, err
	}
	s, err := startStation(ctx, pool, client)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	for _, open := range []bool{false, true} {
		name := fmt.Sprintf("commit to consumer at %d/s", changesPerSecond)
		measure := func(ctx context.Context) ([]float64, error) { return deliveries(ctx, pool, client, l.Size(2000)) }
		if open {
			name += ", a transaction open"
			alone := measure
			measure = func(ctx context.Context) (values []float64, err error) {
				return values, withOpenTransaction(ctx, pool, func() error {
					values, err = alone(ctx)
					return err
				})
			}
		}
		more, err := l.Repeat(ctx, []Wanted{{name + ", p50", Milliseconds, Goal{}}, {name + ", p99", Milliseconds, Goal{}}}, measure)
		figures = append(figures, more...)
		if err != nil {
			return figures, err
		}
	}
	return figures, nil
}

// withOpenTransaction calls a function while another transaction has a transaction id and stays open.
func withOpenTransaction(ctx context.Context, pool *pgxpool.Pool, do func() error) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "create table unrelated (id bigint)")
	if err == nil {
		err = do()
	}
	if rolledBack := tx.Rollback(ctx); !errors.Is(rolledBack, pgx.ErrTxClosed) {
		err = errors.Join(err, rolledBack)
	}
	return err
}

// deliveries returns the p50 and the p99 of the latencies of n changes.
func deliveries(ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, n int) ([]float64, error) {
	c, err := consume(ctx, client)
	if err != nil {
		return nil, err
	}
	defer c.stop()
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	events := make([]string, n)
	committed, err := paced(ctx, n, changesPerSecond, func(ctx context.Context, i int) error {
		d := typical()
		d.CronExpression = "*/5 * * * *"
		s, err := store.Create(ctx, d, "", nil)
		events[i] = fmt.Sprintf("%s/%d", s.ID, s.Version)
		return err
	})
	if err != nil {
		return nil, err
	}
	received := make([]time.Time, n)
	for i, event := range events {
		if received[i], err = c.when(ctx, event); err != nil {
			return nil, err
		}
	}
	all := latencies(committed, received)
	return []float64{percentile(all, 50), percentile(all, 99)}, nil
}

// consumer records when events are delivered.
type consumer struct {
	cancel context.CancelFunc
	sub    *redis.Subscriber
	read   sync.WaitGroup

	mu   sync.Mutex
	came map[string]time.Time
}

func consume(ctx context.Context, client goredis.UniversalClient) (*consumer, error) {
	sub, err := redis.NewSubscriber(client, redis.SubscriberConfig{Group: outbox.NewID().String(), Start: "$"})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &consumer{cancel: cancel, sub: sub, came: map[string]time.Time{}}
	messages, err := sub.Subscribe(ctx, redis.EventStream)
	if err != nil {
		cancel()
		return nil, errors.Join(err, sub.Close())
	}
	c.read.Go(func() {
		for m := range messages {
			now := time.Now()
			c.mu.Lock()
			c.came[m.UUID] = now
			c.mu.Unlock()
			m.Ack()
		}
	})
	return c, nil
}

// when waits for an event, and returns when it was delivered.
func (c *consumer) when(ctx context.Context, event string) (time.Time, error) {
	for deadline := time.Now().Add(patience); ; {
		c.mu.Lock()
		at, ok := c.came[event]
		c.mu.Unlock()
		if ok {
			return at, nil
		}
		if time.Now().After(deadline) {
			return at, fmt.Errorf("event %s was not delivered within %s", event, patience)
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return at, err
		}
	}
}

func (c *consumer) stop() {
	c.cancel()
	_ = c.sub.Close() // never fails
	c.read.Wait()
}
