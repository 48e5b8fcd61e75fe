package redis_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/sinktest"
)

func TestEventSinkConforms(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		client := testenv.Redis(t)
		return sinktest.Subject{
			Open:     func(t *testing.T) relay.Sink { return redis.NewEventSink(client, redis.EventConfig{}) },
			Message:  text,
			Payloads: func(t *testing.T) []string { return streamPayloads(t, client, redis.EventStream) },
		}
	})
}

// TestTaskSinkConforms fills a list of Celery's, and a task stream.
func TestTaskSinkConforms(t *testing.T) {
	t.Parallel()
	t.Run("list", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
			client := testenv.Redis(t)
			return sinktest.Subject{
				Open:     func(t *testing.T) relay.Sink { return taskSink(t, client) },
				Message:  func(payload string) *message.Message { return redis.ToList(text(payload), "celery") },
				Payloads: func(t *testing.T) []string { return queue(t, client, "celery") },
			}
		})
	})
	t.Run("stream", func(t *testing.T) {
		t.Parallel()
		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
			client := testenv.Redis(t)
			return sinktest.Subject{
				Open:     func(t *testing.T) relay.Sink { return taskSink(t, client) },
				Message:  func(payload string) *message.Message { return redis.ToStream(text(payload), "jobs") },
				Payloads: func(t *testing.T) []string { return streamPayloads(t, client, "jobs") },
			}
		})
	})
}

// streamPayloads are the payloads of a stream's entries.
func streamPayloads(t testing.TB, client goredis.UniversalClient, stream string) (all []string) {
	t.Helper()
	entries, err := client.XRange(t.Context(), stream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		all = append(all, e.Values["payload"].(string))
	}
	return all
}
