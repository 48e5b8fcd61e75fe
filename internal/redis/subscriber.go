package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"
)

// SubscriberConfig configures a Subscriber. Only Group is required.
type SubscriberConfig struct {
	Group string // the consumer group, whose consumers share the messages

	// Consumer names one process. A process that keeps its name over a restart receives at once what it had not
	// acknowledged. Default: a random name.
	Consumer string

	Start  string        // where a new group begins: "0" is the oldest entry (default), "$" the end of the stream
	Batch  int           // entries read at a time (default 500)
	Idle   time.Duration // how long a consumer must be silent before its pending entries are claimed (default 1 minute)
	Resend time.Duration // the pause before a message refused by Nack is delivered again (default 100 ms)
	Log    *slog.Logger  // default: discards
}

func (c SubscriberConfig) withDefaults() SubscriberConfig {
	if c.Consumer == "" {
		c.Consumer = uuid.NewString()
	}
	if c.Start == "" {
		c.Start = "0"
	}
	if c.Batch <= 0 {
		c.Batch = 500
	}
	if c.Idle <= 0 {
		c.Idle = time.Minute
	}
	if c.Resend <= 0 {
		c.Resend = 100 * time.Millisecond
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Subscriber reads streams in batches, and delivers each message at least once.
//
// Unlike Watermill's own subscriber it does not wait for one acknowledgement before it delivers the next message: up to
// two batches are unacknowledged at once. A handler that works on one message at a time sees them in order, except that
// a message refused by Nack comes again after the messages behind it.
type Subscriber struct {
	client goredis.UniversalClient
	cfg    SubscriberConfig

	closing context.Context
	close   context.CancelFunc
	mu      sync.Mutex // keeps Subscribe from starting a goroutine that Close does not wait for
	running sync.WaitGroup
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber returns a subscriber on a client, which the caller still owns and closes.
func NewSubscriber(client goredis.UniversalClient, cfg SubscriberConfig) (*Subscriber, error) {
	if cfg.Group == "" {
		return nil, errors.New("a subscriber needs a consumer group")
	}
	s := &Subscriber{client: client, cfg: cfg.withDefaults()}
	s.closing, s.close = context.WithCancel(context.Background())
	return s, nil
}

func (s *Subscriber) group(topic string) group {
	return group{s.client, topic, s.cfg.Group, s.cfg.Consumer}
}

// SubscribeInitialize implements message.SubscribeInitializer. It creates the group, so that a later Subscribe delivers
// every message that is published from now on.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	return wrap("make group of "+topic, s.group(topic).create(s.closing, s.cfg.Start))
}

// Subscribe implements message.Subscriber. The channel outlives every outage of Redis; it is closed when ctx ends or
// the subscriber is closed. Subscribe returns an error only when the key is not a stream, or the subscriber is closed.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, errors.New("subscribe: the subscriber is closed")
	}
	g := s.group(topic)
	start := s.cfg.Start
	if err := g.create(ctx, start); hasCode(err, "WRONGTYPE") {
		return nil, fmt.Errorf("subscribe to %s: %w", topic, err)
	} else if err == nil {
		start = "0" // a group lost later begins at the oldest entry: messages may come twice, but none is missed
	}
	sub := newSubscription(g, s.cfg.Batch, s.cfg.Log)
	sub.idle, sub.resend, sub.lost = s.cfg.Idle, s.cfg.Resend, func(string) {}
	sub.recreate = func(ctx context.Context) error {
		err := g.create(ctx, start)
		if err == nil {
			start = "0"
		}
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.closing, cancel)
	s.running.Go(func() {
		defer cancel()
		defer stop()
		sub.run(ctx)
	})
	return sub.out, nil
}

// Close implements message.Subscriber. It waits until all channels are closed. It does not close the client.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
