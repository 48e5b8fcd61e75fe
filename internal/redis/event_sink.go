package redis

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// EventStream is the key of the event stream, unless a prefix or a configuration changes it.
const EventStream = "tactus:events"

// EventConfig configures an EventSink. The zero value uses the defaults.
type EventConfig struct {
	Stream  string               // EventStream when empty
	Channel string               // for Pub/Sub notices; none are published when empty
	Alarm   func(problem string) // called when foreign entries were deleted; may be nil
}

// EventSink appends events to a stream, under the places that the relay has given them as IDs, and publishes a notice
// of each in the same script.
type EventSink struct {
	client      goredis.UniversalClient
	cfg         EventConfig
	keys        []string // the stream, its mark, a scratch key for a copy of the stream
	unpublished atomic.Int64
	owned
}

var _ relay.Sink = (*EventSink)(nil)

// NewEventSink returns a sink on a client, which the caller still owns and closes.
func NewEventSink(client goredis.UniversalClient, cfg EventConfig) *EventSink {
	if cfg.Stream == "" {
		cfg.Stream = EventStream
	}
	if cfg.Alarm == nil {
		cfg.Alarm = func(string) {}
	}
	keys := []string{cfg.Stream, beside(cfg.Stream, "sink"), beside(cfg.Stream, "copy")}
	return &EventSink{client: client, cfg: cfg, keys: keys, owned: owned{place: placeOf(client, keys[1])}}
}

// beside returns the name of a key of ours that belongs to a stream. It is in the stream's slot of a Cluster.
func beside(stream, suffix string) string { return "{" + hashTag(stream) + "}:" + suffix }

// Unpublished returns how many notices could not be made or published. Their events are in the stream all the same.
func (s *EventSink) Unpublished() int64 { return s.unpublished.Load() }

var (
	eventMark   = script("mark", "event_state", "event_mark")
	eventAppend = script("mark", "event_state", "event_append")
	eventBegin  = script("mark", "event_state", "event_begin")
	eventRepair = script("mark", "event_state", "event_repair")
)

// Mark implements relay.Sink.
func (s *EventSink) Mark(ctx context.Context) (relay.Mark, error) {
	a, err := s.run(ctx, eventMark)
	if err != nil {
		return relay.Mark{}, fmt.Errorf("ask %s for its mark: %w", s.cfg.Stream, err)
	}
	return a.mark, s.check(s.cfg.Stream, a.installation, a.servers)
}

// Begin implements relay.Sink.
func (s *EventSink) Begin(ctx context.Context, from, to relay.Mark) error {
	if to.Last.Compare(from.Last) < 0 {
		return fmt.Errorf("begin on %s: %s is before %s", s.cfg.Stream, to.Last, from.Last)
	}
	own := s.owner()
	a, err := s.run(ctx, eventBegin,
		from.Epoch, from.Last.String(), to.Epoch, to.Last.String(), own.Installation, own.Server)
	if err == nil {
		_, err = a.outcome()
	}
	return wrap("begin on "+s.cfg.Stream, err)
}

// Append implements relay.Sink. A notice that Redis refuses is counted in Unpublished, and is not an error.
func (s *EventSink) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	now, err := appendAll(ctx, at, entries, s.encode, s.write)
	return now, wrap("append to "+s.cfg.Stream, err)
}

func (s *EventSink) write(ctx context.Context, at relay.Mark, calls []call) (relay.Mark, error) {
	args := chained(at, calls, func(from relay.Mark, to relay.ID) []any {
		return []any{from.Epoch, from.Last.String(), to.String(), s.cfg.Channel}
	})
	i := 0
	for a, err := range runAll(ctx, eventAppend, s.client, s.keys, args) {
		if err == nil && a.status == "foreign" {
			a, err = s.run(ctx, eventAppend, args[i]...)
		}
		if err != nil {
			return relay.Mark{}, err
		}
		s.unpublished.Add(a.unpublished)
		if at, err = a.outcome(); err != nil {
			return at, err
		}
		i++
	}
	return at, nil
}

func (s *EventSink) encode(e relay.Entry) ([]any, error) {
	if e.Message == nil {
		return nil, nil
	}
	f, err := marshal(e.Message)
	if err != nil {
		return nil, err
	}
	fields := []any{e.ID.String(), f.uuid, f.metadata, f.payload}
	if s.cfg.Channel != "" {
		fields = append(fields, s.notice(f.payload))
	}
	return fields, nil
}

// notice returns the Pub/Sub notice of an event; empty when the event has none or it cannot be made.
func (s *EventSink) notice(payload []byte) []byte {
	text, err := cloudevents.Notice(payload)
	if err != nil {
		s.unpublished.Add(1)
		return nil
	}
	return text
}

// repairs is how many times run deletes foreign entries before it gives up: a client that keeps appending has to be
// stopped by an operator.
const repairs = 3

// run runs a script. When the script finds foreign entries, run deletes them and runs the script again.
func (s *EventSink) run(ctx context.Context, script *goredis.Script, args ...any) (answer, error) {
	for range repairs {
		a, err := run(ctx, script, s.client, s.keys, args...)
		if err != nil || a.status != "foreign" {
			return a, err
		}
		if err := s.repair(ctx); err != nil {
			return answer{}, err
		}
	}
	return answer{}, errors.New("somebody else keeps appending to the stream")
}

func (s *EventSink) repair(ctx context.Context) error {
	reply, err := eventRepair.Run(ctx, s.client, s.keys).Slice()
	if err != nil {
		return fmt.Errorf("take out foreign entries: %w", err)
	}
	if len(reply) == 4 && reply[1] != int64(0) {
		s.cfg.Alarm(fmt.Sprintf("somebody else appended to %s: %d entries taken out, %s to %s",
			append([]any{s.cfg.Stream}, reply[1:]...)...))
	}
	return nil
}

// wrap adds the operation's name to an error; nil stays nil.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
