package redis

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// delivery is an entry that was delivered and whose acknowledgement has not been seen yet.
type delivery struct {
	id     string
	m      *message.Message
	cancel context.CancelFunc // ends the message's context
}

// inflight holds the deliveries that are not acknowledged, in order of their delivery.
type inflight struct {
	limit int           // of deliveries
	came  chan struct{} // capacity 1: signals that a delivery was added
	went  chan struct{} // capacity 1: signals that a delivery was removed

	mu  sync.Mutex
	all []*delivery
}

func newInflight(limit int) *inflight {
	return &inflight{limit: limit, came: make(chan struct{}, 1), went: make(chan struct{}, 1)}
}

func (f *inflight) add(d *delivery) {
	f.mu.Lock()
	f.all = append(f.all, d)
	f.mu.Unlock()
	signal(f.came)
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// room returns how many more messages may be delivered.
func (f *inflight) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limit - len(f.all)
}

// oldest returns the message that was delivered first; nil when there is none.
func (f *inflight) oldest() *message.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return nil
	}
	return f.all[0].m
}

// ids returns the IDs of all deliveries.
func (f *inflight) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, len(f.all))
	for i, d := range f.all {
		ids[i] = d.id
	}
	return ids
}

// takeAcked removes the acknowledged deliveries and returns their IDs. A refused delivery stays, with a fresh copy of
// its message, made by renew; takeAcked returns the copies, which are to be delivered again.
func (f *inflight) takeAcked(
	renew func(*message.Message) (*message.Message, context.CancelFunc),
) (acked []string, refused []*message.Message) {
	f.mu.Lock()
	defer f.mu.Unlock()
	keep := f.all[:0]
	for _, d := range f.all {
		select {
		case <-d.m.Acked():
			d.cancel()
			acked = append(acked, d.id)
			continue
		case <-d.m.Nacked():
			d.cancel()
			d.m, d.cancel = renew(d.m)
			refused = append(refused, d.m)
		default:
		}
		keep = append(keep, d)
	}
	clear(f.all[len(keep):])
	f.all = keep
	if len(acked) > 0 {
		signal(f.went)
	}
	return acked, refused
}
