package results

import (
	"context"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/redis"
)

// heard is a message of a subscription.
type heard struct {
	payload string
	event   bool // whether it holds events rather than a result
}

func (h heard) size() int64 { return int64(len(h.payload)) }

// channels are the channels that the collector listens to on one server.
type channels struct {
	what    string // what is published there, for the log
	pattern string
	events  bool // a message holds events rather than a result
}

// listen subscribes to channels until ctx ends, and again after each outage. Each time it begins to listen it asks for
// a sweep, because something may have been published before. A message that comes faster than messages are recorded is
// dropped, and found by a sweep; so is one that is too large to wait beside the others.
func (c *Collector) listen(ctx context.Context, client goredis.UniversalClient, to channels) {
	out := outage{log: c.log, what: "listen to " + to.what}
	for ctx.Err() == nil {
		err := c.hearUntilItBreaks(ctx, client.PSubscribe(ctx, to.pattern), to.events, func() {
			out.over()
			c.noteHearing(to, true)
		})
		c.noteHearing(to, false)
		if ctx.Err() == nil {
			out.wait(ctx, err)
		}
	}
}

func (c *Collector) noteHearing(to channels, is bool) {
	if !to.events {
		c.hearing.Store(is)
	}
}

// hearUntilItBreaks listens to one subscription until it breaks.
func (c *Collector) hearUntilItBreaks(ctx context.Context, sub *goredis.PubSub, event bool, began func()) (err error) {
	defer func() { err = errors.Join(err, sub.Close()) }()
	defer context.AfterFunc(ctx, func() { _ = sub.Close() })() // ends the wait in Receive
	return redis.Hear(ctx, sub, func() {
		began()
		c.lookBack()
	}, func(channel, payload string) error {
		if event || c.oursOn(channel) {
			c.enqueue(heard{payload, event})
		}
		return nil
	})
}

// oursOn reports whether a channel is for the result of a run of tactus. A backend may have many channels of other
// applications.
func (c *Collector) oursOn(channel string) bool {
	id, err := domain.ParseID(strings.TrimPrefix(channel, c.cfg.KeyPrefix+celery.ResultPrefix))
	return err == nil && ours(id)
}

// enqueue passes a message on to recordHeard, or asks for a sweep if there is no room.
func (c *Collector) enqueue(h heard) {
	if h.event && !relevant(h.payload) {
		return
	}
	if c.waiting.Add(h.size()) <= mostWaiting {
		select {
		case c.inbox <- h:
			return
		default:
		}
	}
	c.waiting.Add(-h.size())
	c.metrics.missed.Inc()
	c.lookBack()
}

// relevant reports whether a message with events may be worth parsing.
func relevant(payload string) bool {
	return !strings.Contains(payload, `"routing_key": "worker.`) ||
		strings.Contains(payload, `"routing_key": "worker.heartbeat"`)
}

// lookBack asks for a sweep over all open runs.
func (c *Collector) lookBack() { signal(c.gap) }

// signal sends a signal unless one is pending.
func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default: // a signal is pending already
	}
}

// read converts messages to answers.
func (c *Collector) read(batch []heard) (g gathered) {
	now := time.Now()
	for _, h := range batch {
		c.waiting.Add(-h.size())
		if h.event {
			events, err := celery.ParseEvents([]byte(h.payload))
			if err != nil {
				c.metrics.unreadable.Inc()
			}
			for _, e := range events {
				worker := process{e.Hostname, e.PID}
				if e.Heartbeat != nil {
					for _, a := range c.running.beats(worker, e, plausible(e.Time, now)) {
						g.combine(a)
					}
					continue
				}
				a, ok := fromEvent(e, now)
				if ok = ok && ours(a.run); ok {
					g.combine(a)
				} else {
					a = answer{}
				}
				c.running.note(worker, e, a)
			}
			continue
		}
		r, err := celery.ParseResult([]byte(h.payload))
		if err != nil {
			c.unreadable(err)
			continue
		}
		if a, ok := fromResult(r, now); ok && ours(a.run) {
			c.leftOut(r)
			g.combine(a)
		}
	}
	return g
}
