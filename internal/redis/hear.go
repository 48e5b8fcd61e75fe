package redis

import (
	"context"
	"errors"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pulse is how long a subscription may be silent before it is asked whether it still lives.
const pulse = 15 * time.Second

// Hear passes on what a Pub/Sub subscription tells, until it breaks, ctx ends, or heard gives an error. It calls began
// whenever a subscription is in force: what was told before is not heard.
func Hear(ctx context.Context, sub *goredis.PubSub, began func(), heard func(payload string) error) error {
	asked := false
	for {
		message, err := sub.ReceiveTimeout(ctx, pulse)
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() && !asked {
			asked = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		asked = false
		switch m := message.(type) {
		case *goredis.Subscription:
			began()
		case *goredis.Message:
			if err := heard(m.Payload); err != nil {
				return err
			}
		}
	}
}
