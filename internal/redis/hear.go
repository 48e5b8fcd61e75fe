package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// pingAfter is how long a subscription may be silent before it is pinged. Without an answer after the same time again,
// the connection counts as broken.
const pingAfter = 15 * time.Second

// literal escapes what stands for more than itself in a pattern.
var literal = strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`)

// Literal returns the pattern that a text alone matches.
func Literal(text string) string { return literal.Replace(text) }

// Hear calls heard with each message of a Pub/Sub subscription, until the connection breaks, ctx ends, or heard returns
// an error. It calls began each time Redis confirms a subscription: messages published before are lost.
func Hear(ctx context.Context, sub *goredis.PubSub, began func(), heard func(channel, payload string) error) error {
	pinged := false
	for {
		message, err := sub.ReceiveTimeout(ctx, pingAfter)
		if t, ok := errors.AsType[net.Error](err); ok && t.Timeout() && !pinged {
			pinged = true
			if err := sub.Ping(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		pinged = false
		switch m := message.(type) {
		case *goredis.Subscription:
			began()
		case *goredis.Message:
			if err := heard(m.Channel, m.Payload); err != nil {
				return err
			}
		}
	}
}
