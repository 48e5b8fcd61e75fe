package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/claims"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/relay"
)

// withNames returns the routes, of which those of tasks make no queue of another's stream, and no stream of another's
// queue, whoever wrote the schedules and when. The client is that of the task streams.
func (f relayFlags) withNames(
	routes []relay.Route, pool *pgxpool.Pool, streams goredis.UniversalClient,
) []relay.Route {
	bound := redis.NewBoundQueues(streams, f.Separator)
	find := map[string]func(context.Context, *pgxpool.Pool, []*message.Message) (map[int]string, error){
		celerySink: f.streamsAmongLists,
		streamsSink: func(ctx context.Context, pool *pgxpool.Pool, m []*message.Message) (map[int]string, error) {
			return f.queuesAmongStreams(ctx, pool, bound, m)
		},
	}
	for i, r := range routes {
		look := find[r.Name]
		if look == nil {
			continue
		}
		routes[i].Foreign = func(ctx context.Context, runs []domain.ID, messages []*message.Message) (map[int]string, error) {
			found, err := look(ctx, pool, messages)
			if err != nil || len(found) == 0 {
				return nil, err
			}
			var refused []domain.ID
			for i := range found {
				refused = append(refused, runs[i])
			}
			return found, claims.JudgeRuns(ctx, pool, refused)
		}
	}
	return routes
}

// streamsAmongLists finds the messages that go to a list whose queue is another's stream.
func (f relayFlags) streamsAmongLists(
	ctx context.Context, pool *pgxpool.Pool, messages []*message.Message,
) (map[int]string, error) {
	cfg := f.celery()
	of := map[string][]int{} // the messages that go to a name
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
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	streams, err := claims.Claimed(ctx, pool, names)
	found := map[int]string{}
	for stream, schedule := range streams {
		for _, i := range of[stream] {
			found[i] = fmt.Sprintf("RESERVED %s is the stream of another schedule (%s), and no queue is made of it", stream, schedule)
		}
	}
	return found, err
}

// queuesAmongStreams finds the messages that go to a stream whose name is another's queue. It claims the names of the
// others, except that of a key of another type, which Redis refuses.
func (f relayFlags) queuesAmongStreams(
	ctx context.Context, pool *pgxpool.Pool, bound *redis.BoundQueues, messages []*message.Message,
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
			may, err := claims.Claim(ctx, pool, stream, cfg.QueueOf(stream))
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
