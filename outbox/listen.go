package outbox

import (
	"context"
	"time"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Listen listens to the bell until ctx ends, on a connection of its own. url must lead straight to the server, because
// a pooler in transaction mode does not pass bells on. Listen calls rung with the topic of each bell, and with an empty
// topic whenever it has connected, because bells of any topic may have been missed before. When a connection is lost or
// cannot be made, it calls deaf with the reason, and connects again.
func Listen(ctx context.Context, url string, rung func(topic string), deaf func(error)) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		err := listen(ctx, url, func(topic string) {
			pause = firstPause
			rung(topic)
		})
		if ctx.Err() != nil {
			return
		}
		deaf(err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

const (
	firstPause   = 100 * time.Millisecond
	longestPause = 5 * time.Second
)

func listen(ctx context.Context, url string, rung func(topic string)) error {
	conn, err := postgres.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "listen "+sqlexpr.Channel); err != nil {
		return err
	}
	for rung(""); ; {
		bell, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		rung(bell.Payload)
	}
}
