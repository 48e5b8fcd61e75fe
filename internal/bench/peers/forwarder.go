package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/components/forwarder"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/bench"
)

const (
	// backlog is how many events both sides find. watermill-sql reads past all delivered events each time it looks for
	// more, so its rate falls with the backlog: here from 6,000 a second at 5,000 events to 850 at 200,000.
	backlog = 50_000
	// payload has the size of our events.
	payload = 900
)

// forwarderSection drains a log with the relay, and a log of watermill-sql with Watermill's own forwarder and
// publisher.
func forwarderSection(ctx context.Context, l *bench.Lab) (figures []bench.Figure, err error) {
	pool, drop, err := l.Database(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, drop()) }()
	client, err := l.Redis(ctx)
	if err != nil {
		return nil, err
	}
	n := l.Size(backlog)
	if err := bench.Backlog(ctx, pool, n); err != nil {
		return nil, err
	}
	round := 0
	f, err := l.Compare(ctx, fmt.Sprintf("drain of %d changes, to watermill-sql and its forwarder", n), bench.AtLeast(25),
		func(ctx context.Context) (float64, error) { return bench.Drain(ctx, pool, client, "", n) },
		func(ctx context.Context) (float64, error) {
			round++
			return forwarded(ctx, pool, client, fmt.Sprintf("bench_%d", round), n)
		})
	return []bench.Figure{f}, err
}

// forwarded fills a log of its own, and measures the forwarder on it.
func forwarded(
	ctx context.Context, pool *pgxpool.Pool, client goredis.UniversalClient, topic string, n int,
) (rate float64, err error) {
	log := watermill.NopLogger{}
	db := sql.BeginnerFromPgx(pool)
	if err := fill(db, topic, n); err != nil {
		return 0, err
	}
	if _, err := pool.Exec(ctx, "vacuum analyze"); err != nil {
		return 0, fmt.Errorf("vacuum the log of watermill-sql: %w", err)
	}
	in, err := sql.NewSubscriber(db, sql.SubscriberConfig{
		ConsumerGroup: "bench", PollInterval: 10 * time.Millisecond, InitializeSchema: true,
		SchemaAdapter: sql.DefaultPostgreSQLSchema{}, OffsetsAdapter: sql.DefaultPostgreSQLOffsetsAdapter{},
	}, log)
	if err != nil {
		return 0, err
	}
	out, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, log)
	if err != nil {
		return 0, err
	}
	f, err := forwarder.NewForwarder(in, out, log, forwarder.Config{ForwarderTopic: topic})
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	<-f.Running()
	rate, err = bench.Timed(n, func(ctx context.Context) error { return await(ctx, client, topic, n) })(ctx)
	// The publisher closes its client, which is borrowed, so the publisher stays open.
	return rate, errors.Join(err, f.Close(), <-ended, client.Unlink(ctx, topic).Err())
}

// fill publishes as a service would: into PostgreSQL, in envelopes for the forwarder.
func fill(db sql.Beginner, topic string, n int) error {
	to, err := sql.NewPublisher(db, sql.PublisherConfig{SchemaAdapter: sql.DefaultPostgreSQLSchema{}, AutoInitializeSchema: true}, watermill.NopLogger{})
	if err != nil {
		return err
	}
	enveloped := forwarder.NewPublisher(to, forwarder.PublisherConfig{ForwarderTopic: topic})
	for done := 0; done < n; {
		var page []*message.Message
		for ; len(page) < 500 && done < n; done++ {
			page = append(page, message.NewMessage(watermill.NewUUID(), []byte(`"`+strings.Repeat("x", payload)+`"`)))
		}
		if err := enveloped.Publish(topic, page...); err != nil {
			return fmt.Errorf("fill the log of watermill-sql: %w", err)
		}
	}
	return nil
}

func await(ctx context.Context, client goredis.UniversalClient, stream string, n int) error {
	for {
		length, err := client.XLen(ctx, stream).Result()
		if err != nil || length >= int64(n) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
