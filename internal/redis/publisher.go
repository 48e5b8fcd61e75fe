package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
)

// Publisher appends to streams in batches: the messages of one Publish, and those of others that come while a batch of the
// same topic is on its way.
//
// The messages of one Publish are appended in their order; when one fails, none after it is. After a lost answer it is
// not known which were: who publishes again may publish twice.
type Publisher struct {
	client goredis.UniversalClient

	mu     sync.Mutex
	closed bool
	queues map[string][]parcel // by topic; a topic is here while somebody sends for it
	busy   sync.WaitGroup
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher makes a publisher on a client that stays the caller's.
func NewPublisher(client goredis.UniversalClient) *Publisher {
	return &Publisher{client: client, queues: map[string][]parcel{}}
}

// parcel is a message on its way.
type parcel struct {
	fields
	of *publishing
}

// publishing is one call of Publish.
type publishing struct {
	left int
	err  error
	done chan struct{} // closed when none is left, or one failed
}

func (p *publishing) fail(err error) {
	if p.err == nil {
		p.err = err
		close(p.done)
	}
}

func (p *publishing) delivered() {
	if p.left--; p.left == 0 {
		close(p.done)
	}
}

// Publish implements message.Publisher. It returns when all messages are in the stream, or one is not. It does not wait
// longer than the first message's context lasts.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	if len(messages) == 0 {
		return nil
	}
	own := &publishing{left: len(messages), done: make(chan struct{})}
	parcels := make([]parcel, len(messages))
	for i, m := range messages {
		f, err := marshal(m)
		if err != nil {
			return fmt.Errorf("publish to %s: %w", topic, err)
		}
		parcels[i] = parcel{f, own}
	}
	if err := p.enqueue(topic, parcels); err != nil {
		return fmt.Errorf("publish to %s: %w", topic, err)
	}
	select {
	case <-own.done:
		return wrap("publish to "+topic, own.err)
	case <-messages[0].Context().Done():
		return fmt.Errorf("publish to %s: not known to be there: %w", topic, messages[0].Context().Err())
	}
}

func (p *Publisher) enqueue(topic string, parcels []parcel) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("the publisher is closed")
	}
	queue, sending := p.queues[topic]
	p.queues[topic] = append(queue, parcels...)
	if !sending {
		p.busy.Go(func() { p.send(topic) })
	}
	return nil
}

// send empties the queue of a topic, batch by batch.
func (p *Publisher) send(topic string) {
	var batch []parcel
	for {
		if batch = p.next(topic, batch); len(batch) == 0 {
			return
		}
		written, err := p.write(topic, batch)
		for _, sent := range batch[:written] {
			sent.of.delivered()
		}
		batch = batch[written:]
		if err == nil {
			continue
		}
		if _, refused := errors.AsType[*refusal](err); refused {
			batch[0].of.fail(err) // those of other calls are sent again
			continue
		}
		for _, unknown := range batch {
			unknown.of.fail(err)
		}
	}
}

const maxBatch = 500

// next fills up a batch with what is left of the one before and with the queue, leaving out what has failed.
func (p *Publisher) next(topic string, before []parcel) []parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	queue := append(before, p.queues[topic]...)
	var batch []parcel
	size := 0
	for i, next := range queue {
		if next.of.err != nil {
			continue
		}
		n := next.size()
		if len(batch) == maxBatch || len(batch) > 0 && size+n > maxCallBytes {
			p.queues[topic] = queue[i:]
			return batch
		}
		batch = append(batch, next)
		size += n
	}
	p.queues[topic] = nil
	if len(batch) == 0 {
		delete(p.queues, topic)
	}
	return batch
}

func (f fields) size() int { return len(f.uuid) + len(f.metadata) + len(f.payload) }

// refusal is Redis' reason not to append one message.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

var publish = script("publish")

func (p *Publisher) write(topic string, batch []parcel) (written int64, err error) {
	args := make([]any, 0, 3*len(batch))
	for _, b := range batch {
		args = append(args, b.uuid, b.metadata, b.payload)
	}
	reply, err := publish.Run(context.Background(), p.client, []string{topic}, args...).Slice()
	if err != nil {
		return 0, err
	}
	written, okWritten := reply[0].(int64)
	reason, okReason := reply[1].(string)
	if !okWritten || !okReason {
		return 0, fmt.Errorf("the script answered %v", reply)
	}
	if reason != "" {
		return written, &refusal{reason}
	}
	return written, nil
}

// Close implements message.Publisher. It waits for what is on its way, and leaves the client open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.busy.Wait()
	return nil
}
