package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay"
)

// withNames returns the routes with a check of names: no task goes to a queue whose name is another schedule's stream,
// or to a stream whose name is another's queue, whoever wrote the schedules and when. streams and broker are the
// clients of the task streams and of the broker.
func (f relayFlags) withNames(
	routes []relay.Route, pool *pgxpool.Pool, streams, broker goredis.UniversalClient, log *slog.Logger,
) []relay.Route {
	kept, bound := claims.NewKept(pool, log), redis.NewBoundQueues(streams, f.Separator)
	find := map[string]func(context.Context, []*message.Message) (map[int]string, error){
		celerySink: func(ctx context.Context, m []*message.Message) (map[int]string, error) {
			return f.streamsAmongLists(ctx, kept, broker, m)
		},
		streamsSink: func(ctx context.Context, m []*message.Message) (map[int]string, error) {
			return f.queuesAmongStreams(ctx, kept, bound, m)
		},
	}
	for i, r := range routes {
		look := find[r.Name]
		if look == nil {
			continue
		}
		routes[i].Foreign = func(ctx context.Context, runs []domain.ID, messages []*message.Message) (map[int]string, error) {
			found, err := look(ctx, messages)
			if err != nil || len(found) == 0 {
				return nil, err
			}
			var refused []domain.ID
			for i := range found {
				refused = append(refused, runs[i])
			}
			if err := claims.JudgeRuns(ctx, pool, refused); !postgres.LockTimedOut(err) { // locked: later
				return found, err
			}
			return found, nil
		}
	}
	return routes
}

// streamsAmongLists finds the messages to a list whose name is another schedule's stream, or a stream in Redis that its
// schedules have left.
func (f relayFlags) streamsAmongLists(
	ctx context.Context, kept *claims.Kept, broker goredis.UniversalClient, messages []*message.Message,
) (map[int]string, error) {
	cfg := f.celery()
	of := map[string][]int{} // the messages to each name
	for i, m := range messages {
		list := redis.ListOf(m)
		if list == "" {
			continue
		}
		of[list] = append(of[list], i)
		if queue := cfg.QueueOf(list); queue != list {
			of[queue] = append(of[queue], i)
		}
	}
	if len(of) == 0 {
		return nil, nil
	}
	streams, err := kept.Claimed(ctx, slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	uses, err := redis.Uses(ctx, broker, namesLeft(streams))
	if err != nil {
		return nil, fmt.Errorf("ask Redis for the types of queues: %w", err)
	}
	found := map[int]string{}
	for name, held := range streams {
		var why string
		switch {
		case held.Held:
			why = fmt.Sprintf("RESERVED %s is the stream of another schedule (%s), and no queue is made of it", name, held.Of)
		case uses[name] == redis.Stream:
			why = fmt.Sprintf("WRONGTYPE %s is a stream that a schedule has left in Redis, not a list: "+
				"delete it (DEL) once nobody needs its entries, or choose another queue", name)
		}
		for i := 0; why != "" && i < len(of[name]); i++ {
			found[of[name][i]] = why
		}
	}
	return found, nil
}

// namesLeft returns the streams that no schedule uses any more.
func namesLeft(streams map[string]claims.Holder) (names []string) {
	for name, held := range streams {
		if !held.Held {
			names = append(names, name)
		}
	}
	return names
}

const forgetStreamsEvery = 5 * time.Second

// forgetStreams removes the claims of streams that were deleted in Redis, until ctx ends, so that queues can have their
// names.
func forgetStreams(ctx context.Context, pool *pgxpool.Pool, streams goredis.UniversalClient, log *slog.Logger) error {
	areGone := func(ctx context.Context, names []string) (map[string]bool, error) {
		uses, err := redis.Uses(ctx, streams, names)
		gone := map[string]bool{}
		for name, use := range uses {
			gone[name] = use == redis.Unused || use == redis.List
		}
		return gone, err
	}
	failing := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(forgetStreamsEvery):
		}
		err := claims.ForgetGone(ctx, pool, areGone)
		if err != nil && !failing && ctx.Err() == nil {
			log.Warn("cannot look which streams are gone; retrying", "err", err)
		}
		failing = err != nil
	}
}

// queuesAmongStreams finds the messages to a stream whose name is another schedule's queue. It claims the other names,
// except those of keys of another type, which Redis refuses by itself.
func (f relayFlags) queuesAmongStreams(
	ctx context.Context, kept *claims.Kept, bound *redis.BoundQueues, messages []*message.Message,
) (map[int]string, error) {
	cfg := f.celery()
	of := map[string][]int{}
	for i, m := range messages {
		if stream := redis.StreamOf(m); stream != "" {
			of[stream] = append(of[stream], i)
		}
	}
	uses, err := bound.Uses(ctx, slices.Collect(maps.Keys(of)))
	if err != nil {
		return nil, err
	}
	found := map[int]string{}
	for stream, all := range of {
		var why string
		switch uses[stream] {
		case redis.OtherKey:
		case redis.List:
			why = fmt.Sprintf("WRONGTYPE %s is a list, not a stream", stream)
		case redis.BoundQueue:
			why = fmt.Sprintf("RESERVED %s is a queue of Celery workers, and no stream is made of it", stream)
		default:
			may, err := kept.Claim(ctx, stream, cfg.QueueOf(stream))
			if err != nil {
				return nil, err
			}
			if !may {
				why = fmt.Sprintf("RESERVED %s is the queue of another schedule or of a route, "+
					"and no stream is made of it", stream)
			}
		}
		for i := 0; why != "" && i < len(all); i++ {
			found[all[i]] = why
		}
	}
	return found, nil
}
