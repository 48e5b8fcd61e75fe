package results

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
)

// pulse is how long a subscription may be silent before it is asked whether it still lives.
const pulse = 15 * time.Second

// heard is a payload of a subscription.
type heard struct {
	payload string
	event   bool
}

// listen hears what is published until ctx ends, through every outage. Whenever it begins to listen, what was published
// before is to be looked for. What comes faster than it is taken is left for the next sweep.
func (c *Collector) listen(ctx context.Context, client redis.UniversalClient, pattern string, event bool) {
	out := outage{log: c.log, what: "listen to " + map[bool]string{true: "events", false: "results"}[event]}
	for ctx.Err() == nil {
		err := c.hearAll(ctx, client.PSubscribe(ctx, pattern), event, out.over)
		if ctx.Err() == nil {
			out.wait(ctx, err)
		}
	}
}

// hearAll hears from one subscription until it breaks.
func (c *Collector) hearAll(ctx context.Context, sub *redis.PubSub, event bool, began func()) (err error) {
	defer func() { err = errors.Join(err, sub.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // what waits in Receive ends
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
		case *redis.Subscription:
			began()
			c.lookBack()
		case *redis.Message:
			c.hand(heard{m.Payload, event})
		}
	}
}

func (c *Collector) hand(h heard) {
	if h.event && !tells(h.payload) {
		return
	}
	select {
	case c.inbox <- h:
	default:
		c.metrics.missed.Inc()
		c.lookBack()
	}
}

// tells tells whether a payload of events may be worth reading: those of workers themselves come every two seconds from each.
func tells(payload string) bool { return !strings.Contains(payload, `"routing_key": "worker.`) }

// lookBack asks for a sweep over everything.
func (c *Collector) lookBack() { signal(c.gap) }

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // it is asked for already
	}
}

// read makes answers of what was heard.
func (c *Collector) read(batch []heard) (g gathered) {
	for _, h := range batch {
		if h.event {
			events, err := celery.ParseEvents([]byte(h.payload))
			if err != nil {
				c.metrics.unreadable.Inc()
			}
			for _, e := range events {
				if a, ok := fromEvent(e); ok && a.ours() {
					g.add(a)
				}
			}
			continue
		}
		r, err := celery.ParseResult([]byte(h.payload))
		if err != nil {
			c.unreadable(err)
			continue
		}
		if a, ok := fromResult(r); ok && a.ours() {
			g.add(a)
		}
	}
	return g
}
