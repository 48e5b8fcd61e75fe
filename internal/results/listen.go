package results

import (
	"context"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
)

// heard is a payload of a subscription.
type heard struct {
	payload string
	event   bool
}

// listen hears what is published until ctx ends, through every outage. Whenever it begins to listen, what was published
// before is to be looked for. What comes faster than it is taken is left for the next sweep.
func (c *Collector) listen(ctx context.Context, client goredis.UniversalClient, pattern string, event bool) {
	out := outage{log: c.log, what: "listen to " + map[bool]string{true: "events", false: "results"}[event]}
	for ctx.Err() == nil {
		err := c.hearAll(ctx, client.PSubscribe(ctx, pattern), event, out.over)
		if ctx.Err() == nil {
			out.wait(ctx, err)
		}
	}
}

// hearAll hears from one subscription until it breaks.
func (c *Collector) hearAll(ctx context.Context, sub *goredis.PubSub, event bool, began func()) (err error) {
	defer func() { err = errors.Join(err, sub.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // what waits in Receive ends
	return redis.Hear(ctx, sub, func() {
		began()
		c.lookBack()
	}, func(payload string) error {
		c.hand(heard{payload, event})
		return nil
	})
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

// tells tells whether a payload of events may be worth reading.
func tells(payload string) bool {
	return !strings.Contains(payload, `"routing_key": "worker.`) || strings.Contains(payload, `"routing_key": "worker.heartbeat"`)
}

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
	now := time.Now()
	for _, h := range batch {
		if h.event {
			events, err := celery.ParseEvents([]byte(h.payload))
			if err != nil {
				c.metrics.unreadable.Inc()
			}
			for _, e := range events {
				if a, ok := fromEvent(e, now); ok && a.ours() {
					g.add(a)
					c.running.hear(e.Hostname, a)
				}
				if e.Idle {
					for _, a := range c.running.ended(e.Hostname, believed(e.Time, now)) {
						g.add(a)
					}
				}
			}
			continue
		}
		r, err := celery.ParseResult([]byte(h.payload))
		if err != nil {
			c.unreadable(err)
			continue
		}
		if a, ok := fromResult(r, now); ok && a.ours() {
			g.add(a)
		}
	}
	return g
}
