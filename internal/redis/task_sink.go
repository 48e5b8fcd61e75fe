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
	taskAppend = script("mark", "task_state", "exchange", "task_append")
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
		refused.Likewise = s.likewise(entries, refused.ID)
	}
	return now, wrap("hand over", err)
}

// likewise returns the entries behind a refused one that go to the same list or stream. What Redis refuses of these, it
// refuses for their key: it has another type, or is not ours to write to. If there were thousands, and each was tried,
// the entries between them would wait.
func (s *TaskSink) likewise(entries []relay.Entry, refused relay.ID) (ids []relay.ID) {
	at := slices.IndexFunc(entries, func(e relay.Entry) bool { return e.ID == refused })
	if at < 0 {
		return nil
	}
	first, err := s.encode(entries[at])
	if err != nil || first[1] == kindExchange { // it is the entry's own fault, or may be
		return nil
	}
	to := entries[at].Message.Metadata
	for _, e := range entries[at+1:] {
		if e.Message != nil && e.Message.Metadata.Get(kindKey) == to.Get(kindKey) &&
			e.Message.Metadata.Get(keyKey) == to.Get(keyKey) {
			ids = append(ids, e.ID)
		}
	}
	return ids
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
	kind, key := e.Message.Metadata.Get(kindKey), e.Message.Metadata.Get(keyKey)
	if key == "" {
		return nil, fmt.Errorf("message %s has no key to go to", e.Message.UUID)
	}
	if strings.HasPrefix(strings.TrimPrefix(key, "{"), s.ownPrefix) {
		return nil, fmt.Errorf("keys that begin with %q are tactus' own: choose another key", s.ownPrefix)
	}
	switch kind {
	case kindList, kindExchange:
		return []any{e.ID.String(), kind, key, "", "", []byte(e.Message.Payload)}, nil
	case kindStream:
		f, err := marshal(withoutAddress(e.Message))
		if err != nil {
			return nil, err
		}
		return []any{e.ID.String(), kind, key, f.uuid, f.metadata, f.payload}, nil
	default:
		return nil, fmt.Errorf("message %s: unknown kind of key %q", e.Message.UUID, kind)
	}
}

func withoutAddress(m *message.Message) *message.Message {
	c := m.Copy()
	delete(c.Metadata, kindKey)
	delete(c.Metadata, keyKey)
	return c
}
