package redis

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
)

// How a subscription keeps time.
const (
	block      = time.Second           // a read waits so long for entries; so long may ending take
	linger     = time.Millisecond      // acknowledgements are collected for so long
	sweep      = 20 * time.Millisecond // so often those behind an unacknowledged message are looked for
	farewell   = 2 * time.Second       // the last acknowledgements may take so long
	firstDelay = 50 * time.Millisecond // after a failure; doubled with each that follows
	lastDelay  = 2 * time.Second
)

// subscription delivers one stream to one channel. Three goroutines share it: one reads and delivers, one collects
// acknowledgements, one delivers again what was refused.
type subscription struct {
	group
	batch  int
	idle   time.Duration // what is pending for longer has a dead consumer
	resend time.Duration // a refused message is delivered again after that
	log    *slog.Logger

	first   func(ctx context.Context) error                // what has to be done before the first read; may be nil
	regroup func(ctx context.Context) error                // makes the group again when it is gone
	lost    func(reason string)                            // events may have been missed, or one was set aside
	quiet   func(ctx context.Context) error                // called when a read found nothing; may be nil
	heard   func(entries []goredis.XMessage, pending bool) // called with what was read, or was pending with us; may be nil
	checked func(ctx context.Context) error                // called when what was read is delivered; may be nil
	ended   func()                                         // called when nothing more is read; may be nil

	out      chan *message.Message
	again    chan refused
	inflight *inflight

	own       string    // after it, entries may be pending with us that we have not delivered; "" when there are none
	claimFrom string    // where claiming goes on
	claimNext time.Time // when it does
	failures  int
}

// newSubscription has up to two batches in flight: one is worked on while the next is read.
func newSubscription(g group, batch int, log *slog.Logger) *subscription {
	limit := 2 * batch
	return &subscription{
		group: g, batch: batch, log: log,
		inflight: newInflight(limit), out: make(chan *message.Message, limit), again: make(chan refused, limit),
		own: "0", claimFrom: "0",
	}
}

func (s *subscription) run(ctx context.Context) {
	var delivering, collecting sync.WaitGroup
	delivered := make(chan struct{})
	collecting.Go(func() { s.collect(ctx, delivered) })
	delivering.Go(func() { s.redeliver(ctx) })
	s.read(ctx)
	delivering.Wait()
	s.discard()
	if s.ended != nil {
		s.ended()
	}
	close(s.out)
	close(delivered)
	collecting.Wait()
}

// discard takes back what nobody has received: it stays pending, and is delivered when the consumer is back.
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
			s.mend(ctx, err)
			continue
		}
		if s.failures > 0 {
			s.failures = 0
			s.log.Info("reading again", "stream", s.stream, "group", s.name)
		}
		for _, e := range entries {
			s.deliver(ctx, e)
		}
		if s.checked == nil {
			continue
		}
		if err := s.checked(ctx); err != nil {
			s.mend(ctx, err)
		}
	}
}

// next gives what is to be delivered next: first what was pending with us before, then what a dead consumer left, then
// what is new.
func (s *subscription) next(ctx context.Context, count int) ([]goredis.XMessage, error) {
	if s.first != nil {
		if err := s.first(ctx); err != nil {
			return nil, err
		}
		s.first = nil
	}
	if s.own != "" {
		entries, err := s.group.read(ctx, s.own, count, -1)
		if err != nil {
			return nil, err
		}
		s.own = ""
		if len(entries) > 0 {
			s.own = entries[len(entries)-1].ID
		}
		if s.heard != nil {
			s.heard(entries, true)
		}
		return s.unknown(entries), nil
	}
	if !time.Now().Before(s.claimNext) {
		entries, from, err := s.group.claim(ctx, s.claimFrom, count, s.idle)
		if err != nil {
			return nil, err
		}
		if s.claimFrom = from; from == "0-0" {
			s.claimNext = time.Now().Add(s.idle / 2)
		}
		return s.unknown(entries), nil
	}
	entries, err := s.group.read(ctx, ">", count, block)
	if err == nil && len(entries) == 0 && s.quiet != nil {
		return nil, s.quiet(ctx)
	}
	if err == nil && s.heard != nil {
		s.heard(entries, false)
	}
	return entries, err
}

// unknown leaves out what is in flight.
func (s *subscription) unknown(entries []goredis.XMessage) []goredis.XMessage {
	if len(entries) == 0 {
		return nil
	}
	known := map[string]bool{}
	for _, id := range s.inflight.ids() {
		known[id] = true
	}
	return slices.DeleteFunc(entries, func(e goredis.XMessage) bool { return known[e.ID] })
}

// mend makes the group again when it is gone; after any other failure it waits. What had been read while the answer was
// lost is pending with us.
func (s *subscription) mend(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.own = "0"
	if hasCode(err, "NOGROUP") {
		if err = s.regroup(ctx); err == nil {
			s.log.Warn("the consumer group was gone and is made again", "stream", s.stream, "group", s.name)
			s.lost("the consumer group was gone")
			return
		}
	}
	if s.failures == 0 {
		s.log.Warn("cannot read; trying on", "stream", s.stream, "group", s.name, "err", err)
	}
	s.failures++
	s.await(ctx, delay(s.failures))
}

func delay(failures int) time.Duration { return min(firstDelay<<min(failures-1, 10), lastDelay) }

func (s *subscription) await(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (s *subscription) deliver(ctx context.Context, e goredis.XMessage) {
	m, err := unmarshal(e)
	if err != nil {
		s.bury(ctx, e, err)
		return
	}
	d := &delivery{id: e.ID, m: m}
	d.cancel = s.give(ctx, m)
	s.inflight.add(d)
	s.send(ctx, m)
}

// give gives a message its context, which ends when it is acknowledged or refused.
func (s *subscription) give(ctx context.Context, m *message.Message) context.CancelFunc {
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

// bury sets an entry aside. When that fails too it stays pending, and its turn comes again with what is claimed.
func (s *subscription) bury(ctx context.Context, e goredis.XMessage, reason error) {
	if e.Values == nil { // trimmed while it was pending
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
