package relay_test

import (
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/sinktest"
)

func TestForwardConforms(t *testing.T) {
	t.Parallel()
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		pool, published := testenv.Database(t), &collected{}
		return sinktest.Subject{
			AtLeastOnce: true,
			Open: func(t *testing.T) relay.Sink {
				sink, err := relay.Forward(publishTo{published}, pool, "other", "schedules")
				if err != nil {
					t.Fatal(err)
				}
				return sink
			},
			Message:  func(payload string) *message.Message { return message.NewMessage(payload, nil) },
			Payloads: func(*testing.T) []string { return published.all() }, // publishTo keeps the UUIDs
		}
	})
}
