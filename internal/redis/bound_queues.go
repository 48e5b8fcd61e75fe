package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/handover"
)

// NameUse is what the name of a stream is in Redis before anything is handed over to it.
type NameUse int

// Only an Unused name and a Stream may be written to as a stream.
const (
	Unused NameUse = iota
	Stream
	List
	OtherKey   // a key of another type
	BoundQueue // a queue that workers have bound to an exchange, and whose list is empty
)

// BoundQueues knows the queues that workers have bound to exchanges in the Redis of the task streams. Redis removes an
// empty list, so all that is left of a queue that waits for work is its binding: kombu keeps the bindings of each
// exchange in a set, and the exchange may have any name. No index leads from a queue to its exchanges.
//
// So BoundQueues scans all keys (SCAN) before a stream is created, but never for a stream that exists. The result of a
// scan is valid for a second, or for ten times as long as the scan took, so scans take at most a tenth of a lane's time
// even if many streams are created. A scan that the context ends is continued by the next call.
type BoundQueues struct {
	client     goredis.UniversalClient
	separators []string

	mu     sync.Mutex
	known  map[string]bool // by key of the list of priority 0
	until  time.Time       // known is valid until then
	cursor uint64
	found  map[string]bool // by the scan that is under way
	spent  time.Duration   // on this scan
}

// NewBoundQueues returns the BoundQueues of a Redis. separator is the one in the workers' transport options; queues of
// applications with the default separator are found as well.
func NewBoundQueues(client goredis.UniversalClient, separator string) *BoundQueues {
	b := &BoundQueues{client: client, separators: []string{handover.PrioritySeparator}}
	if separator != "" && separator != handover.PrioritySeparator {
		b.separators = append(b.separators, separator)
	}
	return b
}

// Uses returns what each name of a stream is in Redis.
func (b *BoundQueues) Uses(ctx context.Context, streams []string) (map[string]NameUse, error) {
	uses, err := Uses(ctx, b.client, streams)
	if err != nil {
		return nil, fmt.Errorf("ask Redis for the types of streams: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, use := range uses {
		if use != Unused {
			continue
		}
		if time.Now().After(b.until) {
			if err := b.look(ctx); err != nil {
				return nil, fmt.Errorf("look for queues of workers in Redis: %w", err)
			}
		}
		for _, separator := range b.separators {
			if queue, _, _ := strings.Cut(name, separator); b.known[queue] {
				uses[name] = BoundQueue
			}
		}
	}
	return uses, nil
}

// Uses returns what each name is, judging by keys alone, so that an empty queue of workers is Unused. A key whose type
// this user may not read is an OtherKey.
func Uses(ctx context.Context, client goredis.UniversalClient, names []string) (map[string]NameUse, error) {
	if len(names) == 0 {
		return nil, nil
	}
	asked := make([]*goredis.StatusCmd, len(names))
	_, err := client.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for i, name := range names {
			asked[i] = p.Type(ctx, name)
		}
		return nil
	})
	uses := map[string]NameUse{}
	for i, name := range names {
		switch is, failed := asked[i].Result(); {
		case forbidden(failed): // Redis would refuse the script, too
			uses[name] = OtherKey
		case failed != nil:
			return nil, errors.Join(err, failed)
		case is == "stream":
			uses[name] = Stream
		case is == "list":
			uses[name] = List
		case is != "none":
			uses[name] = OtherKey
		default:
			uses[name] = Unused
		}
	}
	return uses, nil
}

const (
	keysAtOnce    = 1000 // which takes Redis less than a millisecond
	leastLookAt   = time.Second
	lookShare     = 10
	bindingPrefix = "_kombu.binding."
)

// look scans all keys, beginning where the previous scan was interrupted.
func (b *BoundQueues) look(ctx context.Context) error {
	began := time.Now()
	defer func() { b.spent += time.Since(began) }()
	if b.found == nil {
		b.found, b.cursor, b.spent = map[string]bool{}, 0, 0
	}
	for {
		keys, cursor, err := b.client.Scan(ctx, b.cursor, "*"+bindingPrefix+"*", keysAtOnce).Result()
		if forbidden(err) { // then only the bindings of the exchange with the queue's name are looked at, by the script
			keys, cursor, err = nil, 0, nil
		}
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := b.readBindings(ctx, key); err != nil {
				return err
			}
		}
		if b.cursor = cursor; cursor == 0 {
			break
		}
	}
	b.known, b.found = b.found, nil
	b.until = time.Now().Add(max(leastLookAt, lookShare*(b.spent+time.Since(began))))
	return nil
}

// readBindings adds the queues of an exchange. The part of the key before that of kombu is the prefix of all keys of
// the same workers.
func (b *BoundQueues) readBindings(ctx context.Context, key string) error {
	prefix, _, _ := strings.Cut(key, bindingPrefix)
	for cursor := uint64(0); ; {
		members, next, err := b.client.SScan(ctx, key, cursor, "", keysAtOnce).Result()
		if forbidden(err) || goredis.HasErrorPrefix(err, "WRONGTYPE") {
			return nil
		}
		if err != nil {
			return err
		}
		for _, member := range members {
			for _, separator := range b.separators {
				if parts := strings.SplitN(member, separator, 3); len(parts) == 3 && parts[2] != "" {
					b.found[prefix+parts[2]] = true
				}
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// forbidden reports whether the ACL of our user denies a command or a key.
func forbidden(err error) bool { return goredis.HasErrorPrefix(err, "NOPERM") }
