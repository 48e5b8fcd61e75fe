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

// SubscriberConfig is how a Subscriber reads. What is not said has a default.
type SubscriberConfig struct {
	Group    string        // of consumers that share the messages; must be said
	Consumer string        // one name for each process, the same when it comes back: then what it left is delivered at once (default: a new one)
	Start    string        // where a new group begins: "0" is the oldest entry (default), "$" the end
	Batch    int           // entries read at a time (500)
	Idle     time.Duration // what is pending for so long with a consumer that no longer holds on to it is claimed (1 minute)
	Resend   time.Duration // a refused message is delivered again after that (100 ms)
	Log      *slog.Logger
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

// Subscriber reads streams in batches, at least once.
//
// Unlike Watermill's own it does not wait for one acknowledgement before it delivers the next message: up to two batches
// are unacknowledged at once. A handler that works on them one after the other sees them in order, except that a refused
// message (Nack) comes again later than those behind it.
type Subscriber struct {
	client goredis.UniversalClient
	cfg    SubscriberConfig

	closing context.Context
	close   context.CancelFunc
	mu      sync.Mutex // between Subscribe and Close
	running sync.WaitGroup
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber makes a subscriber on a client that stays the caller's.
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

// SubscribeInitialize implements message.SubscribeInitializer: what is published from now on will be delivered.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	return wrap("make group of "+topic, s.group(topic).create(s.closing, s.cfg.Start))
}

// Subscribe implements message.Subscriber. The channel outlives every outage of Redis; it is closed when ctx ends or the
// subscriber is closed. An error means that the key can never be read: it is no stream.
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
		start = "0" // gone later, it begins at the oldest entry: what was delivered before may come again
	}
	sub := newSubscription(g, s.cfg.Batch, s.cfg.Log)
	sub.idle, sub.resend, sub.lost = s.cfg.Idle, s.cfg.Resend, func(string) {}
	sub.regroup = func(ctx context.Context) error {
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

// Close implements message.Subscriber. It waits until all channels are closed, and leaves the client open.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	s.close()
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
