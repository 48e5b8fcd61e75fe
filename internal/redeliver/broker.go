package redeliver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// broker knows the messages in the queues. It reads each queue once, when lost first asks for a run of the queue.
type broker struct {
	client  goredis.UniversalClient
	config  celery.Config
	read    map[string]bool        // queues that have been read, or tried
	unread  map[string]*Unread     // queues that could not be read
	present map[domain.ID]struct{} // task ids of the messages in the queues read
}

func newBroker(client goredis.UniversalClient, config celery.Config) *broker {
	return &broker{
		client: client, config: config, read: map[string]bool{}, unread: map[string]*Unread{}, present: map[domain.ID]struct{}{},
	}
}

// lost returns the runs that have no message. The order of reading matters. A worker moves a message from its queue to
// unacked, so the queues are read first:
//
//	queue, then unacked    a message that moves in between is seen in both, or in one
//	unacked, then queue    a message that moves in between is seen in neither, and its run is handed over twice
//
// Runs of a queue that cannot be read never count as lost.
func (b *broker) lost(ctx context.Context, open []domain.DueRun) (lost []Lost, err error) {
	runs, fresh := make([]Lost, 0, len(open)), false
	for _, due := range open {
		run, to, err := b.describe(due)
		if err != nil {
			continue // it cannot be encoded: the relay sets such a run aside
		}
		runs = append(runs, run)
		if !b.read[run.Queue] {
			b.read[run.Queue], fresh = true, true
			if err := b.readAll(ctx, to); refused(err) {
				b.unread[run.Queue] = &Unread{Queue: run.Queue, Err: err}
			} else if err != nil {
				return nil, err
			}
		}
	}
	if fresh {
		if err := b.readTaken(ctx); err != nil {
			return nil, err
		}
	}
	for _, run := range runs {
		if queue, ok := b.unread[run.Queue]; ok {
			queue.Runs++
		} else if _, there := b.present[run.Run]; !there {
			lost = append(lost, run)
		}
	}
	return lost, nil
}

// refused reports whether the broker answered and refused to read: the queue has another type, or this user must not
// read it. An error that concerns the whole server (loading, a part of a Cluster is down) is such an answer for each
// queue.
func refused(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}

// skipped returns the queues that could not be read.
func (b *broker) skipped() (all []Unread) {
	for _, name := range slices.Sorted(maps.Keys(b.unread)) {
		all = append(all, *b.unread[name])
	}
	return all
}

func (b *broker) describe(due domain.DueRun) (Lost, celery.Address, error) {
	due.ExpiresSeconds = 0 // the query has checked the expiry already
	to, _, err := celery.Encode(due, uuid.NewString(), b.config)
	queue := to.Key
	if to.Through != nil {
		queue = to.Through.Bindings + to.Through.Suffix
	}
	return Lost{Run: due.RunID, Schedule: due.ScheduleID, Name: due.ScheduleName, DueAt: due.DueAt, Queue: queue}, to, err
}

// readAll reads the queue of an address. For an exchange it reads all queues that are bound to it in any way, because
// the bindings may have changed since the message was handed over.
func (b *broker) readAll(ctx context.Context, to celery.Address) error {
	keys := []string{to.Key}
	if to.Through != nil {
		members, err := b.client.SMembers(ctx, to.Through.Bindings).Result()
		if err != nil {
			return fmt.Errorf("read %s: %w", to.Through.Bindings, err)
		}
		keys = to.Through.Lists(members)
	}
	for _, key := range keys {
		if err := b.readQueue(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

const page = 1000

// readQueue reads a list from its head, where new messages come in: they push unread messages back, towards the pages
// still to be read, so that none is missed.
func (b *broker) readQueue(ctx context.Context, key string) error {
	for start := int64(0); ; start += page {
		messages, err := b.client.LRange(ctx, key, start, start+page-1).Result()
		if err != nil {
			return fmt.Errorf("read queue %s: %w", key, err)
		}
		for _, message := range messages {
			b.note([]byte(message))
		}
		if len(messages) < page {
			return nil
		}
	}
}

// readTaken reads the messages that workers have received and not acknowledged.
func (b *broker) readTaken(ctx context.Context) error {
	key := b.config.KeyPrefix + "unacked"
	for cursor := uint64(0); ; {
		pairs, next, err := b.client.HScan(ctx, key, cursor, "", page).Result()
		if err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		for i := 1; i < len(pairs); i += 2 {
			var taken []json.RawMessage // the message, its exchange and its routing key
			if json.Unmarshal([]byte(pairs[i]), &taken) == nil && len(taken) > 0 {
				b.note(taken[0])
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// note records the task id of a message. A message that is not ours has an id that no run has.
func (b *broker) note(message []byte) {
	var m struct{ Headers struct{ ID domain.ID } }
	if json.Unmarshal(message, &m) == nil {
		b.present[m.Headers.ID] = struct{}{}
	}
}
