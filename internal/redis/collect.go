package redis

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
)

// refused is a message that is to be delivered again.
type refused struct {
	m  *message.Message
	at time.Time
}

// collect acknowledges in batches what the consumer has acknowledged, until all is delivered that will be.
func (s *subscription) collect(ctx context.Context, delivered <-chan struct{}) {
	hold := time.NewTicker(s.idle / 3)
	defer hold.Stop()
	for {
		var came, acked, nacked <-chan struct{}
		var look <-chan time.Time
		if oldest := s.inflight.oldest(); oldest == nil {
			came = s.inflight.came
		} else {
			acked, nacked, look = oldest.Acked(), oldest.Nacked(), time.After(sweep)
		}
		select {
		case <-delivered:
			s.settle(ctx)
			return
		case <-hold.C:
			s.keep(ctx)
		case <-came:
		case <-acked:
			s.await(ctx, linger)
			s.settle(ctx)
		case <-nacked:
			s.settle(ctx)
		case <-look: // behind a message that takes long, others may be done
			s.settle(ctx)
		}
	}
}

func (s *subscription) settle(ctx context.Context) {
	acked, nacked := s.inflight.settled(func(m *message.Message) (*message.Message, context.CancelFunc) {
		c := m.Copy()
		return c, s.give(ctx, c)
	})
	for _, m := range nacked {
		s.again <- refused{m, time.Now().Add(s.resend)} // it has room for all that can be in flight
	}
	s.acknowledge(ctx, acked)
}

// acknowledge tries until Redis has it, or ctx ends: then once more.
func (s *subscription) acknowledge(ctx context.Context, ids []string) {
	if len(ids) == 0 {
		return
	}
	for failures := 1; ctx.Err() == nil; failures++ {
		err := s.ack(ctx, ids...)
		if err == nil {
			return
		}
		if failures == 1 {
			s.log.Warn("cannot acknowledge; trying on", "stream", s.stream, "group", s.name, "err", err)
		}
		s.await(ctx, delay(failures))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := s.ack(last, ids...); err != nil {
		s.log.Warn("cannot acknowledge what was done; it will be delivered again", "stream", s.stream, "group", s.name, "err", err)
	}
}

// keep holds on to what is in flight. When it fails, somebody else may do the same work: at least once, as ever.
func (s *subscription) keep(ctx context.Context) {
	if err := s.hold(ctx, s.inflight.ids()); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot hold what is in flight", "stream", s.stream, "group", s.name, "err", err)
	}
}

// redeliver delivers again what was refused, after a while.
func (s *subscription) redeliver(ctx context.Context) {
	for {
		select {
		case r := <-s.again:
			s.await(ctx, time.Until(r.at))
			s.send(ctx, r.m)
		case <-ctx.Done():
			return
		}
	}
}
