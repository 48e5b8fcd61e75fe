package redis

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/wait"
)

// The timing of a subscription.
const (
	block      = time.Second           // how long a read waits for entries, and so how late it may notice ctx's end
	linger     = time.Millisecond      // how long acknowledgements are collected before they are sent
	sweep      = 20 * time.Millisecond // how often messages behind an unacknowledged one are looked at
	farewell   = 2 * time.Second       // how long the last acknowledgements may take after the subscription has ended
	firstDelay = 50 * time.Millisecond // the pause after a first failure; doubled with each further one ...
	lastDelay  = 2 * time.Second       // ... up to this
)

// subscription delivers the entries of one stream to one channel. It reads them from three sources, in this order:
//
//	pending    entries that this consumer was given and that are not in flight: after a restart, or a lost answer
//	abandoned  entries that have been pending with another consumer for longer than idle, so that it must be dead
//	new        entries that no consumer of the group has received
//
// Three goroutines share it: one reads and delivers, one collects acknowledgements, and one delivers refused messages
// again.
type subscription struct {
	group
	batch  int           // entries read at a time
	idle   time.Duration // entries pending for longer have a dead consumer
	resend time.Duration // the pause before a refused message is delivered again
	log    *slog.Logger

	// Hooks; all but recreate and lost may be nil. lost is called when entries may have been missed, or one was set
	// aside.
	prepare       func(ctx context.Context) error // called before the first read, until it succeeds
	recreate      func(ctx context.Context) error // creates the group again after it was destroyed
	lost          func(reason string)
	onRead        func(entries []goredis.XMessage, pending bool) // called with new entries, and with pending ones
	onEmpty       func(ctx context.Context) error                // called when a read has found no entry
	afterDelivery func(ctx context.Context) error                // called when all entries of a read are delivered
	onEnd         func()                                         // called when reading has ended

	out      chan *message.Message
	resends  chan nacked
	inflight *inflight

	pendingAfter string    // pending entries after this ID are still to be read; "" when there are none
	claimFrom    string    // the ID from which the next claim continues
	claimNext    time.Time // when the next round of claims begins
	failures     int       // reads that have failed since the last success
}

// newSubscription returns a subscription with up to two batches in flight: one is worked on while the next is read.
func newSubscription(g group, batch int, log *slog.Logger) *subscription {
	limit := 2 * batch
	return &subscription{
		group: g, batch: batch, log: log,
		inflight: newInflight(limit), out: make(chan *message.Message, limit), resends: make(chan nacked, limit),
		pendingAfter: "0", claimFrom: "0",
	}
}

// run reads and delivers until ctx ends, then sends the last acknowledgements and closes the channel.
func (s *subscription) run(ctx context.Context) {
	var delivering, collecting sync.WaitGroup
	delivered := make(chan struct{})
	collecting.Go(func() { s.collect(ctx, delivered) })
	delivering.Go(func() { s.resendRefused(ctx) })
	s.read(ctx)
	delivering.Wait()
	s.discard()
	if s.onEnd != nil {
		s.onEnd()
	}
	close(s.out)
	close(delivered)
	collecting.Wait()
}

// discard takes back the messages that nobody has received from the channel. They stay pending in Redis, and are
// delivered when the consumer is back.
func (s *subscription) discard() {
	for {
		select {
		case <-s.out:
		default:
			return
		}
	}
}

func (s *subscription) read(ctx context.Context) {
	for ctx.Err() == nil {
		room := s.inflight.room()
		if room <= 0 {
			select {
			case <-s.inflight.went:
			case <-ctx.Done():
			}
			continue
		}
		entries, err := s.next(ctx, min(room, s.batch))
		if err != nil {
			s.handle(ctx, err)
			continue
		}
		if s.failures > 0 {
			s.failures = 0
			s.log.Info("reading again", "stream", s.stream, "group", s.name)
		}
		for _, e := range entries {
			s.deliver(ctx, e)
		}
		if s.afterDelivery == nil {
			continue
		}
		if err := s.afterDelivery(ctx); err != nil {
			s.handle(ctx, err)
		}
	}
}

// next returns the entries to deliver next: pending ones, then abandoned ones, then new ones.
func (s *subscription) next(ctx context.Context, count int) ([]goredis.XMessage, error) {
	if s.prepare != nil {
		if err := s.prepare(ctx); err != nil {
			return nil, err
		}
		s.prepare = nil
	}
	if s.pendingAfter != "" {
		entries, err := s.group.read(ctx, s.pendingAfter, count, -1)
		if err != nil {
			return nil, err
		}
		s.pendingAfter = ""
		if len(entries) > 0 {
			s.pendingAfter = entries[len(entries)-1].ID
		}
		if s.onRead != nil {
			s.onRead(entries, true)
		}
		return s.withoutInflight(entries), nil
	}
	if !time.Now().Before(s.claimNext) {
		entries, from, err := s.group.claim(ctx, s.claimFrom, count, s.idle)
		if err != nil {
			return nil, err
		}
		if s.claimFrom = from; from == "0-0" {
			s.claimNext = time.Now().Add(s.idle / 2)
		}
		return s.withoutInflight(entries), nil
	}
	entries, err := s.group.read(ctx, ">", count, block)
	if err == nil && len(entries) == 0 && s.onEmpty != nil {
		return nil, s.onEmpty(ctx)
	}
	if err == nil && s.onRead != nil {
		s.onRead(entries, false)
	}
	return entries, err
}

// withoutInflight removes the entries that are in flight.
func (s *subscription) withoutInflight(entries []goredis.XMessage) []goredis.XMessage {
	if len(entries) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, id := range s.inflight.ids() {
		known[id] = true
	}
	return slices.DeleteFunc(entries, func(e goredis.XMessage) bool { return known[e.ID] })
}

// handle handles an error of Redis: it creates a destroyed group again, and pauses after any other error. Redis may
// have given us entries in an answer that was lost, so the pending entries are read again.
func (s *subscription) handle(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.pendingAfter = "0"
	if hasCode(err, "NOGROUP") {
		if err = s.recreate(ctx); err == nil {
			s.log.Warn("the consumer group was gone and has been created again", "stream", s.stream, "group", s.name)
			s.lost("the consumer group was gone")
			return
		}
	}
	if s.failures == 0 {
		s.log.Warn("cannot read the stream; retrying", "stream", s.stream, "group", s.name, "err", err)
	}
	s.failures++
	_ = wait.For(ctx, delay(s.failures)) // or until ctx ends, which the caller sees
}

func delay(failures int) time.Duration { return min(firstDelay<<min(failures-1, 10), lastDelay) }

// deliver sends an entry's message to the channel, or sets the entry aside.
func (s *subscription) deliver(ctx context.Context, e goredis.XMessage) {
	m, err := unmarshal(e)
	if err != nil {
		s.setAsideUnreadable(ctx, e, err)
		return
	}
	d := &delivery{id: e.ID, m: m}
	d.cancel = s.attachContext(ctx, m)
	s.inflight.add(d)
	s.send(ctx, m)
}

// attachContext gives a message a context, and returns the function that ends it: the context ends when the message is
// acknowledged or refused.
func (s *subscription) attachContext(ctx context.Context, m *message.Message) context.CancelFunc {
	own, cancel := context.WithCancel(ctx)
	m.SetContext(own)
	return cancel
}

func (s *subscription) send(ctx context.Context, m *message.Message) {
	select {
	case s.out <- m:
	case <-ctx.Done():
	}
}

// setAsideUnreadable sets an entry aside. If that fails, the entry stays pending, and comes again when it is claimed as
// abandoned.
func (s *subscription) setAsideUnreadable(ctx context.Context, e goredis.XMessage, reason error) {
	if e.Values == nil { // deleted or trimmed while it was pending
		if err := s.ack(ctx, e.ID); err != nil {
			s.log.Warn("cannot acknowledge", "stream", s.stream, "event_id", e.ID, "err", err)
		}
		s.lost("entry " + e.ID + " was taken out of the stream before it was read (XTRIM, XDEL)")
		return
	}
	s.log.Error("an entry cannot be read and is set aside", "stream", s.stream, "event_id", e.ID, "err", reason)
	if err := s.setAside(ctx, e, reason.Error()); err != nil {
		s.log.Error("cannot set an entry aside", "stream", s.stream, "event_id", e.ID, "err", err)
	}
	s.lost("entry " + e.ID + " cannot be read: " + reason.Error())
}
