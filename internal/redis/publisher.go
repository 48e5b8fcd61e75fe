package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
)

// Publisher appends messages to streams in batches. Concurrent calls of Publish for one topic share batches: while one
// batch is being written, the messages of other calls are collected for the next.
//
// The messages of one Publish are appended in their order; when one fails, none behind it is appended. When Redis'
// answer is lost, the caller cannot know which messages were appended, and a caller that publishes them again may
// publish them twice.
type Publisher struct {
	client goredis.UniversalClient

	mu     sync.Mutex
	closed bool
	queues map[string][]parcel // by topic; a topic has a queue as long as a goroutine sends for it
	busy   sync.WaitGroup
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher on a client, which the caller still owns and closes.
func NewPublisher(client goredis.UniversalClient) *Publisher {
	return &Publisher{client: client, queues: map[string][]parcel{}}
}

// parcel is a message that waits to be sent.
type parcel struct {
	fields
	of *publishing
}

// publishing is the state of one call of Publish.
type publishing struct {
	left int           // messages not appended yet
	err  error         // why a message was not appended
	done chan struct{} // closed when no message is left, or one has failed
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

// Publish implements message.Publisher. It returns when all messages are in the stream, when one has failed, or when
// the context of the first message ends.
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
		return fmt.Errorf("publish to %s: stopped waiting, the messages may or may not be appended: %w",
			topic, messages[0].Context().Err())
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
			batch[0].of.fail(err) // the rest of its call is dropped by next; the messages of other calls are sent again
			continue
		}
		for _, p := range batch { // whether they were appended is unknown
			p.of.fail(err)
		}
	}
}

const maxBatch = 500

// next returns the next batch: first the messages left over from the one before, then those of the queue, without the
// messages of failed calls. When nothing is left, it removes the topic's queue.
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

// refusal is the error of Redis for one message. Unlike after a lost answer, the message is known not to be appended.
type refusal struct{ reason string }

func (r *refusal) Error() string { return r.reason }

var publish = script("publish")

// write appends a batch in one call, and returns how many messages from its front are in the stream.
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
		return 0, fmt.Errorf("unexpected answer of the script: %v", reply)
	}
	if reason != "" {
		return written, &refusal{reason}
	}
	return written, nil
}

// Close implements message.Publisher. It waits until the queued messages are sent. It does not close the client.
func (p *Publisher) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.busy.Wait()
	return nil
}
