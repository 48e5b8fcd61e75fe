package redis

import (
	"context"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// delivery is an entry that a consumer has, and has not acknowledged as far as we know.
type delivery struct {
	id     string
	m      *message.Message
	cancel context.CancelFunc // of the message's context
}

// inflight is what was delivered and not acknowledged yet, in order, up to a limit.
type inflight struct {
	limit int
	came  chan struct{} // capacity 1, as the next: something was added
	went  chan struct{} // something was taken out

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

// room is how many more may be delivered.
func (f *inflight) room() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.limit - len(f.all)
}

// oldest is the first message; nil when there is none.
func (f *inflight) oldest() *message.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return nil
	}
	return f.all[0].m
}

// ids are those of all deliveries.
func (f *inflight) ids() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := make([]string, len(f.all))
	for i, d := range f.all {
		ids[i] = d.id
	}
	return ids
}

// settled takes out what is acknowledged, and gives its IDs. What is refused stays, with a new message in its place: the
// one that is to be delivered again.
func (f *inflight) settled(again func(*message.Message) (*message.Message, context.CancelFunc)) (acked []string, redeliver []*message.Message) {
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
			d.m, d.cancel = again(d.m)
			redeliver = append(redeliver, d.m)
		default:
		}
		keep = append(keep, d)
	}
	clear(f.all[len(keep):])
	f.all = keep
	if len(acked) > 0 {
		signal(f.went)
	}
	return acked, redeliver
}
