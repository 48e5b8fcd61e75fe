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

// broker knows which messages there are, queue by queue as they are asked for.
type broker struct {
	client  goredis.UniversalClient
	config  celery.Config
	read    map[string]bool
	unread  map[string]*Unread
	present map[domain.ID]struct{}
}

func newBroker(client goredis.UniversalClient, config celery.Config) *broker {
	return &broker{
		client: client, config: config, read: map[string]bool{}, unread: map[string]*Unread{}, present: map[domain.ID]struct{}{},
	}
}

// lost are those of which there is no message. Queues are read before what was taken from them: a message that is taken
// meanwhile is seen at least once. Of a queue that the broker does not let us read nothing is known, so none of it is lost.
func (b *broker) lost(ctx context.Context, open []domain.DueRun) (lost []Lost, err error) {
	runs, fresh := make([]Lost, 0, len(open)), false
	for _, due := range open {
		run, to, err := b.describe(due)
		if err != nil {
			continue // the relay sets aside what cannot be handed over any more
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

// refused reports whether the broker answered, and would not read: the queue has another type, or is not for this user. What
// concerns all queues (the broker is loading, a part of a Cluster is down) is refused for each.
func refused(err error) bool {
	_, ok := errors.AsType[goredis.Error](err)
	return ok
}

// skipped are the queues that could not be read.
func (b *broker) skipped() (all []Unread) {
	for _, name := range slices.Sorted(maps.Keys(b.unread)) {
		all = append(all, *b.unread[name])
	}
	return all
}

func (b *broker) describe(due domain.DueRun) (Lost, celery.Address, error) {
	due.ExpiresSeconds = 0 // whether it has expired was asked of Postgres
	to, _, err := celery.Encode(due, uuid.NewString(), b.config)
	queue := to.Key
	if to.Through != nil {
		queue = to.Through.Bindings + to.Through.Suffix
	}
	return Lost{Run: due.RunID, Schedule: due.ScheduleID, Name: due.ScheduleName, DueAt: due.DueAt, Queue: queue}, to, err
}

// readAll reads the queue that an address names. Of an exchange it reads every queue that is bound in any way: what is
// bound now is perhaps not by what it was bound when the message came.
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

// readQueue reads from the end at which messages come in: those that come meanwhile move others on, so that none is missed.
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

// readTaken reads what workers have taken and not acknowledged.
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

// note keeps the id of a message. What is not ours has none that we look for.
func (b *broker) note(message []byte) {
	var m struct{ Headers struct{ ID domain.ID } }
	if json.Unmarshal(message, &m) == nil {
		b.present[m.Headers.ID] = struct{}{}
	}
}
