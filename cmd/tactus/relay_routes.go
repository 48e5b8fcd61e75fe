package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/internal/tracing"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// The names of the sinks of tasks in the relay's tables. The sink of events is eventSink.
const (
	celerySink  = "celery"
	streamsSink = "streams"
)

// eventStream returns the sink of events.
func eventStream(events goredis.UniversalClient, to redisFlags, log *slog.Logger) *redis.EventSink {
	return redis.NewEventSink(events, redis.EventConfig{
		Stream: to.stream(), Channel: to.Channel,
		Alarm: func(problem string) {
			log.Error("stream was tampered with", "stream", to.stream(), "reason", problem)
		},
	})
}

// routes returns the routes of events to their stream and channel, and of runs to Celery's lists and to task streams.
func (f relayFlags) routes(stream *redis.EventSink, events, broker goredis.UniversalClient, to redisFlags,
	log *slog.Logger, traces *tracing.Traces,
) ([]relay.Route, error) {
	tasks, err := redis.NewPrefixedTaskSink(broker, to.Prefix, celerySink)
	if err != nil {
		return nil, usage("CELERY_BROKER_URL: %v", err)
	}
	routes := []relay.Route{
		{
			Name: eventSink, Topic: outbox.Schedules, To: "stream " + to.stream() + ", channel " + to.Channel,
			Sink:   stream,
			Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted, Trim: trimmer(stream, to.stream(), log),
		},
		{
			Name: celerySink, Topic: outbox.Runs, To: "lists of Celery", Sink: tasks,
			Encode: f.only(false, redis.Database(broker), traces), Tasks: true, Redeliver: f.Redeliver,
		},
	}
	streams, err := redis.NewPrefixedTaskSink(events, to.Prefix, streamsSink)
	if err != nil {
		log.Warn("task streams are not served", "err", err)
		return routes, nil
	}
	return append(routes, relay.Route{
		Name: streamsSink, Topic: outbox.Runs, Only: sqlexpr.ToStream, To: "task streams", Sink: streams,
		Encode: f.only(true, 0, traces), Tasks: true, Redeliver: f.Redeliver,
	}), nil
}

// only returns an encoder of either the runs that go to a stream, or those that go to a broker's database. It skips the
// others.
func (f relayFlags) only(streams bool, database int, traces *tracing.Traces,
) func(outbox.Row, string) (*message.Message, error) {
	cfg := f.celery()
	cfg.Database = database
	return func(row outbox.Row, epoch string) (*message.Message, error) {
		stream, err := toStream(row)
		if err != nil || stream != streams {
			return nil, err
		}
		return redis.EncodeRun(traces.Traced(row), epoch, cfg)
	}
}

// toStream reports whether a run goes to a stream. Most do not have the word, which is found out without decoding them,
// in the same way as sqlexpr.ToStream does.
func toStream(run outbox.Row) (bool, error) {
	if !bytes.Contains(run.Data, []byte(`"stream"`)) {
		return false, nil
	}
	var target struct {
		Stream string `json:"stream"`
	}
	if err := json.Unmarshal(run.Data, &target); err != nil {
		return false, fmt.Errorf("read the target of run %s: %w", run.Aggregate, err)
	}
	return target.Stream != "", nil
}

// trimmer returns a function that trims the event stream and logs the consumer groups that it removed.
func trimmer(sink *redis.EventSink, stream string, log *slog.Logger) func(context.Context, relay.ID) error {
	return func(ctx context.Context, before relay.ID) error {
		did, err := sink.Trim(ctx, before)
		if len(did.Groups) > 0 {
			log.Warn("silent consumer groups removed", "stream", stream, "groups", did.Groups)
		}
		return err
	}
}
