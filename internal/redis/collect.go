package redis

import (
	"context"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/internal/wait"
)

// nacked is a message that its consumer has refused, and that is to be delivered again.
type nacked struct {
	m  *message.Message
	at time.Time // when
}

// collect passes acknowledgements on to Redis in batches, and extends the hold on messages in flight, until delivered
// is closed.
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
			s.flush(ctx)
			return
		case <-hold.C:
			s.extendHold(ctx)
		case <-came:
		case <-acked:
			_ = wait.For(ctx, linger)
			s.flush(ctx)
		case <-nacked:
			s.flush(ctx)
		case <-look: // messages behind a slow one may be acknowledged
			s.flush(ctx)
		}
	}
}

// flush acknowledges in Redis the messages that are acknowledged, and queues the refused ones to be delivered again.
func (s *subscription) flush(ctx context.Context) {
	acked, refused := s.inflight.takeAcked(func(m *message.Message) (*message.Message, context.CancelFunc) {
		c := m.Copy()
		return c, s.attachContext(ctx, c)
	})
	for _, m := range refused {
		s.resends <- nacked{m, time.Now().Add(s.resend)} // never blocks: it has room for all messages in flight
	}
	s.acknowledge(ctx, acked)
}

// acknowledge retries until Redis has the acknowledgements or ctx ends, and then tries once more.
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
			s.log.Warn("cannot acknowledge; retrying", "stream", s.stream, "group", s.name, "err", err)
		}
		_ = wait.For(ctx, delay(failures))
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := s.ack(last, ids...); err != nil {
		s.log.Warn("cannot acknowledge the last messages; they will be delivered again",
			"stream", s.stream, "group", s.name, "err", err)
	}
}

// extendHold keeps other consumers from claiming the messages in flight. If it fails, another consumer may receive the
// same messages, as with at-least-once delivery.
func (s *subscription) extendHold(ctx context.Context) {
	if err := s.hold(ctx, s.inflight.ids()); err != nil && ctx.Err() == nil {
		s.log.Warn("cannot extend the hold on messages in flight", "stream", s.stream, "group", s.name, "err", err)
	}
}

// resendRefused delivers refused messages again, each after its pause.
func (s *subscription) resendRefused(ctx context.Context) {
	for {
		select {
		case r := <-s.resends:
			_ = wait.For(ctx, time.Until(r.at))
			s.send(ctx, r.m)
		case <-ctx.Done():
			return
		}
	}
}
