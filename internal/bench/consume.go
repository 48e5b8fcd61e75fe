package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/wait"
)

const (
	// page is how many entries both sides read at a time.
	page = 500
	// payload has the size of a typical schedule's event.
	payload = 900
)

// consumption compares our subscriber with plain XREADGROUP and XACK in pages of the same size.
func consumption(ctx context.Context, l *Lab) ([]Figure, error) {
	client, err := l.Redis(ctx)
	if err != nil {
		return nil, err
	}
	const stream = "bench:consume"
	n := l.Size(200_000)
	if err := fill(ctx, client, stream, n); err != nil {
		return nil, err
	}
	f, err := l.Compare(ctx, fmt.Sprintf("consumption of %d, to XREADGROUP and XACK", n), AtLeast(0.6),
		func(ctx context.Context) (float64, error) { return subscribed(ctx, client, stream, n) },
		Timed(n, func(ctx context.Context) error { return readPlainly(ctx, client, stream, n) }))
	return []Figure{f}, err
}

func fill(ctx context.Context, client goredis.UniversalClient, stream string, n int) error {
	values := []any{"_watermill_message_uuid", uuid.NewString(), "metadata", "", "payload", strings.Repeat("x", payload)}
	for done := 0; done < n; done += page {
		_, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
			for range min(page, n-done) {
				p.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: values})
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("fill %s: %w", stream, err)
		}
	}
	return nil
}

// subscribed reads everything in the stream, and waits until all of it is acknowledged. It does not count the time of
// closing, which waits for a read that finds nothing.
func subscribed(ctx context.Context, client goredis.UniversalClient, stream string, n int) (rate float64, err error) {
	group := uuid.NewString()
	s, err := redis.NewSubscriber(client, redis.SubscriberConfig{Group: group, Batch: page})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return Timed(n, func(ctx context.Context) error {
		messages, err := s.Subscribe(ctx, stream)
		if err != nil {
			return err
		}
		for range n {
			m, ok := <-messages
			if !ok {
				return errors.New("the subscription ended too early")
			}
			m.Ack()
		}
		return acknowledged(ctx, client, stream, group)
	})(ctx)
}

func acknowledged(ctx context.Context, client goredis.UniversalClient, stream, group string) error {
	for {
		pending, err := client.XPending(ctx, stream, group).Result()
		if err != nil || pending.Count == 0 {
			return err
		}
		if err := wait.For(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

func readPlainly(ctx context.Context, client goredis.UniversalClient, stream string, n int) error {
	group := uuid.NewString()
	if err := client.XGroupCreate(ctx, stream, group, "0").Err(); err != nil {
		return err
	}
	for taken := 0; taken < n; {
		read, err := client.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: group, Consumer: "plain", Streams: []string{stream, ">"}, Count: page}).Result()
		if err != nil {
			return err
		}
		ids := make([]string, len(read[0].Messages))
		for i, m := range read[0].Messages {
			ids[i] = m.ID
		}
		if err := client.XAck(ctx, stream, group, ids...).Err(); err != nil {
			return err
		}
		taken += len(ids)
	}
	return nil
}
