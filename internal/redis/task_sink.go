package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/relay"
)

// Two metadata entries of a message say where the task sink is to deliver the message. ToList, ToExchange and ToStream
// set them, and they are not delivered.
const (
	kindKey = "tactus-kind"
	keyKey  = "tactus-key"

	kindList     = "list"
	kindExchange = "exchange"
	kindStream   = "stream"
)

// ToList addresses a message to a list. The list receives the payload, unchanged.
func ToList(m *message.Message, key string) *message.Message { return address(m, kindList, key) }

// ToExchange addresses a message to the queues that are bound to an exchange at the time of the delivery.
func ToExchange(m *message.Message, x celery.Exchange) (*message.Message, error) {
	text, err := json.Marshal(x)
	if err != nil {
		return nil, fmt.Errorf("address message %s: %w", m.UUID, err)
	}
	return address(m, kindExchange, string(text)), nil
}

// ToStream addresses a message to a stream, in Watermill's format.
func ToStream(m *message.Message, key string) *message.Message { return address(m, kindStream, key) }

// Destination returns where a message goes that ToList, ToExchange or ToStream has addressed; "" for any other.
func Destination(m *message.Message) string { return m.Metadata.Get(keyKey) }

func address(m *message.Message, kind, key string) *message.Message {
	if m.Metadata == nil {
		m.Metadata = message.Metadata{}
	}
	m.Metadata.Set(kindKey, kind)
	m.Metadata.Set(keyKey, key)
	return m
}

// TaskSink hands runs over: to lists, which Celery workers read, and to task streams.
type TaskSink struct {
	client    goredis.UniversalClient
	keys      []string // the mark
	ownPrefix string   // our own keys begin with it, and no run may be handed over to one of them
	owned
}

var _ relay.Sink = (*TaskSink)(nil)

// NewTaskSink returns a sink on a client, which the caller still owns and closes. The name must stay the same for the
// sink's whole life, because the mark's key contains it.
func NewTaskSink(client goredis.UniversalClient, name string) (*TaskSink, error) {
	return NewPrefixedTaskSink(client, "", name)
}

// NewPrefixedTaskSink is NewTaskSink with a prefix for the sink's own keys.
func NewPrefixedTaskSink(client goredis.UniversalClient, prefix, name string) (*TaskSink, error) {
	if name == "" {
		return nil, errors.New("a task sink needs a name")
	}
	if _, cluster := client.(*goredis.ClusterClient); cluster {
		return nil, errTasksOnCluster
	}
	own := prefix + "tactus:"
	mark := own + "sink:" + name
	return &TaskSink{
		client: client, keys: []string{mark}, ownPrefix: own, owned: owned{place: placeOf(client, mark)},
	}, nil
}

var errTasksOnCluster = errors.New("tasks cannot be handed over on a Redis Cluster: one script writes the queues and " +
	"the sink's mark, and a Cluster keeps them on several servers; Celery does not support Cluster either: " +
	"set CELERY_BROKER_URL to a single Redis, or to one behind Sentinel")

var (
	taskMark   = script("mark", "task_state", "task_mark")
	taskAppend = script("mark", "task_state", "exchange", "task_entry", "task_append")
	taskLook   = script("mark", "task_state", "exchange", "task_entry", "task_look")
	taskBegin  = script("mark", "task_state", "task_begin")
)

// Mark implements relay.Sink.
func (s *TaskSink) Mark(ctx context.Context) (relay.Mark, error) {
	a, err := run(ctx, taskMark, s.client, s.keys)
	if err != nil {
		return relay.Mark{}, fmt.Errorf("ask %s: %w", s.keys[0], err)
	}
	return a.mark, s.check(s.keys[0], a.installation, a.servers)
}

// Begin implements relay.Sink.
func (s *TaskSink) Begin(ctx context.Context, from, to relay.Mark) error {
	own := s.owner()
	a, err := run(ctx, taskBegin, s.client, s.keys,
		from.Epoch, from.Last.String(), to.Epoch, to.Last.String(), own.Installation, own.Server)
	if err == nil {
		_, err = a.outcome()
	}
	return wrap("begin on "+s.keys[0], err)
}

// Append implements relay.Sink.
func (s *TaskSink) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	now, err := appendAll(ctx, at, entries, s.encode, s.write)
	if refused, ok := errors.AsType[*relay.Refused](err); ok {
		refused.Also = s.also(ctx, refused, entries)
	}
	return now, wrap("hand over", err)
}

// write sends calls until all their entries are written. A call may leave its last entries to another one.
func (s *TaskSink) write(ctx context.Context, at relay.Mark, calls []call) (relay.Mark, error) {
	for len(calls) > 0 {
		var err error
		if at, calls, err = s.writeOnce(ctx, at, calls); err != nil {
			return at, err
		}
	}
	return at, nil
}

// writeOnce sends all calls together. It returns those that are still to be sent.
func (s *TaskSink) writeOnce(ctx context.Context, at relay.Mark, calls []call) (relay.Mark, []call, error) {
	calls = slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return c.last == relay.ID{} })
	args := chained(at, calls, func(from relay.Mark, _ relay.ID) []any { return []any{from.Epoch, from.Last.String()} })
	done := 0
	for a, err := range runAll(ctx, taskAppend, s.client, s.keys, args) {
		if err != nil {
			return relay.Mark{}, nil, err
		}
		if a.status == "later" && a.mark != at {
			rest := behind(calls[done], a.mark.Last)
			return a.mark, append([]call{rest}, calls[done+1:]...), nil
		}
		if at, err = a.outcome(); err != nil {
			return at, nil, err
		}
		done++
	}
	return at, nil, nil
}

// taskFields is how many arguments an entry has.
const taskFields = 6

// behind returns a call without the entries up to an ID.
func behind(c call, last relay.ID) call {
	for at := 0; at < len(c.args); at += taskFields {
		if c.args[at] == last.String() {
			c.args = c.args[at+taskFields:]
			break
		}
	}
	return c
}

func (s *TaskSink) encode(e relay.Entry) ([]any, error) {
	if e.Message == nil {
		return []any{e.ID.String(), "", "", "", "", ""}, nil
	}
	if err := s.checkAddress(e.Message); err != nil {
		return nil, err
	}
	to := targetOf(e.Message)
	if to.kind != kindStream {
		return []any{e.ID.String(), to.kind, to.key, "", "", []byte(e.Message.Payload)}, nil
	}
	f, err := marshal(withoutAddress(e.Message))
	if err != nil {
		return nil, err
	}
	return []any{e.ID.String(), to.kind, to.key, f.uuid, f.metadata, f.payload}, nil
}

func (s *TaskSink) checkAddress(m *message.Message) error {
	to := targetOf(m)
	switch {
	case to.key == "":
		return fmt.Errorf("message %s has no key to go to", m.UUID)
	case strings.HasPrefix(strings.TrimPrefix(to.key, "{"), s.ownPrefix):
		return fmt.Errorf("keys that begin with %q are tactus' own: choose another key", s.ownPrefix)
	case to.kind != kindList && to.kind != kindExchange && to.kind != kindStream:
		return fmt.Errorf("message %s: unknown kind of key %q", m.UUID, to.kind)
	}
	return nil
}

func withoutAddress(m *message.Message) *message.Message {
	c := m.Copy()
	delete(c.Metadata, kindKey)
	delete(c.Metadata, keyKey)
	return c
}
